"""Weights and optimizer states of a run: split per objective, stepped, spread over devices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.models.spec import Objective, Weights
from cr_jax.nn.module import Frozen, Module
from cr_jax.records import Workload
from cr_jax.steps.sharding import Sharding
from cr_jax.steps.step import AbstractModel
from cr_jax.steps.train import check_trainable, training_step
from cr_jax.train import hosts

#: A tree's arrays in order.
Arrays = list[jax.Array]


class Layout:
    """Placement of arrays on the devices: batches split by example, weights whole on each, or tables split."""

    def __init__(self, devices: int | None, batch: int, shard_tables: bool = False) -> None:
        """devices: their number; ``None``: all that divide the batch evenly; with several hosts all devices of every host.

        Raises ``BadConfig`` for more than are attached, or a number that does not divide the batch.
        """
        present = jax.devices()
        self.hosts = jax.process_count()
        number = len(present) if devices is None else devices
        if not 1 <= number <= len(present):
            raise BadConfig(f"devices={number}: legal: 1 to {len(present)}, those attached")
        if self.hosts > 1 and number < len(present):
            raise BadConfig(f"devices={number}: with {self.hosts} hosts legal: {len(present)}, all of them")
        if batch % number and (devices is not None or self.hosts > 1):
            raise BadConfig(f"devices={number}: do not divide the batch of {batch}; legal: a divisor of it")
        while batch % number:
            number -= 1
        self.devices, self.batch, self.shard_tables = number, batch, shard_tables
        self.mesh = Mesh(np.array(present[:number]), ("data",))
        self.rules = Sharding({"data": number}, tables="data" if shard_tables else "model")

    def placed(self, tree: PyTree) -> PyTree:
        """The placement of every array in a tree of weights or moments."""
        return jax.tree.map(lambda spec: NamedSharding(self.mesh, spec), self.rules.weights(tree))

    def weights(self, tree: PyTree) -> PyTree:
        """A tree of weights, equal on all hosts, on its devices."""
        return jax.tree.map(hosts.put, tree, self.placed(tree))

    @property
    def everywhere(self) -> NamedSharding:
        """The placement of an array that is whole on each device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def inputs(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | jax.Array]:
        """A batch on the devices. Arrays with a row per example are split by example, the others are whole. A host feeds only its
        own examples to its devices.
        """
        if self.devices == 1:
            return dict(batch)
        places = {name: NamedSharding(self.mesh, spec) for name, spec in self.rules.rows(dict(batch), self.batch).items()}
        if self.hosts == 1:
            return {name: jax.device_put(array, places[name]) for name, array in batch.items()}
        size = self.batch // self.hosts
        mine = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
        return {
            name: hosts.put(array, places[name])
            if places[name].is_fully_replicated
            else jax.make_array_from_process_local_data(places[name], array[mine], array.shape)
            for name, array in batch.items()
        }


@dataclass(frozen=True)
class _Program:
    """One objective's step. trained, frozen and others are indices into all weights."""

    objective: Objective
    trained: list[int]
    frozen: list[int]
    others: list[int]
    moments: Callable[[Arrays], PyTree]  # from its arrays to the optimizer's state
    run: Callable[..., tuple[Arrays, Arrays, dict[str, jax.Array]]]


