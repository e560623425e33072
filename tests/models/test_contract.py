"""What every registered architecture promises, whoever wrote it: its file is enough to be tested here."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx
from talks import ADAPTERS, USERS, said
from tiny import DATA, TEMPLATE, VARIANTS, WORK, case, cases, dataset_file, weights

from cr_jax import profile
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.models import spec as specs
from cr_jax.nn.item_table import LowRank, ProductQuantised
from cr_jax.nn.module import Frozen
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_step

#: Machine code as it comes: these programs run once.
FAST = {"xla_backend_optimization_level": 0}
NAMES = (*specs.names(), TEMPLATE)
CASES = [*cases(), case(TEMPLATE)]
each_name = pytest.mark.parametrize("name", NAMES)


def known(*values, slow=()):
    """A parameter set; those of the variants, and of the models named ``slow``, are slow."""
    marks = [pytest.mark.slow] if values[0].variant or values[0].name in slow else []
    return pytest.param(*values, marks=marks, id=" ".join(map(str, values)))


each_case = pytest.mark.parametrize("case", [known(c) for c in CASES])


@each_name
def test_every_key_is_documented_and_an_unknown_one_listed(name):
    found = case(name)
    keys = {f.name for f in dataclasses.fields(found.spec.config)}
    assert set(found.spec.fields) == keys
    assert all(line.strip() and "\n" not in line for line in found.spec.fields.values())
    assert isinstance(found.config, found.spec.config) and dataclasses.is_dataclass(found.config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.config.items = 1
    with pytest.raises(BadConfig, match=r"no configuration key 'hiden', 'zeal'; legal: .*items") as caught:
        specs.override(found.spec, found.config, {"items": "3", "zeal": "1", "hiden": "2"})
    assert all(key in caught.value.args[0] for key in keys)  # as printed, a long list is cut


@pytest.mark.parametrize("name", specs.names())
def test_what_is_stated_about_it(name):
    found = specs.find(name)
    assert found.name == name and found.title and found.paper and found.deviations
    assert re.search(r"github\.com/[\w-]+/[\w-]+.*\b[0-9a-f]{7,}", found.code), "public code and commit"
    assert found.conversation.limits
    objectives = found.objectives(case(name).config)
    assert objectives and len({o.name for o in objectives}) == len(objectives)


@each_name
@pytest.mark.parametrize("preset", ["published", "matched", "paper"])
def test_presets_work_or_say_why_not(name, preset):
    found, work = specs.find(name), dataclasses.replace(WORK, preset=preset)
    try:
        config = found.configure(DATA, work)
    except BadConfig as error:
        assert preset == "paper", error
        assert "paper" in str(error) and "legal: published, matched" in str(error)
    else:
        assert config.items == DATA.items


@each_name
def test_an_unknown_preset_is_refused(name):
    found = specs.find(name)
    with pytest.raises(BadConfig, match="'papers'"):
        found.configure(DATA, dataclasses.replace(WORK, preset="papers"))


SIZES = [
    (name, f.name)
    for name in NAMES
    for f in dataclasses.fields(case(name).config)
    if type(getattr(case(name).config, f.name)) is int
]


@pytest.mark.parametrize(("name", "key"), SIZES)
def test_a_size_of_zero_is_refused_before_tracing(name, key, monkeypatch):
    monkeypatch.setattr(nnx, "Param", None)  # the first weight would fail
    found = case(name)
    for value in (0, -1):
        with pytest.raises(BadConfig, match=rf"{key}={value}"):
            specs.override(found.spec, found.config, {key: str(value)})


@each_case
def test_every_weight_is_trained_or_frozen(case):
    model = abstract_model(case.spec, case.config)
    objectives = case.spec.objectives(case.config)
    for path, variable in nnx.to_flat_state(nnx.state(model.module)):
        by = [o.name for o in objectives if o.trains(path, variable)]
        frozen = isinstance(variable, Frozen)
        assert frozen or isinstance(variable, nnx.Param | nnx.RngState), path
        assert bool(by) == (isinstance(variable, nnx.Param)), (path, by)
    rows = model.parameters()
    assert sum(p.size for p in rows) == sum(v.size for v in jax.tree.leaves(nnx.state(model.module, nnx.Any(nnx.Param, Frozen))))
    assert all(p.module in (*model.modules, case.name) for p in rows)


#: Names of integer inputs that are larger than 0 or 1, and the configuration key or number above them.
RANGES: dict[str, dict[str, str | int]] = {
    "dmn": {"target": "classes", "ends": 6},
    "aim": {"source": "words", "target": "words"},
    "srnn-ae": {"words": "words", "lengths": 5, "utterances": 7, "targets": 52},
    TEMPLATE: {"words": "words", "target": "items"},
}
RANGES["mmn"] = {"query": "words", "positive_aspect": "aspects", "negative_aspect": "aspects"} | {
    f"{side}_{part}": top
    for side in ("positive", "negative", "common")
    for part, top in (("words", "words"), ("ends", "item_words"))
}
RANGES["pmmn"] = RANGES["mmn"] | {"user": "users"}


def batch(case, structs, seed=0):
    """Random arrays: floats -1, 0 or 1 (senders, ratings and unobserved ones), integers 0 or 1 or as
    ``RANGES`` says."""
    rng, tops = np.random.default_rng(seed), RANGES.get(case.name, {})

    def one(name, struct):
        if not jnp.issubdtype(struct.dtype, jnp.integer):
            return jnp.asarray(rng.integers(-1, 2, struct.shape), struct.dtype)
        top = tops.get(name, 2)
        return jnp.asarray(
            rng.integers(0, getattr(case.config, top) if isinstance(top, str) else top, struct.shape), struct.dtype
        )

    return {name: one(name, struct) for name, struct in structs.items()}


#: The slow ones train in tests of their own, too.
OBJECTIVES = [known(c, o.name, slow=("aim", "mmn", "pmmn")) for c in CASES for o in c.spec.objectives(c.config)]


@pytest.mark.parametrize(("case", "objective"), OBJECTIVES)
def test_a_training_step_changes_its_own_weights_and_no_others(case, objective):
    model = abstract_model(case.spec, case.config)
    objective = next(o for o in case.spec.objectives(case.config) if o.name == objective)
    step = training_step(model, objective, dataclasses.replace(WORK, batch=4))
    trained, moments, others, frozen, structs, _, *counter = step.arguments
    states = [weights(tree, seed) for seed, tree in enumerate((trained, others, frozen))]
    initial = objective.optimizer(case.config).init(states[0])
    assert jax.tree.map(lambda x: (x.shape, x.dtype), initial) == jax.tree.map(lambda x: (x.shape, x.dtype), moments)
    before = [jax.tree.map(np.array, state) for state in states]
    arguments = (states[0], initial, *states[1:], batch(case, structs), jax.random.key(1), *[jnp.int32(0)] * len(counter))
    new, after, metrics = jax.jit(step.function, donate_argnums=step.donated, compiler_options=FAST)(*arguments)

    assert np.isfinite(metrics["loss"]) and metrics["loss"].shape == ()
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert jax.tree.structure(after) == jax.tree.structure(moments)
    unmoved = [
        ".".join(map(str, path))
        for (path, now), was in zip(nnx.to_flat_state(new), jax.tree.leaves(before[0]), strict=True)
        if not np.isfinite(now[...]).all() or np.array_equal(now[...], was)
    ]
    assert not unmoved
    for state, was in zip(states[1:], before[1:], strict=True):  # neither returned nor written to
        jax.tree.map(np.testing.assert_array_equal, state, was)
    donated = jax.tree.leaves((states[0], initial))
    assert all(leaf.is_deleted() for leaf in donated), "weights and optimizer state are donated"


def test_every_model_has_a_conversation_to_test():
    assert set(NAMES) <= set(ADAPTERS), "a new model needs an adapter in tests/models/talks.py"
    assert set(VARIANTS) <= set(NAMES)


#: The slow ones have a quicker test of turns against replays among their model's own.
@pytest.mark.parametrize("case", [known(c, slow=("aim", "mmn", "pmmn", "srnn-ae")) for c in CASES])
def test_turns_equal_replays_with_ragged_and_padded_rows(case):
    """Item scores to 1e-5 at t = 0..3, users at different turns; what else is answered, too."""
    talk, spoken = case.spec.conversation, said(case, WORK)
    graph, state = nnx.split(abstract_model(case.spec, case.config).module)
    model = nnx.merge(graph, weights(state, 6))
    turn = jax.jit(lambda side, state, new: talk.turn(model, side, state, new), compiler_options=FAST)
    replay = jax.jit(lambda side, history: talk.replay(model, side, history), compiler_options=FAST)
    all_scores, turns = [], set()
    with jax.default_matmul_precision("highest"):
        side = talk.precompute(model, spoken.items) if spoken.items is not None else None
        state = talk.start(model, side, USERS)
        shapes = jax.tree.map(jnp.shape, state)
        for t, utterance, history, here in spoken.steps:
            state, got = turn(side, state, utterance)
            want = replay(side, history)
            assert jax.tree.map(jnp.shape, state) == shapes
            assert set(got) == set(want) and got["item_scores"].shape == (USERS, case.config.items)
            for name in got:
                exact = jnp.issubdtype(got[name].dtype, jnp.integer)
                np.testing.assert_allclose(got[name][here], want[name][here], rtol=0, atol=0 if exact else 1e-5)
            all_scores.append(np.asarray(got["item_scores"]))
            turns.add(t)
    assert turns == {0, 1, 2, 3}
    for user in range(USERS):
        mine = np.array([scores[user] for scores, (*_, here) in zip(all_scores, spoken.steps, strict=True) if user in here])
        assert np.ptp(mine, axis=1).min() > 1e-3, "the scores tell items apart"
        assert np.abs(np.diff(mine, axis=0)).max() > 1e-3, "what is said changes the scores"


@pytest.fixture
def unchecked():
    """Annotations are not checked: the model's own refusal of a wrong argument is tested."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@each_case
