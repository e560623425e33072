"""Inference: the item side, paid once, and the pass that answers a turn."""

from collections.abc import Callable, Iterable, Sequence

import jax
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.models.spec import Batch, Weights
from cr_jax.nn.module import Frozen
from cr_jax.records import MODES, ItemLabels, Mode, TurnLabels, Workload
from cr_jax.steps.step import AbstractModel, Step

#: The highest last turn; a program is searched at each.
LONGEST = 1000


def check_turns(model: AbstractModel, work: Workload, items: int) -> None:
    """Refuse, before tracing, a turn that cannot be answered (``BadConfig`` with the rule)."""
    scored = items if work.items_scored is None else work.items_scored
    for name, value in (("turns", work.turns), ("users", work.users), ("top_k", work.top_k)):
        if value < 1:
            raise BadConfig(f"{name}={value}: must be 1 or more")
    if work.turns > LONGEST:
        raise BadConfig(f"turns={work.turns}: must be {LONGEST:,} or less")
    if scored < 1 or scored > items:
        raise BadConfig(f"items_scored={scored}: must be 1 to {items}, the items of the data set")
    if scored < items and not model.spec.scores_subset:
        raise BadConfig(f"items_scored={scored}: {model.spec.name} scores all {items} items in one product; leave it out")
    if work.top_k > scored:
        raise BadConfig(f"top_k={work.top_k}: must not exceed the {scored} items scored")


def _best(outputs: dict[str, jax.Array], k: int, questions: int) -> dict[str, jax.Array]:
    """Item scores [B, I] become the k best with their scores; question scores the best question, or
    the best ``questions`` [B, questions].
    """
    outputs = dict(outputs)
    with jax.named_scope("top_k"):
        scores, items = jax.lax.top_k(outputs.pop("item_scores"), k)
        result = {"top_items": items, "top_scores": scores}
        asked = outputs.pop("question_scores", None)
        if asked is not None:
            best, aspect = jax.lax.top_k(asked, questions)
            if questions == 1:
                best, aspect = best[:, 0], aspect[:, 0]
            result |= {"next_question": aspect, "next_question_score": best}
    return result | outputs


def precompute_step(model: AbstractModel, work: Workload) -> Step | None:
    """``(weights, frozen, items) -> side``; ``None`` for a model without an item side."""
    talk = model.spec.conversation
    items = talk.items(model.config, work)
    if items is None:
        return None
    merge = model.merger(Frozen)
    frozen, weights = model.split(Frozen)

    def precompute(weights: Weights, frozen: Weights, items: Batch) -> PyTree:
        return talk.precompute(merge(frozen, weights), items)

    return Step(
        "precompute/items",
        ItemLabels(work.items_scored),
        precompute,
        (weights, frozen, dict(items)),
        ("weights", "frozen", "items"),
        ("weights", "frozen", "items"),
        (),
        model.modules,
    )


def turn_functions(model: AbstractModel, top_k: int, questions: int = 1) -> dict[str, Callable[..., PyTree]]:
    """The pass that answers a turn, by mode, without its shapes: for counting and for recommending.

    ``replay(weights, frozen, side, history) -> best`` and ``incremental(weights, frozen, side, state, utterance) -> (state,
    best)``; best: the ``top_k`` items and the best ``questions`` questions.
    """
    talk, merge = model.spec.conversation, model.merger(Frozen)

    def replay(weights: Weights, frozen: Weights, side: PyTree, history: Batch) -> Batch:
        return _best(talk.replay(merge(frozen, weights), side, history), top_k, questions)

    def incremental(weights: Weights, frozen: Weights, side: PyTree, state: PyTree, utterance: Batch) -> tuple[PyTree, Batch]:
        state, outputs = talk.turn(merge(frozen, weights), side, state, utterance)
        return state, _best(outputs, top_k, questions)

    return {"replay": replay, "incremental": incremental}


def turn_steps(model: AbstractModel, work: Workload) -> tuple[Step, ...]:
    """One step per distinct program; ``labels.turns`` lists the turns t that run it."""
    talk, config, users = model.spec.conversation, model.config, work.users
    merge = model.merger(Frozen)
    frozen, weights = model.split(Frozen)
    items = talk.items(config, work)
    side = None
    if items is not None:
        side = jax.eval_shape(lambda w, f, i: talk.precompute(merge(f, w), i), weights, frozen, dict(items))
    state = jax.eval_shape(lambda w, f, s: talk.start(merge(f, w), s, users), weights, frozen, side)
    answer = turn_functions(model, work.top_k)

    steps: list[Step] = []
    for mode in MODES:
        groups: dict[str, tuple[dict[str, jax.ShapeDtypeStruct], list[int]]] = {}
        for t in range(work.turns + 1):
            given = talk.history if mode == "replay" else talk.utterance
            inputs = dict(given(config, work, t, users))
            key = ",".join(f"{n}:{v.dtype}{list(v.shape)}" for n, v in sorted(inputs.items()))
            groups.setdefault(key, (inputs, []))[1].append(t)
        replayed = mode == "replay"
        common = (weights, frozen, side) if replayed else (weights, frozen, side, state)
        names = ("weights", "frozen", "items") if replayed else ("weights", "frozen", "items", "state")
        for inputs, turns in groups.values():
            padding = {t: talk.positions(config, work, t, mode) for t in turns}
            steps.append(
                Step(
                    name=f"infer/{mode}/t{turns[0]}" + (f"-{turns[-1]}" if len(turns) > 1 else ""),
                    labels=TurnLabels(mode, tuple(turns), users, padding),
                    function=answer[mode],
                    arguments=(*common, inputs),
                    names=(*names, "history" if replayed else "utterance"),
                    roles=(*names, "batch"),
                    donated=() if replayed else (3,),
                    modules=model.modules,
                )
            )
    return tuple(steps)


def answering(steps: Iterable[Step], mode: Mode) -> list[tuple[Step, TurnLabels]]:
    """The steps that answer turns in ``mode``, by their first turn, each with its labels."""
    labelled = [(step, step.labels) for step in steps if isinstance(step.labels, TurnLabels)]
    return sorted(((s, turns) for s, turns in labelled if turns.mode == mode), key=lambda pair: pair[1].turns[0])


def ends(steps: Sequence[Step]) -> frozenset[str]:
    """Names of the steps without the turns between the first and the last of each mode."""
    names = {s.name for s in steps if s.phase != "infer"}
    for mode in MODES:
        of_mode = answering(steps, mode)
        names |= {s.name for s, _ in (*of_mode[:1], *of_mode[-1:])}
    return frozenset(names)


def of_kind(steps: Sequence[Step], kind: str) -> list[Step]:
    """Turn steps of a kind. ``last``: the incremental one of the last turn; ``replay``: those that replay; else all."""
    if kind == "last":
        return [max(answering(steps, "incremental"), key=lambda pair: pair[1].turns[-1])[0]]
    return [s for s, _ in answering(steps, "replay")] if kind == "replay" else list(steps)
