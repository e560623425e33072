"""From a request to the remedy report: cells trained or read, costs, tests, break-even."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cr_jax.documents.fields import Tool
from cr_jax.documents.remedy_report import RemedyData, RemedyReport
from cr_jax.errors import BadInput, NotWritten
from cr_jax.files import expanded, is_file
from cr_jax.json_text import read_json
from cr_jax.models import spec as specs
from cr_jax.printable import redacted
from cr_jax.profiling.request import SILENT, Listener
from cr_jax.records import Mode, plain
from cr_jax.remedy.answered import Answered, answered_by
from cr_jax.remedy.cells import Cells
from cr_jax.remedy.cost_cells import Answer, CostCells
from cr_jax.remedy.request import RemedyRequest
from cr_jax.remedy.rows import comparisons, notes, variant_rows
from cr_jax.remedy.turn_costs import TurnCost, Workplace, share_of_turns
from cr_jax.remedy.variants import variants
from cr_jax.report.document import write
from cr_jax.resources import write_atomically
from cr_jax.targets.compile import versions
from cr_jax.train.loop import Tick
from cr_jax.train.run import workload
from cr_jax.version import __version__

#: What a folder's cells must share.
_SAME = ("model", "preset", "settings", "epochs", "steps", "batch", "patience", "stages", "ensemble", "augment")
DEFINITIONS = {
    "mrr": "mean reciprocal rank of the sought item among all items; after turn t, a conversation that ended sooner counts with "
    "its last state",
    "recall_10": "share of conversations whose item is among the first 10",
    "intervals of a seed": "95%, paired bootstrap over users",
    "intervals over seeds": "95%, Student's t; variance clustered by seeds and by users (Cameron, Gelbach and Miller, 2011)",
    "noninferiority": "of x = variant - (1 - margin) * teacher, paired over users and seeds: not inferior where the one-sided "
    "95% bound of its mean is above 0",
    "turn": "the last turn, answered for one user with the state of the turns before (replayed: from the whole conversation)",
    "flops": "of the traced program, whatever the device",
    "early": "turns after the stop repeat its list and cost nothing: the cost is that of the share of turns that is computed",
    "break-even": "turns N after which N * (teacher's turn - variant's turn) exceeds training + teacher inference + tuning",
}


def remedy(
    request: RemedyRequest,
    out: str | Path,
    *,
    tick: Callable[[Tick], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
    listener: Listener = SILENT,
    command: Sequence[str] | None = None,
) -> RemedyReport:
    """Run what is not yet in ``out``, and write ``report.json``. A killed run goes on where it stopped.

    say: called with a line per cell begun. Raises ``CrJaxError``.
    """
    spec = specs.find(request.model)
    folder = _folder(request, out)
    cells = Cells(request, folder, tick, say, None if command is None else tuple(command))
    corpus = cells.corpus
    config = specs.override(
        spec, spec.configure(corpus.dataset, workload(corpus, request.preset, request.batch)), request.settings
    )
    wanted = variants(request, spec, config, corpus.dataset.last_turn)
    answered = [answered_by(cells, variant) for variant in wanted]
    place = Workplace(request.model, corpus.dataset, request.preset, request.devices, request.rates, listener)
    costs = _costs(request, CostCells(place, folder), answered)
    rows = variant_rows(request, answered, costs)
    shown = redacted(command)
    report = RemedyReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=__version__),
        versions=versions(),
        command=None if shown is None else tuple(shown),
        model=spec.name,
        dataset=RemedyData(
            name=corpus.dataset.name,
            sha256=corpus.fingerprint,
            users=corpus.dataset.users,
            items=corpus.dataset.items,
            turns=corpus.dataset.last_turn,
        ),
        seeds=request.seeds,
        margin=request.margin,
        variants=tuple(rows),
        comparisons=comparisons(answered),
        definitions=DEFINITIONS,
        notes=notes(request),
    )
    write(report, folder / "report.json")
    return report


def _folder(request: RemedyRequest, out: str | Path) -> Path:
    """The folder of the cells. Raises ``BadInput`` where it holds those of another teacher or schedule."""
    folder = expanded(out)
    ours = json.loads(json.dumps({name: plain(getattr(request, name)) for name in _SAME}))
    file = folder / "request.json"
    if is_file(file):
        theirs = read_json(file)
        for name in _SAME:
            found = theirs.get(name) if isinstance(theirs, dict) else None
            if found != ours[name]:
                raise BadInput(str(out), f"holds cells of {name}={found}, not {ours[name]}; legal: another --out")
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{out}: no folder: {error.strerror}") from None
    write_atomically(file, json.dumps(ours, indent=2) + "\n")
    return folder


def _costs(request: RemedyRequest, kept: CostCells, answered: Sequence[Answered]) -> list[TurnCost | None]:
    """Of each variant, with what it took by the clock; ``None`` of popularity, which computes nothing."""
    programs: dict[int, Answer] = {}
    for number, one in enumerate(answered):
        mode: Mode = "replay" if one.variant.kind == "replayed" else "incremental"
        if one.variant.kind != "popularity":
            programs[number] = ({**request.settings, **one.variant.settings}, mode)
    costs = dict(zip(programs, kept.costs(list(programs.values())), strict=True))
    return [_stopped(one, costs[number]) if number in costs else None for number, one in enumerate(answered)]


def _stopped(one: Answered, cost: TurnCost) -> TurnCost:
    """On average over seeds, where a conversation's turns after the stop are not computed."""
    if one.variant.stop is None:
        return cost
    return cost.times(float(np.mean([share_of_turns(ranks.lengths, one.variant.stop) for ranks in one.ranks])))
