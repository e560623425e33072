"""A step: one pure function, the shapes of its arguments, and the role of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import PyTree

from cr_jax.models.spec import Filter, Spec, Weights
from cr_jax.nn.module import EXTRA_SCOPES, Frozen, Module, module_paths
from cr_jax.records import Configuration, Labels, Parameter, StepPhase


@dataclass(frozen=True)
class Step:
    """function(*arguments) is pure; ``roles`` and ``names`` label the arguments one by one.

    labels: what the report says about the step beside its costs; they name its phase.
    donated: argument numbers whose buffers the result may reuse. shardings: per argument a tree of ``PartitionSpec``, how it is
    split over a mesh; ``None``: it is on one device. results: the same of the result, ``None`` for what the compiler may choose.
    """

    name: str
    labels: Labels
    function: Callable[..., PyTree]
    arguments: tuple[PyTree, ...]
    names: tuple[str, ...]
    roles: tuple[str, ...]
    donated: tuple[int, ...]
    modules: tuple[str, ...]
    shardings: tuple[PyTree, ...] | None = None
    results: PyTree = None
    traced_by: Callable[[], jax.stages.Traced] | None = None
    """Traces the step as its author jitted it; ``None``: ``function`` is jitted here."""

    def trace(
        self, arguments: tuple[PyTree, ...] | None = None, results: Mapping[str, PyTree] | None = None
    ) -> jax.stages.Traced:
        """The step traced on its abstract arguments, or on others of the same shapes. results: their shardings."""
        if self.traced_by is not None:
            return self.traced_by()
        given = self.arguments if arguments is None else arguments
        return jax.jit(self.function, donate_argnums=self.donated, **(results or {})).trace(*given)

    @property
    def phase(self) -> StepPhase:
        """The phase that the step is part of."""
        return self.labels.phase

    @property
    def objective(self) -> str:
        """The objective that the step trains or validates; empty for any other step."""
        return getattr(self.labels, "objective", "")


@dataclass(frozen=True)
class AbstractModel:
    """A model as shapes: what to merge, its module paths and its parameters."""

    spec: Spec
    config: Configuration
    module: Module

    @property
    def modules(self) -> tuple[str, ...]:
        """Dotted paths of the modules, and the scopes outside them."""
        return (*module_paths(self.module), *EXTRA_SCOPES)

    def split(self, *filters: Filter) -> tuple[Weights, ...]:
        """Abstract states by filter, the rest last; pass them to :meth:`merge` in the same order."""
        _, *states = nnx.split(self.module, *filters, ...)
        return tuple(states)

    def merger(self, *filters: Filter) -> Callable[..., Module]:
        """A function from states, split by these filters, to the module."""
        graph, *_ = nnx.split(self.module, *filters, ...)
        return lambda *states: nnx.merge(graph, *states)

    def parameters(self) -> tuple[Parameter, ...]:
        """Every weight with the module that owns it and whether an objective trains it."""
        objectives = self.spec.objectives(self.config)
        owners = dict(nnx.iter_modules(self.module))
        rows = []
        for path, variable in nnx.to_flat_state(nnx.state(self.module)):
            if isinstance(variable, nnx.RngState):
                continue
            owner = next((owners[path[:n]] for n in range(len(path), -1, -1) if path[:n] in owners), self.module)
            for leaf, value in jax.tree_util.tree_leaves_with_path(variable.get_value()):  # several of a quantised matrix
                rows.append(
                    Parameter(
                        path=".".join(map(str, path)) + jax.tree_util.keystr(leaf),
                        module=getattr(owner, "scope", "") or self.spec.name,
                        shape=tuple(value.shape),
                        dtype=str(value.dtype),
                        size=value.size,
                        bytes=value.size * value.dtype.itemsize,
                        trainable=not isinstance(variable, Frozen) and any(o.trains(path, variable) for o in objectives),
                    )
                )
        return tuple(sorted(rows, key=lambda p: p.path))


def abstract_model(spec: Spec, config: Configuration, dtype: str = "float32") -> AbstractModel:
    """The model's shapes, its float32 weights taken as ``dtype``; no weight is allocated."""
    module = nnx.eval_shape(lambda: spec.build(config, nnx.Rngs(0)))
    if dtype != "float32":
        graph, state = nnx.split(module)
        cast = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype) if leaf.dtype == "float32" else leaf  # noqa: E731
        module = nnx.merge(graph, jax.tree.map(cast, state))
    return AbstractModel(spec, config, module)


def abstract_key() -> jax.ShapeDtypeStruct:
    """The shape of a random key."""
    return jax.eval_shape(lambda: jax.random.key(0))


def state_bytes(tree: PyTree) -> tuple[int, int]:
    """(numbers, bytes) in a tree of shapes."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(leaf.size for leaf in leaves), sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
