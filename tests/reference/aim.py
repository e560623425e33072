"""Golden cases of AIM and DAIM: every public tensor, loss, gradient, and one D and one G step."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import FORWARD, Row, compare
from common import inputs as given
from flax import nnx

from cr_jax.models.aim import losses
from cr_jax.models.aim import model as aim
from cr_jax.models.aim.layers import most_likely, sequence_loss
from cr_jax.models.spec import Objective

#: Relative tolerance of the gradients (``grad_noise_rel`` of the sidecars is up to 5.5e-5).
GRADIENT = 1e-4
#: What the public code has fixed: a case with another value is another model.
FIXED = {"multiplier": 2, "layer": 3, "stride": [2, 2, 2], "feature_matching": "pair_diff"}
Step = Callable[[aim.AIM], tuple[jax.Array, nnx.State]]
NOISE = {"z": "in/z", "mi_z": "in/rev_z", "mi_z_rev": "in/rev_z_rev"}


def matches(sidecar: Mapping[str, Any]) -> bool:
    """Cases whose name starts with ``aim``."""
    return str(sidecar["case"]).startswith("aim")


def configuration(public: Mapping[str, Any]) -> aim.Config:
    """Our configuration for a sidecar's."""
    different = {k: public[k] for k, v in FIXED.items() if k in public and public[k] != v}
    if different:
        raise ValueError(f"the case has {different}, the model is fixed at {FIXED}")
    return aim.Config(
        items=1,
        words=public["n_words"],
        embedding=public["embed_size"],
        features=public["filter_size"],
        filter=public["filter_shape"],
        hidden=public["n_hid"],
        score_features=public["n_d_output"],
        noise=public["n_z"],
        max_words=public["maxlen"],
        sides=2 if public["two_side"] else 1,
        mi_weight=public["lambda_MI"] or 0.0,
        supervised_weight=public["lambda_sup_G"],
        backward_weight=public["lambda_backward"],
        softargmax_scale=float(public["L"]),
        discriminator_rate=public["lr_d"],
        generator_rate=public["lr_g"],
        decay=public["decay_rate"],
        decay_steps=public["decay_steps"],
    )


def load(config: aim.Config, arrays: Mapping[str, np.ndarray]) -> aim.AIM:
    """The model with the case's weights; every public variable has a place and every place is filled."""
    graph, state = nnx.split(nnx.eval_shape(lambda: aim.build(config, nnx.Rngs(0))))
    shapes = {".".join(map(str, path)): leaf.shape for path, leaf in nnx.to_flat_state(state)}
    names = aim.published(config)
    public = {name.removeprefix("var/") for name in arrays if name.startswith("var/")}
    assert public == set(names), f"in one list of variables only: {sorted(public ^ set(names))}"
    values = {path: jnp.asarray(convert(arrays[f"var/{name}"])) for name, (path, convert) in names.items()}
    assert {path: value.shape for path, value in values.items()} == shapes, "other shapes than published"
    for path, leaf in nnx.to_flat_state(state):
        leaf.set_value(values[".".join(map(str, path))])
    return nnx.merge(graph, state)


