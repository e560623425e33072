"""MMN's and PMMN's golden cases: encodings, gates, memories, heads, losses, gradients, Adam steps."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import FORWARD, Row, compare, inputs, skipped
from flax import nnx
from tf_training import adam_rule, gradient_rows, recorded_steps, restored, train, trainable, weight_rows

from cr_jax.models.mmn import model as mmn

#: Arrays of the case -> names in our batch.
BATCH = {
    "answer": "query",
    "user": "user",
    "pos_description": "positive_words",
    "pos_description_mask": "positive_ends",
    "neg_description": "negative_words",
    "neg_description_mask": "negative_ends",
    "all_description": "common_words",
    "all_description_mask": "common_ends",
    "pos_question": "positive_aspect",
    "neg_question": "negative_aspect",
}


def matches(sidecar: dict[str, Any]) -> bool:
    return sidecar.get("config", {}).get("variant") in ("mmn", "pmmn")


def spec_and_config(sidecar: dict[str, Any]) -> tuple[Any, mmn.MmnConfig]:
    c = sidecar["config"]
    sizes = dict(
        words=c["W"],
        items=c["N"],
        aspects=c["W"],
        item_words=c["Ld"],
        facts=c["S"],
        query_words=c["La"],
        question_items=c["N"],
        embedding=c["E"],
        hidden=c["H"],
        learning_rate=c["learning_rate"],
        l2=c["reg_scale"],
    )
    if c["variant"] == "mmn":
        return mmn.MMN_SPEC, mmn.MmnConfig(**sizes)
    return mmn.PMMN_SPEC, mmn.PmmnConfig(**sizes, users=c["U"])


def forward(model: mmn.MMN, batch: dict[str, Any]) -> dict[str, Any]:
    """The recorded outputs by name; ``all`` arrays have one row per user and common item."""
    found = model(batch)
    users, items = found.common.gates.shape[:2]
    facts_all = jnp.broadcast_to(found.common_facts, (users, *found.common_facts.shape))

    def rows(x: Any) -> Any:
        return x.reshape(users * items, *x.shape[2:])

    out: dict[str, Any] = {
        "answer_encoding": found.query,
        "facts_all": rows(facts_all),
        "gates_all": rows(found.common.gates),
        "episode_all": rows(found.common.episode),
        "question_memory_all": rows(found.common.memory),
        "question_memory_mean": jnp.mean(found.common.memory, axis=1),
        "question_memory_pos": found.recall.memory[:, 0],
    }
    for k, sign in ((0, "pos"), (1, "neg")):
        out |= {
            f"facts_{sign}": found.facts[:, k],
            f"gates_{sign}": found.recall.gates[:, k],
            f"episode_{sign}": found.recall.episode[:, k],
            f"search_memory_{sign}": found.recall.memory[:, k],
        }
        for name, scored in (("search", found.search), ("question", found.question)):
            logits = scored.logits[:, k : k + 1]
            out[f"{name}_hidden_{sign}"] = scored.hidden[:, k]
            out[f"{name}_logit_{sign}"] = logits
            out[f"log_sigmoid_{name}_{sign}"] = jax.nn.log_sigmoid(logits if k == 0 else -logits)
    for name, scored in (("search", found.search), ("question", found.question)):
        out[f"pred_{name}"] = out[f"log_sigmoid_{name}_pos"]
        out[f"{name}_loss"] = mmn.ranking_loss(scored.logits)[:, None]
    return out


def served(model: mmn.MMN, batch: dict[str, Any]) -> dict[str, Any]:
    """The recommender's own path: the positive items and aspects as the whole catalogue. Row b of
    the scores is user b, so the recorded predictions are on the diagonal."""
    names = ("positive_words", "positive_ends")
    items = {"words": batch[names[0]], "ends": batch[names[1]], "aspects": batch["positive_aspect"]}
    common = mmn.precompute(model, {**items, "words": batch["common_words"], "ends": batch["common_ends"]})
    history = {"query": batch["query"], "user": batch.get("user")}
    searched = mmn.replay(model, mmn.precompute(model, items), history)["item_scores"]
    asked = mmn.replay(model, common, history)["question_scores"]
    return {"pred_search": jnp.diagonal(searched)[:, None], "pred_question": jnp.diagonal(asked)[:, None]}


def check(sidecar: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[Row]:
    yield from inputs(arrays, "var/", *(f"in/{name}" for name in BATCH if name != "answer"))
    yield from (row for row in inputs(arrays, "in/answer") if row.name == "in/answer")
    yield skipped("in/answer_mask", "the published graph never reads it")
    spec, config = spec_and_config(sidecar)
    model, objective = restored(spec, config, arrays), spec.objectives(config)[0]
    if "trainable_parameters" in sidecar["config"]:
        want = sidecar["config"]["trainable_parameters"]
        yield compare("config/trainable_parameters", trainable(model), want, atol=0)
    batch = {ours: jnp.asarray(arrays[f"in/{name}"]) for name, ours in BATCH.items() if f"in/{name}" in arrays}
    for name, got in nnx.jit(forward)(model, batch).items():
        yield compare(f"out/{name}", got, arrays[f"out/{name}"], atol=FORWARD)
    for name, got in nnx.jit(served)(model, batch).items():
        yield compare(f"out/{name} [served]", got, arrays[f"out/{name}"], atol=FORWARD)
    value, metrics = nnx.jit(objective.loss)(model, batch, jax.random.key(0))
    yield compare("out/total_loss", value, arrays["out/total_loss"], atol=FORWARD)
    yield compare("out/reg_term", metrics["regulariser"], arrays["out/reg_term"], atol=FORWARD)

    names = spec.published(config)
    steps = train(objective, config, model, batch, steps=recorded_steps(arrays))
    for n, step in enumerate(steps, 1):
        if (after := f"out/loss_after_{n}_steps") in arrays:
            yield compare(after, step.loss, arrays[after], atol=FORWARD)
    yield from gradient_rows(steps, names, arrays)
    yield from weight_rows(steps, names, arrays)
    yield from adam_rule(objective, config, names, arrays)
