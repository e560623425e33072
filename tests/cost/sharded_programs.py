"""Programs for eight devices, which the texts in ``tests/golden/sharded`` were compiled from.

    python tests/cost/sharded_programs.py cpu|h100|tpu-v5e FOLDER

writes them anew, without what no count reads. For a CPU, XLA_FLAGS=--xla_force_host_platform_device_count=8 must be set. Sizes
are multiples of a TPU's tiles, so that no layout is padded.
"""

import re
import sys
from pathlib import Path

#: Tables of source positions, and facts of operations and configurations that no count reads.
_TABLES = re.compile(r"^(?:FileNames|FunctionNames|FileLocations|StackFrames)\n(?:.+\n)*\n*", re.M)
_FACTS = re.compile(r" ?(?:stack_frame_id=\d+|scheduling_name=\"[^\"]*\")")
_CONFIG = re.compile(r", backend_config=\{.*\}(?=$|, )", re.M)
_KEPT = re.compile(r'"known_trip_count":\{"n":"\d+"\}|"is_sync":true|"estimated_cycles":"\d+"')

VECTORS, WIDTH, HIDDEN, CLASSES, BATCH = 1024, 128, 256, 128, 64
WORDS, LAYERS, TURNS = 8, 5, 7


def shortened(text: str) -> str:
    """The text with its instructions, their names and the keys of their configurations that a count reads."""

    def config(match: re.Match[str]) -> str:
        kept = ",".join(_KEPT.findall(match[0]))
        return f", backend_config={{{kept}}}" if kept else ""

    text = _FACTS.sub("", _TABLES.sub("", text)).replace(", metadata={}", "")
    return _CONFIG.sub(config, text)


def programs(devices):
    """By name: function, abstract arguments, shardings of the results, and the mesh's axes."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    def mesh(**axes):
        return Mesh(np.array(devices).reshape(tuple(axes.values())), tuple(axes))

    def arrays(on, *given):
        return tuple(
            jax.ShapeDtypeStruct(shape, dtype[0] if dtype else jnp.float32, sharding=NamedSharding(on, spec))
            for shape, spec, *dtype in given
        )

    def trained(loss, *numbers):
        def step(*arguments):
            value, gradients = jax.value_and_grad(loss, numbers)(*arguments)
            return (*(arguments[n] - 0.1 * g for n, g in zip(numbers, gradients, strict=True)), value)

        return step

    def program(name, on, step, given, results):
        return name, (step, arrays(on, *given), tuple(NamedSharding(on, spec) for spec in results))

    def batch(columns, *dtype):
        return ((BATCH, columns), P("data"), *dtype), ((BATCH, CLASSES), P("data"))

    data, square = mesh(data=8), mesh(data=4, model=2)

    def two_layers(w, b, v, x, y):
        return jnp.mean((jax.nn.relu(x @ w + b) @ v - y) ** 2)

    yield program(
        "data_parallel",
        data,
        trained(two_layers, 0, 1, 2),
        [
            ((WIDTH, HIDDEN), P()),
            ((HIDDEN,), P()),
            ((HIDDEN, CLASSES), P()),
            ((BATCH, WIDTH), P("data")),
            ((BATCH, CLASSES), P("data")),
        ],
        [P(), P(), P(), P()],
    )

    def looked_up(table, v, rows, y):
        return jnp.mean((table[rows].mean(1) @ v - y) ** 2)

    yield program(
        "sharded_table",
        square,
        trained(looked_up, 0, 1),
        [
            ((VECTORS, WIDTH), P("model")),
            ((WIDTH, CLASSES), P()),
            ((BATCH, WORDS), P("data"), jnp.int32),
            ((BATCH, CLASSES), P("data")),
        ],
        [P("model"), P(), P()],
    )

    def two_products(a, b, x, y):
        h, _ = jax.lax.scan(lambda h, w: (jnp.tanh(h @ w[0]) @ w[1], None), x, (a, b))
        return jnp.mean((h - y) ** 2)

    yield program(
        "two_axes",
        square,
        trained(two_products, 0, 1),
        [
            ((LAYERS, WIDTH, HIDDEN), P(None, None, "model")),
            ((LAYERS, HIDDEN, WIDTH), P(None, "model", None)),
            ((BATCH, WIDTH), P("data")),
            ((BATCH, WIDTH), P("data")),
        ],
        [P(None, None, "model"), P(None, "model", None), P()],
    )

    def stacked(w, x, y):
        h, _ = jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)
        return jnp.mean((h - y) ** 2)

    yield program(
        "sharded_weights",
        data,
        trained(stacked, 0),
        [((LAYERS, 512, 512), P(None, "data", None)), ((1024, 512), P("data")), ((1024, 512), P("data"))],
        [P(None, "data", None), P()],
    )

    cube = mesh(x=2, y=2, z=2)

    def every_kind(a):
        def body(_, a):
            b = jnp.sin(jax.lax.all_gather(jax.lax.psum(a, ("x", "z")), "y", tiled=True))
            c = jax.lax.all_to_all(jax.lax.psum_scatter(b, "y", tiled=True), "z", 0, 1, tiled=True).reshape(a.shape)
            d = jax.lax.ppermute(c, "x", [(0, 1), (1, 0)])
            return jax.lax.all_gather(jnp.cos(d), ("x", "y"), tiled=True)[: a.shape[0]] * 1e-3

        return jax.lax.fori_loop(0, TURNS, body, a)

    every = P(("x", "y", "z"))
    mapped = jax.shard_map(every_kind, mesh=cube, in_specs=every, out_specs=every, check_vma=False)
    yield program("every_kind", cube, lambda a: (mapped(a),), [((8 * 16, 128), every)], [every])

    line = mesh(x=8)
    ragged = jax.shard_map(
        lambda *a: jax.lax.ragged_all_to_all(*a, axis_name="x"), mesh=line, in_specs=P("x"), out_specs=P("x"), check_vma=False
    )
    sizes = ((64,), P("x"), jnp.int32)
    given = [((8 * 16, 128), P("x")), ((8 * 32, 128), P("x")), sizes, sizes, sizes, sizes]
    yield program("ragged", line, lambda *a: (ragged(*a),), given, [P("x")])
    sent = jax.shard_map(lambda a: jax.lax.pbroadcast(a, "x", 2), mesh=line, in_specs=P("x"), out_specs=P("x"), check_vma=False)
    yield program("broadcast", line, lambda a: (sent(a),), [((8 * 16, 128), P("x"))], [P("x")])


def compiled(device: str):
    """By name: the compiled text, where the device's compiler has the program's collectives."""
    import jax
    from jax.experimental import topologies

    devices, platform, options = jax.devices("cpu"), "cpu", {}
    if device != "cpu":
        from cr_jax.targets.resolve import description, resolve

        told = description(resolve(device))
        platform, options = told["platform"], told["options"]
        if platform == "cuda":
            place = topologies.get_topology_desc(platform="cuda", target_config=told["config"], topology="1x1x8")
        else:
            place = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4")
        devices = place.devices
    for name, (step, arguments, results) in programs(devices):
        try:
            lowered = jax.jit(step, out_shardings=results).trace(*arguments).lower(lowering_platforms=(platform,))
            yield name, shortened(lowered.compile(options).as_text())
        except (NotImplementedError, jax.errors.JaxRuntimeError) as error:
            print(f"{name}: {error!s:.100}", file=sys.stderr)


if __name__ == "__main__":
    for name, text in compiled(sys.argv[1]):
        (Path(sys.argv[2]) / f"{name}.{sys.argv[1]}.txt").write_text(text)