def check(sidecar: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterable[Row]:
    """One row per array of the case."""
    config = configuration(sidecar["config"])
    yield from given(arrays, "in/", "var/")
    batch = {"source": jnp.asarray(arrays["in/src"]), "target": jnp.asarray(arrays["in/tgt"])}
    batch |= {ours: jnp.asarray(arrays[name]) for ours, name in NOISE.items() if name in arrays}
    with jax.default_matmul_precision("highest"):
        model = load(config, arrays)
        graph, weights = nnx.split(model)
        got = jax.jit(lambda weights: outputs(nnx.merge(graph, weights), batch))(weights)
        steps = [(o, value_and_grad(model, o, batch)) for o in aim.objectives(config)]
        for letter, (_, step) in zip("dg", steps, strict=True):
            got[f"out/gan_cost_{letter}"], gradients = step(model)
            yield from _gradients(f"grad_{letter}", gradients, config, arrays)
        got["out/costs_after_one_d_then_one_g_step"] = after_both_steps(model, steps)
    for name, want in arrays.items():
        if name in got:
            yield compare(name, got[name], want, atol=FORWARD)


def outputs(model: aim.AIM, batch: Mapping[str, jax.Array]) -> dict[str, Any]:
    """The public tensors of each direction, by the sidecars' names."""
    got: dict[str, Any] = {}
    for d, side in zip(aim.directions(model, batch, jax.random.key(0)), ("fwd", "rev"), strict=False):
        got |= {f"out/{side}/{name}": value for name, value in _direction(model, d).items()}
    return got


def _direction(model: aim.AIM, d: aim.Direction) -> dict[str, Any]:
    config, steps = model.config, d.target.shape[1]
    tables = d.answers.tables()
    encoded = d.answers.read(d.source, d.z, tables)
    start = losses.begin(d, tables)
    synthetic = losses.synthesise(d, tables, start)
    one_hot = jnp.concatenate([synthetic.first[None], synthetic.rest])
    first, rest = d.answers.free(start, tables, steps + 1, lambda logits, word: logits)
    free = jnp.concatenate([first[None], rest])
    supervised = d.answers.supervised(start, tables, d.target)
    vectors = losses.judge(d, synthetic)
    real, fake = losses.scores(vectors)
    got = {
        "logits_real": real,
        "logits_fake": fake,
        "H_real": jnp.concatenate([vectors.source, vectors.real], axis=1),
        "H_fake": jnp.concatenate([vectors.source, vectors.fake], axis=1),
        "syn_sent": most_likely(free[:-1]).T,
        "syn_one_hot": jnp.swapaxes(one_hot, 0, 1),
        "H_dec": encoded[:, None, None],
        "sup_loss": jnp.mean(supervised),
        "sup_loss_all": supervised,
        "sample_loss": jnp.mean(sequence_loss(free[:-1], jnp.ones_like(d.target))),
        "gan_cost_d": -losses.adversarial_cost(real, fake),
        "dec_logits_teacher": jnp.swapaxes(d.answers.teacher(start, tables, d.target), 0, 1),
        "dec_logits_free": jnp.swapaxes(free, 0, 1),
        "mi_loss": jnp.zeros(1),
        "mi_loss_all": jnp.zeros(1),  # what the public graph has without the term
    }
    mi = None
    if d.asks is not None:
        other = d.asks.tables()
        each = losses.mi_loss(d, synthetic, other)
        reader, begun = losses.mi_begin(d, synthetic, other)
        mi = jnp.mean(each)
        got |= {"mi_loss": mi, "mi_loss_all": each, "mi_syn_sent": reader.greedy(begun, other, steps)}
    cost = losses.generator_cost(got["sup_loss"], -got["gan_cost_d"], mi, config.supervised_weight, config.mi_weight)
    return got | {"g_cost": cost}


def value_and_grad(model: aim.AIM, objective: Objective, batch: dict[str, jax.Array]) -> Step:
    """A compiled function of a model of this graph: the objective's cost and its gradient."""
    graph, _, _ = nnx.split(model, objective.trains, ...)

    def loss(trained: nnx.State, rest: nnx.State) -> jax.Array:
        return objective.loss(nnx.merge(graph, trained, rest), batch, jax.random.key(0))[0]

    compiled = jax.jit(jax.value_and_grad(loss))
    return lambda model: compiled(*nnx.split(model, objective.trains, ...)[1:])


def after_both_steps(model: aim.AIM, steps: Sequence[tuple[Objective, Step]]) -> jax.Array:
    """Both costs after one discriminator step, then one generator step; the counter moves at each."""
    for counter, (objective, step) in enumerate(steps):
        _, gradients = step(model)
        weights = nnx.state(model, objective.trains)
        adam = objective.optimizer(model.config)
        assert isinstance(adam, optax.GradientTransformationExtraArgs)
        deltas, _ = adam.update(gradients, adam.init(weights), weights, counter=jnp.int32(counter))
        nnx.update(model, optax.apply_updates(weights, deltas))
    return jnp.stack([step(model)[0] for _, step in steps])


def _gradients(group: str, ours: nnx.State, config: aim.Config, arrays: Mapping[str, np.ndarray]) -> Iterator[Row]:
    flat = {".".join(map(str, path)): v[...] for path, v in nnx.to_flat_state(ours)}
    names = {n: p for n, p in aim.published(config).items() if f"{group}/{n}" in arrays}
    assert {path for path, _ in names.values()} == set(flat), f"{group}: another group than the public code's"
    for name, (path, convert) in names.items():
        yield compare(f"{group}/{name}", flat[path], convert(arrays[f"{group}/{name}"]), rtol=GRADIENT)
