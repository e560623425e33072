"""Tests of a model on a part of the data: rankings after every turn, and the model's own checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import jax
import numpy as np
from jaxtyping import PyTree

from cr_jax.data.corpus import Corpus
from cr_jax.data.examples.batches import in_order
from cr_jax.data.examples.pool import Arrays, Check, Examples, Pool, Ranking
from cr_jax.documents.training_report import Figures
from cr_jax.models.spec import Batch, Spec, Weights
from cr_jax.nn.module import Module
from cr_jax.train import metrics

#: Rows tested at once.
ROWS = 64
#: Cut-off of "success by turn".
SUCCESS = 10


@dataclass(frozen=True)
class Ranked:
    """Ranks on a part of the data."""

    ranking: Ranking
    ranks: np.ndarray
    """Rank of the sought item, a row per conversation state."""
    aspects: np.ndarray | None
    """Ranks of the aspect asked next, for the rows that have one; ``None`` for a model that asks nothing."""

    @property
    def final(self) -> np.ndarray:
        """Ranks after each conversation's last turn, by conversation."""
        return self.ranks[self.ranking.last]

    @property
    def users(self) -> list[str]:
        """The user of each row of ``final``."""
        return [self.ranking.user[int(c)] for c in self.ranking.conversation[self.ranking.last]]

    def figures(self) -> dict[str, float | list[float]]:
        """After the last turn: Recall, Hit, MRR, NDCG; success by turn; of the aspects: MRR and Hit."""
        r = self.ranking
        shown: dict[str, float | list[float]] = {**metrics.means(self.final)}
        shown[f"success@{SUCCESS}_by_turn"] = metrics.success_by_turn(self.ranks, r.conversation, r.t, SUCCESS)
        if self.aspects is not None and len(self.aspects):
            asked = metrics.means(self.aspects, (1, 5, 10))
            shown |= {f"next_question.{name}": asked[name] for name in ("mrr", "hit@1", "hit@5", "hit@10")}
        return shown


class Tester:
    """Runs a model's forward passes on the parts of ``examples``; compiled once per padded shape."""

    def __init__(self, spec: Spec, merge: Callable[[Weights], Module], examples: Examples) -> None:
        """merge: weights to the module."""
        self.spec, self.examples = spec, examples
        talk = spec.conversation
        self._side = jax.jit(lambda weights, items: talk.precompute(merge(weights), items))

        def scores(weights: Weights, side: PyTree, history: Batch) -> Batch:
            outputs = talk.replay(merge(weights), side, history)
            return {name: outputs[name] for name in ("item_scores", "question_scores") if name in outputs}

        self._scores = jax.jit(scores)
        self._checks: dict[str, Callable[..., Mapping[str, jax.Array]]] = {}
        self._merge = merge

    def ranked(self, weights: Weights, part: str) -> Ranked | None:
        """Ranks on a part; ``None`` where it has no histories."""
        ranking = self.examples.rankings.get(part)
        if ranking is None:
            return None
        side = None if self.examples.items is None else self._side(weights, dict(self.examples.items))

        def ranks(rows: np.ndarray, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            # One batch at a time, since scores of all states by all items may not fit.
            by_column = {"ranks": metrics.ranks(outputs["item_scores"], ranking.target[rows])}
            if "question_scores" in outputs:
                by_column["aspects"] = metrics.ranks(outputs["question_scores"], ranking.aspect[rows])  # nothing at -1
            return by_column

        rank_columns = _outputs(ranking.pool, lambda batch: self._scores(weights, side, batch), ranks)
        aspects = rank_columns["aspects"][ranking.aspect >= 0] if "aspects" in rank_columns else None
        return Ranked(ranking, rank_columns["ranks"], aspects)

    def check(self, weights: Weights, check: Check) -> dict[str, float]:
        """One check's figures."""
        if check.name not in self._checks:
            assert self.spec.training is not None
            merge, outputs = self._merge, self.spec.training.checks[check.objective]
            self._checks[check.name] = jax.jit(lambda weights, batch: outputs(merge(weights), batch))
        forward = self._checks[check.name]
        return check.metrics(_outputs(check.pool, lambda batch: forward(weights, batch)))

    def figures(self, weights: Weights, part: str, objectives: Sequence[str]) -> dict[str, Figures]:
        """The figures that judge ``objectives``: their checks, or the rankings of a model without checks."""
        ranked = None if self.examples.checks.get(part) else self.ranked(weights, part)
        by_test: dict[str, Figures] = {} if ranked is None else {"ranking": ranked.figures()}
        return by_test | self.checked(weights, part, objectives)

    def checked(self, weights: Weights, part: str, objectives: Sequence[str]) -> dict[str, dict[str, float]]:
        """The checks of ``objectives``, by name."""
        checks = [check for check in self.examples.checks.get(part, ()) if check.objective in objectives]
        return {check.name: self.check(weights, check) for check in checks}


def finite(figures: Mapping[str, Figures]) -> dict[str, Figures]:
    """Figures by test and name without those that are NaN or infinite, which no document can hold."""
    return {
        test: {name: value for name, value in test_figures.items() if np.isfinite(value).all()}
        for test, test_figures in figures.items()
    }


def criterion(examples: Examples, figures: Mapping[str, Figures]) -> tuple[str, float, bool] | None:
    """The figure for early stopping: its name, its value, and whether more is better."""
    for check in examples.checks.get("validation", ()):
        if check.name in figures:
            return f"{check.name}.{check.criterion}", cast(float, figures[check.name][check.criterion]), check.higher
    return ("ranking.mrr", cast(float, figures["ranking"]["mrr"]), True) if "ranking" in figures else None


def baselines(corpus: Corpus, ranking: Ranking, seed: int) -> dict[str, np.ndarray]:
    """Ranks of the sought items after the last turn by popularity in training, and at random."""
    index = {item: number for number, item in enumerate(corpus.items)}
    counts = np.zeros(len(corpus.items))
    for one in corpus.conversations["train"]:
        counts[index[one.item]] += 1
    target = ranking.target[ranking.last]
    return {"popularity": metrics.popularity(counts, target), "random": metrics.random_order(len(counts), target, seed)}


def _outputs(
    pool: Pool,
    forward: Callable[[Arrays], Mapping[str, jax.Array]],
    reduce: Callable[[np.ndarray, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = lambda rows, outputs: outputs,
) -> dict[str, np.ndarray]:
    """Outputs by name. reduce: the part of the outputs of some rows that is kept."""
    columns: dict[str, np.ndarray] = {}
    for rows, batch in in_order(pool, min(ROWS, max(1, len(pool)))):
        outputs = {name: np.asarray(a)[: len(rows)] for name, a in jax.device_get(dict(forward(batch))).items()}
        for name, values in reduce(rows, outputs).items():
            if name not in columns:
                columns[name] = np.zeros((len(pool), *values.shape[1:]), values.dtype)
            columns[name][rows] = values
    return columns
