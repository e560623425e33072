"""DMN's golden cases: encodings, gates, episodes, logits, loss, gradients, five Adam steps."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import FORWARD, Row, compare, inputs
from flax import nnx
from tf_training import adam_rule, gradient_rows, restored, train, trainable, weight_rows

from cr_jax.models.dmn import model as dmn


def matches(sidecar: dict[str, Any]) -> bool:
    return "memory_hob" in sidecar.get("config", {})


def config(sidecar: dict[str, Any]) -> dmn.Config:
    c = sidecar["config"]
    return dmn.Config(
        classes=c["vocab_size"],
        items=c["vocab_size"],
        facts=c["max_input_mask_length"],
        embedding=c["embed_dim"],
        hidden=c["num_units"],
        hops=c["memory_hob"],
        learning_rate=c["learning_rate"],
        l2=c["reg_scale"],
    )


def _forward(model: dmn.DMN, batch: dict[str, Any]) -> Any:
    facts = model.input_module(batch["text"], batch["ends"])
    question = model.input_module.question(batch["question"])
    recall = model.episodic(facts, question)
    return facts, question, recall, model.answer(recall.memory)


def check(sidecar: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[Row]:
    yield from inputs(arrays, "in/", "var/")
    spec, c = dmn.SPEC, config(sidecar)
    model = restored(spec, c, arrays)
    total = trainable(model)
    for key, got in {"n_trainable": total, "n_global": spec.paper_count(c, total)}.items():
        if key in sidecar["config"]:
            yield compare(f"config/{key}", got, sidecar["config"][key], atol=0)
    objective = spec.objectives(c)[0]
    batch = {
        "text": jnp.asarray(arrays["in/embedding_input"]),
        "ends": jnp.asarray(arrays["in/input_mask"]),
        "question": jnp.asarray(arrays["in/embedding_question"]),
        "target": jnp.asarray(arrays["in/targets"]).reshape(-1),
    }
    facts, question, recall, logits = nnx.jit(_forward)(model, batch)
    value, metrics = nnx.jit(objective.loss)(model, batch, jax.random.key(0))
    for name, got in {
        "encoded_facts": facts,
        "encoded_question": question,
        "gates": jnp.stack(recall.gates, 1),
        "episodes": jnp.stack(recall.episodes, 1),
        "memory": recall.memory,
        "logits": logits,
        "predictions": jnp.argmax(logits, -1),
        "reg_loss": metrics["regulariser"],
        "loss": value,
    }.items():
        yield compare(f"out/{name}", got, arrays[f"out/{name}"], atol=FORWARD)

    names = spec.published(c)
    want = arrays["out/loss_after_adam_steps"]
    steps = train(objective, c, model, batch, steps=want.size)
    yield compare("out/loss_after_adam_steps", [step.loss for step in steps], want, atol=FORWARD)
    yield from gradient_rows(steps, names, arrays)
    yield from weight_rows(steps, names, arrays)
    yield from adam_rule(objective, c, names, arrays)