@pytest.mark.usefixtures("unchecked")
def test_a_state_of_others_is_refused(case):
    work = dataclasses.replace(WORK, users=USERS)
    utterance = dict(case.spec.conversation.utterance(case.config, work, 0, USERS))

    def started(of, users):
        model = abstract_model(of.spec, of.config).module
        return nnx.eval_shape(lambda m: of.spec.conversation.start(m, None, users), model)

    def answer(state):
        model, talk, items = abstract_model(case.spec, case.config).module, case.spec.conversation, None
        items = talk.items(case.config, work)
        side = nnx.eval_shape(talk.precompute, model, dict(items)) if items is not None else None
        nnx.eval_shape(lambda m, side, utterance: talk.turn(m, side, state, utterance), model, side, utterance)

    def arrays(state):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)

    mine = started(case, USERS)
    answer(arrays(mine))
    with pytest.raises(BadConfig, match=rf"turn for {USERS} users was given a state of \[{USERS + 1}\]"):
        answer(arrays(started(case, USERS + 1)))
    for other in cases(variants=False):
        theirs = started(other, USERS)
        if other.name != case.name:
            with pytest.raises(BadConfig, match="of another model; legal: "):
                answer(arrays(theirs))
    for nothing in (None, ()):
        with pytest.raises(BadConfig, match="legal: "):
            answer(nothing)