class TrainState:
    """The model's weights and each objective's moments; ``step`` takes one optimizer step.

    All are held as flat lists, to which a program is applied: JAX would walk the modules' trees anew in every call, in Python,
    which slows a small model's step.
    """

    def __init__(
        self,
        model: AbstractModel,
        objectives: tuple[Objective, ...],
        work: Workload,
        seed: int,
        layout: Layout,
        teachers: tuple[PyTree, ...] = (),
    ) -> None:
        """teachers: those that score within a step, each its weights, frozen weights and item side."""
        check_trainable(model)
        self.model, self.layout = model, layout
        # One program, not one for each initialiser.
        first = jax.jit(lambda: nnx.state(model.spec.build(model.config, nnx.Rngs(seed))))()
        self._weights, self._tree = jax.tree.flatten(layout.weights(first))
        self._seed = seed
        teachers = jax.tree.map(lambda leaf: hosts.put(leaf, layout.everywhere), teachers)
        self._teachers, self._teachers_tree = jax.tree.flatten(teachers)
        self._moments: dict[str, list[jax.Array]] = {}
        self._programs: dict[str, _Program] = {}
        merge = model.merger()
        self.merge: Callable[[Weights], Module] = lambda weights: merge(weights)
        for objective in objectives:
            self._add(objective, work)

    def _add(self, objective: Objective, work: Workload) -> None:
        """The objective's first moments and its program."""
        numbers = self._tree.unflatten(range(len(self._weights)))
        parts = nnx.split_state(numbers, objective.trains, Frozen, ...)
        (trained, tree), (frozen, frozen_tree), (others, others_tree) = map(jax.tree.flatten, parts)
        init = objective.optimizer(self.model.config).init
        weights = tree.unflatten([self._weights[i] for i in trained])
        where = self.layout.placed(jax.eval_shape(init, weights))
        moments, shape = jax.tree.flatten(jax.jit(init, out_shardings=where)(weights))
        step = training_step(self.model, objective, work)

        def run(
            trained: Arrays,
            moments: Arrays,
            others: Arrays,
            frozen: Arrays,
            batch: dict[str, jax.Array],
            number: jax.Array,
            teachers: Arrays,
            *counter: jax.Array,
        ) -> tuple[Arrays, Arrays, dict[str, jax.Array]]:
            key = jax.random.fold_in(jax.random.key(self._seed), number)
            results = step.function(
                tree.unflatten(trained),
                shape.unflatten(moments),
                others_tree.unflatten(others),
                frozen_tree.unflatten(frozen),
                batch,
                key,
                *counter,
                *([self._teachers_tree.unflatten(teachers)] if "teachers" in step.names else []),
            )
            return jax.tree.leaves(results[0]), jax.tree.leaves(results[1]), results[2]

        places = (jax.tree.leaves(self.layout.placed(weights)), jax.tree.leaves(where), self.layout.everywhere)
        self._moments[objective.name] = moments
        self._programs[objective.name] = _Program(
            objective, trained, frozen, others, shape.unflatten, jax.jit(run, donate_argnums=step.donated, out_shardings=places)
        )

    def step(self, name: str, batch: Mapping[str, np.ndarray | jax.Array], number: int, counter: int) -> dict[str, jax.Array]:
        """One optimizer step of objective ``name``. number: chooses the key; counter: steps of all objectives so far."""
        program, weights = self._programs[name], self._weights
        extra = (np.int32(counter),) if program.objective.shared_counter else ()
        trained, self._moments[name], metrics = program.run(
            [weights[i] for i in program.trained],
            self._moments[name],
            [weights[i] for i in program.others],
            [weights[i] for i in program.frozen],
            batch,
            np.uint32(number),
            self._teachers,
            *extra,
        )
        for i, new in zip(program.trained, trained, strict=True):
            weights[i] = new
        return metrics

    @property
    def weights(self) -> Weights:
        """All weights; not to be kept across a step, which reuses their memory."""
        return self._tree.unflatten(self._weights)

    @property
    def tested(self) -> Weights:
        """All weights for tests, which each of several hosts runs by itself on its first device."""
        if self.layout.hosts == 1:
            return self.weights
        return jax.tree.map(lambda leaf: jax.device_put(hosts.whole(leaf), jax.local_devices()[0]), self.weights)

    def set_weights(self, flat: Mapping[str, np.ndarray | jax.Array]) -> None:
        """Weights from ``named(weights)``."""
        self._weights = jax.tree.leaves(self.layout.weights(unnamed(self.weights, flat)))

    def _moments_of(self, name: str) -> PyTree:
        return self._programs[name].moments(self._moments[name])

    def arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """Everything a step changes, on the host, by name."""
        trees = {"weights": named(self.weights)}
        return trees | {f"moments.{name}": named(self._moments_of(name)) for name in self._programs}

    def set_arrays(self, arrays: Mapping[str, Mapping[str, np.ndarray | jax.Array]]) -> None:
        """The inverse of ``arrays``."""
        self.set_weights(arrays["weights"])
        for name in self._programs:
            placed = self.layout.weights(unnamed(self._moments_of(name), arrays[f"moments.{name}"]))
            self._moments[name] = jax.tree.leaves(placed)


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """A tree's arrays on the host by dotted path; copies, so that a donated buffer may go."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): hosts.whole(leaf) for path, leaf in leaves}


def shapes(tree: PyTree) -> dict[str, jax.ShapeDtypeStruct]:
    """A tree's shapes by dotted path."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in leaves}


def unnamed(like: PyTree, flat: Mapping[str, np.ndarray | jax.Array]) -> PyTree:
    """The inverse of ``named``, in the structure of ``like``."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    return jax.tree.unflatten(structure, [np.asarray(flat[_name(path)]) for path, _ in leaves])


def _name(path: tuple[object, ...]) -> str:
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
    return ".".join(part.strip(".") for part in parts)
