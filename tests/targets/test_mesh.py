"""Programs for several devices: one device's share, what they send each other and its memory, by hand and by the compiler."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from cr_jax.catalog.topologies import read_mesh
from cr_jax.profiling.pipeline import count_step, profile_devices
from cr_jax.profiling.request import Request
from cr_jax.records import ItemLabels
from cr_jax.steps.step import Step
from cr_jax.targets import overlay
from cr_jax.targets.cache import step_key
from cr_jax.targets.compilation import completed
from cr_jax.targets.compile import Place, compile_for, lower_step
from cr_jax.targets.resolve import DEFAULTS, description, resolve
from cr_jax.targets.worker import _mesh
from cr_jax.targets.worker_process import environment

B, IN, OUT = 32, 64, 512
#: Enough examples for each device that its products stay products.
SMALL = {"turns": 1, "batch": 64, "users": 64, "settings": {"hidden": "16", "hops": "2"}}


def _step(shardings):
    """``x·w`` [B, IN] x [IN, OUT] and the gradient of its squared sum by w, which takes the place of w."""

    def step(w, x):
        return jax.grad(lambda w: jnp.sum((x @ w) ** 2))(w)

    shapes = jax.ShapeDtypeStruct((IN, OUT), jnp.float32), jax.ShapeDtypeStruct((B, IN), jnp.float32)
    names = ("weights", "batch")
    step = Step("step", ItemLabels(None), step, shapes, names, names, (0,), ())
    return dataclasses.replace(step, shardings=shardings, results=None if shardings is None else shardings[0])


#: Of the product and of the product of its gradient.
PRODUCTS = 2 * (2 * B * IN * OUT)


def test_the_local_arguments_are_what_a_device_holds():
    target = resolve("cpu", read_mesh("data=4,model=2"))
    step = lower_step(_step((P(None, "model"), P("data"))), target, "default").step
    assert [a.shape for a in step.arguments] == [(IN, OUT), (B, IN)]
    assert [a.shape for a in step.local_arguments] == [(IN, OUT // 2), (B // 4, IN)]
    assert [a.bytes for a in step.local_arguments] == [4 * IN * OUT // 2, 4 * B * IN // 4]
    assert step.devices == 1  # its counts are of the traced program, which is that of all


def test_mesh_and_shardings_are_part_of_the_key():
    keys = set()
    for mesh in ("data=4,model=2", "model=2,data=4", "data=8", "data=4"):
        target = resolve("cpu", read_mesh(mesh))
        for split in (P("data"), P()):
            keys.add(step_key(lower_step(_step((P(), split)), target, "default").step, target))
    assert len(keys) == 8
    single = resolve("cpu")
    assert "mesh" not in description(single)
    assert step_key(lower_step(_step(None), single, "default").step, single) not in keys


def test_a_worker_has_as_many_cpu_devices_as_the_mesh(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    assert environment("cpu", True, 8)["XLA_FLAGS"] == (
        "--xla_cpu_enable_fast_math=false --xla_force_host_platform_device_count=8"
    )
    assert environment("cuda", False, 8)["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false"


@pytest.mark.slow
@pytest.mark.parametrize("device", ["h100", "tpu-v5e", "tpu-v5p", "tpu-v6e"])
@pytest.mark.parametrize(
    ("mesh", "shardings", "replicas", "sent"),
    [
        # Data-parallel: the gradient, whole on each device, is summed over all.
        ("data=8", (P(), P("data")), 1, {("all-reduce", ("data",)): 4 * IN * OUT}),
        # Columns of a table, and examples: each device sums the gradient of its columns over `data` alone.
        ("data=4,model=2", (P(None, "model"), P("data")), 1, {("all-reduce", ("data",)): 4 * IN * OUT // 2}),
        # Columns alone: nothing is sent.
        ("model=8", (P(None, "model"), P()), 1, {}),
        # Nothing is split over `model`, so that each of its two halves does the same work.
        ("data=4,model=2", (P(), P("data")), 2, {("all-reduce", ("data",)): 4 * IN * OUT}),
    ],
    ids=["data", "both", "columns", "replicated"],
)
def test_shares_and_collectives_are_those_by_hand(device, mesh, shardings, replicas, sent, ahead_of_time):
    step, target = ahead_of_time(device, mesh, shardings)
    counted = count_step(step)
    assert counted.compiled is not None
    assert target.devices * counted.compiled.matmul_flops == replicas * PRODUCTS
    assert counted.model.matmul_flops == PRODUCTS
    found = {(c.kind.removesuffix("-start"), c.axes): c.payload_bytes * c.executions for c in counted.compiled.collectives}
    assert found == sent
    assert counted.kept_bytes == sum(a.bytes for a in step.local_arguments)
    assert step.memory.alias_bytes == step.memory.output_bytes >= step.local_arguments[0].bytes  # in tiles on a TPU


@pytest.fixture
def ahead_of_time(tmp_path):
    """(device, mesh, shardings) -> the step compiled in a process of its own, and its target."""
    import pickle
    import subprocess
    import sys
    from pathlib import Path

    def compiled(device, mesh, shardings):
        target = resolve(device, read_mesh(mesh))
        if target.problem:
            pytest.skip(target.problem)
        file = tmp_path / "made.pickle"
        said = pickle.dumps((description(target), shardings, str(file))).hex()
        environ = environment(target.platform, target.attached, target.devices)
        environ["PYTHONPATH"] += f":{Path(__file__).parent}:{Path(__file__).parent.parent}"
        subprocess.run([sys.executable, "-c", f"import test_mesh; test_mesh._compile('{said}')"], env=environ, check=True)
        step = lower_step(_step(shardings), target, "default").step
        made = pickle.loads(file.read_bytes())
        return completed(step, made, {}), target

    return compiled


def _compile(said):
    """In the process of ``ahead_of_time``: the step for the place that is described."""
    import pickle
    from pathlib import Path

    from cr_jax.targets.worker import _place

    place, shardings, file = pickle.loads(bytes.fromhex(said))
    Path(file).write_bytes(pickle.dumps(compile_for(_step(shardings), _place(place), "default")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cpu", "gpu", "tpu"])
def test_a_models_shares_add_up_to_the_step_and_memory_is_the_compilers(kind):
    if kind != "cpu" and overlay.find(kind) is None:
        pytest.skip(f"needs the {kind} compiler: {overlay.command(kind)}")
    (report,) = profile_devices(Request("dmn", devices=(DEFAULTS[kind],), mesh=read_mesh("data=8"), **SMALL))
    assert report.target.mesh == {"data": 8}
    assert report.target.devices == 8
    for step in report.steps:
        account = step.matmul_account
        assert account is not None
        assert account.devices == 8
        shared = 8 * (account.compiled_flops + account.as_multiply_and_sum_flops)
        assert account.traced_flops == shared - account.replicated_flops + account.removed_flops
        assert account.replicated_flops + account.removed_flops < 0.02 * account.traced_flops
        memory = step.memory
        assert memory.peak_bytes == memory.argument_bytes + memory.output_bytes + memory.temp_bytes - memory.alias_bytes
        assert memory.argument_bytes - memory.padding_bytes + memory.dropped_bytes == sum(memory.roles_bytes.values())
    train = report.steps[0]
    assert train.per.flops_per_example == pytest.approx(8 * train.per.flops_per_step / 64)
    assert train.per.flops_per_epoch == pytest.approx(8 * train.per.flops_per_step * train.per.steps_per_epoch)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"hops": "2", "hidden": "64"}], ids=["published", "other sizes"])
def test_the_gradients_of_dmn_are_summed_once_for_every_use_of_a_weight(settings):
    """One all-reduce of more numbers than there are weights: XLA sums the uses of a weight after it, not before."""
    if overlay.find("gpu") is None:
        pytest.skip(f"needs the GPU compiler: {overlay.command('gpu')}")
    request = Request("dmn", devices=("h100",), mesh=read_mesh("data=8"), phases=("train",), settings=settings)
    (report,) = profile_devices(request)
    config, (step,) = report.model.config, report.steps
    embedding, hidden, again = config["embedding"], config["hidden"], config["hops"] - 1

    def gru(inputs):
        return 3 * hidden * (inputs + hidden)

    more = (
        gru(embedding)  # the encoder reads the facts and the question
        + again * 3 * hidden * hidden  # hidden side of the episodes' unit; its inputs, the facts, are those of every hop
        + again * gru(hidden)  # the memory's unit
        + again * (7 * hidden * hidden + hidden)  # both layers of the gate
        + 2  # cross-entropy and hits
    )
    sent = sum(one.payload_bytes * one.executions for one in step.collectives)
    assert {one.axes for one in step.collectives} == {("data",)}
    assert sent == 4 * (report.parameters.trainable + more)
    if not settings:
        assert (report.parameters.trainable, more, sent) == (329_825, 40_706, 1_482_124)


def test_devices_along_the_axes_in_order():
    import numpy as np

    devices = np.array(jax.devices("cpu")[:1])
    mesh = _mesh([("data", 1), ("model", 1)], devices)
    assert mesh.axis_names == ("data", "model")
    assert mesh.devices.shape == (1, 1)
    assert Place("cpu", mesh=mesh).mesh is mesh