@each_name
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"turns": 0}, "turns=0"),
        ({"users": 0}, "users=0"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_k": 13}, "top_k=13: .*12 items"),
        ({"items_scored": 0}, "items_scored=0"),
        ({"items_scored": 13}, "items_scored=13: .*12"),
        ({"batch": 0}, "batch=0"),
        ({"settings": {"items": "5"}}, "top_k=10: .*5 items"),
        ({"settings": {"learning_rate": "nan", "discriminator_rate": "nan", "dropout": "nan"}}, "nan|no configuration key"),
    ],
)
def test_an_impossible_workload_is_refused_before_tracing(name, arguments, words, tmp_path, monkeypatch):
    def traced(*_, **__):
        raise AssertionError("traced a workload that cannot be")

    monkeypatch.setattr("cr_jax.targets.compile.compile_step", traced)
    dataset_file(tmp_path)
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    with pytest.raises(CrJaxError, match=words) as caught:
        profile(name, "tiny", **{"turns": 2, "question_items": 2, "preset": "matched"} | arguments)
    assert "\n" not in str(caught.value)


def opened(shape):
    """``shape`` with an axis of 1 anywhere."""
    return [(*shape[:n], 1, *shape[n:]) for n in range(len(shape) + 1)]


def shape_of(convert, shape):
    try:
        return np.shape(convert(np.zeros(shape)))
    except (ValueError, IndexError):  # not the public shape
        return None


@each_case
def test_published_names_reach_every_weight(case):
    """Each public variable becomes one of ours, and its conversion gives our shape from a public one. A compressed table, which
    the public code does not have, is the only one without a name."""
    model = abstract_model(case.spec, case.config)
    shapes = {p.path: p.shape for p in model.parameters()}
    trainable = {p.path for p in model.parameters() if p.trainable}
    names = case.spec.published(case.config)
    paths = [path for path, _ in names.values()]
    assert len(set(paths)) == len(paths) and set(paths) <= set(shapes)
    compressed = tuple(
        f"{'.'.join(map(str, path))}."
        for path, module in nnx.iter_modules(model.module)
        if isinstance(module, LowRank | ProductQuantised)
    )
    assert trainable - set(paths) == {path for path in trainable if path.startswith(compressed)}
    for name, (path, convert) in names.items():
        ours = shapes[path]
        given = {shape_of(convert, public) for public in (ours, ours[::-1], *opened(ours))}
        assert ours in given, (name, path)
