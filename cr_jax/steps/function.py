"""A user's own function as a step: traced on shapes, never run."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import jax
import numpy as np
from flax import nnx
from jaxtyping import PyTree

from cr_jax.catalog.topologies import Mesh
from cr_jax.errors import BadConfig
from cr_jax.named_objects import TRACEBACK, function_name, line_of
from cr_jax.nn.module_scopes import scoped_modules
from cr_jax.printable import one_line
from cr_jax.records import FunctionLabels, Parameter
from cr_jax.steps.argument_roles import role_of
from cr_jax.steps.function_shardings import mesh_of, own_shardings, split_arguments, split_results, without_shardings
from cr_jax.steps.jit_shardings import jit_shardings, without_jit_shardings
from cr_jax.steps.mapped_function import Mapped, is_mapped
from cr_jax.steps.nnx_arguments import shardings_of, variables
from cr_jax.steps.program_arguments import note_on_wide_types, program_arguments
from cr_jax.steps.step import Step

#: Arguments, by number or by name.
Chosen = int | str | Sequence[int | str]


@dataclass(frozen=True)
class UserFunction:
    """A function with its arguments: arrays, ``jax.ShapeDtypeStruct``, modules, or any pytree of them.

    donate, static: arguments that ``jax.jit`` takes so, by number or name; a function that is jitted already says it itself.
    weights: the arguments that hold weights; ``None``: recognised by their names and types. batch: the arguments whose arrays
    have one row per example. kernels: costs of its custom kernels, as ``cr_jax.analyze`` takes them.
    """

    function: Callable[..., Any]
    arguments: tuple[PyTree, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    donate: Chosen = ()
    static: Chosen = ()
    weights: Chosen | None = None
    batch: Chosen | None = None
    name: str = ""
    kernels: Any = None

    @property
    def title(self) -> str:
        """The name that reports give the function."""
        return self.name or function_name(self.function)


@dataclass(frozen=True)
class FunctionStep:
    """The step of a function, with the weights among its arguments, and the mesh of devices that it runs on together."""

    step: Step
    parameters: tuple[Parameter, ...]
    mesh: Mesh = ()
    notes: tuple[str, ...] = ()
    """What the caller may not expect of types or of the mesh."""


def function_step(user: UserFunction, precision: str, mesh: Mesh = ()) -> FunctionStep:
    """The function traced once, as a step whose arguments are the leaves that the program takes.

    mesh: axes and sizes of the devices that run it together; empty: those that the arguments' own shardings or the function name.
    Raises ``BadConfig`` for a function that cannot be traced on these arguments, and for a mesh that does not divide them.
    """
    jitted = _jitted(user)
    given = abstract((user.arguments, dict(user.keywords)), keep_values=_is_jitted(user.function))
    own = own_shardings(given)
    mesh_of(own, mesh)  # refused before the function is traced
    arguments, keywords = without_shardings(given)
    try:
        with scoped_modules(), jax.default_matmul_precision(precision):
            traced = jitted.trace(*arguments, **keywords)
    except BadConfig:  # of a function made by jax.pmap
        raise
    except Exception as error:  # the function is the user's and may raise anything
        raise BadConfig(_refusal(user.title, error)) from error
    traced = cast(jax.stages.Traced, getattr(traced, "traced", traced))  # NNX wraps JAX's
    leaves = program_arguments(traced, user.arguments)
    donated = tuple(number for number, (_, leaf) in enumerate(leaves) if leaf.donated)
    said = jit_shardings(traced)
    mesh, note = mesh_of(own, mesh, said)
    if said.named and not said.explicit:
        traced = without_jit_shardings(traced, donated)
    named = _names(user)
    wide = note_on_wide_types((user.arguments, dict(user.keywords)), lambda path: _leaf_name(path, named))
    passed = zip(named, user.arguments, shardings_of(user.function, len(named)), strict=True)
    known = {name: variables(argument, sharding) for name, argument, sharding in passed}
    known |= {name: variables(argument) for name, argument in user.keywords.items()}
    chosen = None if user.weights is None else {named[number] for number in _numbers(user, user.weights, "weights")}
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for _, leaf in leaves)
    rows = [_name_and_role(_leaf_name(path, named), leaf.dtype, known, chosen) for path, leaf in leaves]
    step = Step(
        name=user.title,
        labels=FunctionLabels(None if user.batch is None else examples(user)),
        function=jitted,
        arguments=shapes,
        names=tuple(name for name, _ in rows),
        roles=tuple(role for _, role in rows),
        donated=donated,
        modules=(),
        traced_by=lambda: traced,
        shardings=split_arguments(leaves, own, _batch(user), mesh, said) if mesh else None,
        results=split_results(traced, mesh, said) if mesh else None,
    )
    return FunctionStep(step, _parameters(step), mesh, tuple(one for one in (wide, note) if one))


def abstract(tree: PyTree, keep_values: bool = False) -> PyTree:
    """``tree`` with shapes in place of arrays; an array over several devices keeps its sharding.

    keep_values: leave NumPy arrays and Python numbers as they are, for a jitted function may take them as static.
    """

    def shape(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array):
            sharding = getattr(leaf, "sharding", None)
            several = isinstance(sharding, jax.sharding.NamedSharding) and sharding.mesh.size > 1
            weak = bool(getattr(leaf.aval, "weak_type", False))
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding if several else None, weak_type=weak)
        if isinstance(leaf, np.ndarray | np.generic) and not keep_values:
            return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))
        return leaf

    return jax.tree.map(shape, tree)


def _is_jitted(function: object) -> bool:
    return hasattr(function, "trace") and hasattr(function, "lower")


def _jitted(user: UserFunction) -> Any:
    function = user.function
    if _is_jitted(function):
        for option in ("donate", "static"):
            if _listed(getattr(user, option)):
                raise BadConfig(f"{option}: {user.title!r} is jitted, which says it; legal: {option} with a function that is not")
        return function
    if type(function).__module__.partition(".")[0] == "equinox" and hasattr(function, "donate_first"):
        return _equinox(user)
    static, donate = _numbers(user, user.static, "static"), _numbers(user, user.donate, "donate")
    if is_mapped(function):
        return Mapped(function, user.title, static, donate)
    if any(isinstance(leaf, nnx.Module | nnx.Optimizer) for leaf in _modules((user.arguments, user.keywords))):
        return nnx.jit(
            function, static_argnums=static, donate_argnums=donate
        )  # changes that the function makes to a module are results too
    dynamic = tuple(one for number, one in enumerate(user.arguments) if number not in static)
    if all(_is_data(leaf) for leaf in jax.tree.leaves((dynamic, dict(user.keywords)))):
        return jax.jit(function, static_argnums=static, donate_argnums=donate)
    return _Filtered(function, frozenset(static), donate, _is_data)


@dataclass(frozen=True)
class _Filtered:
    """A function that is jitted over the data among its arguments; every other leaf is a constant of the program.

    static: numbers of arguments without data. is_data: tells data from other leaves.
    """

    function: Callable[..., Any]
    static: frozenset[int]
    donate: tuple[int, ...]
    is_data: Callable[[Any], bool]

    def trace(self, *arguments: PyTree, **keywords: PyTree) -> jax.stages.Traced:
        """The function traced on these arguments; results that are no data are left out."""
        trees = [jax.tree.flatten(one) for one in (*arguments, keywords)]

        def only_data(number: int) -> PyTree:
            leaves, structure = trees[number]
            whole = number in self.static
            return structure.unflatten([None if whole or not self.is_data(leaf) else leaf for leaf in leaves])

        def call(*given: PyTree, **named: PyTree) -> PyTree:
            full = []
            for tree, (own, structure) in zip((*given, named), trees, strict=True):
                pairs = zip(structure.flatten_up_to(tree), own, strict=True)
                full.append(structure.unflatten([constant if leaf is None else leaf for leaf, constant in pairs]))
            results = self.function(*full[:-1], **full[-1])
            return jax.tree.map(lambda leaf: leaf if self.is_data(leaf) else None, results)

        call.__name__ = call.__qualname__ = getattr(self.function, "__name__", type(self.function).__name__)
        *positional, named = map(only_data, range(len(trees)))
        return jax.jit(call, donate_argnums=self.donate).trace(*positional, **named)


def _equinox(user: UserFunction) -> Any:
    """``equinox.filter_jit``: arrays are traced, all else is static, Python numbers too."""
    wrapper = cast(Any, user.function)
    numbers = range(len(user.arguments))
    donated = tuple(n for n in numbers if (wrapper.donate_first if n == 0 else wrapper.donate_rest))
    return _Filtered(wrapper.__wrapped__, frozenset(), donated, _is_array)


def _modules(tree: PyTree) -> list[Any]:
    """The outermost NNX modules and optimizers in a tree."""
    return jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, nnx.Module | nnx.Optimizer))


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _is_data(leaf: object) -> bool:
    return isinstance(leaf, bool | int | float | complex) or _is_array(leaf)


def _listed(chosen: Chosen) -> tuple[int | str, ...]:
    return (chosen,) if isinstance(chosen, int | str) else tuple(chosen)


def _names(user: UserFunction) -> list[str]:
    """The parameter name of each positional argument; its number where the signature does not tell."""
    try:
        kinds = inspect.signature(user.function).parameters.values()
    except (TypeError, ValueError):
        kinds = ()
    known = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [known[n] if n < len(known) else f"argument{n}" for n in range(len(user.arguments))]


def _numbers(user: UserFunction, chosen: Chosen, option: str) -> tuple[int, ...]:
    """Argument numbers of a choice by number or name. Raises ``BadConfig`` for one that is not there."""
    named = _names(user)
    numbers = []
    for one in _listed(chosen):
        if isinstance(one, str) and one.lstrip("-").isdigit():
            one = int(one)
        number = named.index(one) if isinstance(one, str) and one in named else one
        if isinstance(number, str) or not 0 <= number < len(named):
            raise BadConfig(f"{option} {one!r}: {user.title!r} is not given such an argument; legal: {_legal(named)}")
        numbers.append(number)
    return tuple(numbers)


def _legal(named: Sequence[str]) -> str:
    return ", ".join(f"{number} ({name})" for number, name in enumerate(named)) or "none, it takes no arguments"


def _batch(user: UserFunction) -> tuple[int, ...]:
    """The numbers of the batch arguments."""
    return () if user.batch is None else _numbers(user, user.batch, "batch")


def argument_shapes(user: UserFunction) -> list[str]:
    """Type and shape of every array among the arguments, such as ``float32[32,64]``; of anything else the name of its type."""
    leaves = jax.tree.leaves(abstract((user.arguments, dict(user.keywords))))
    return [f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]" if _is_array(leaf) else type(leaf).__name__ for leaf in leaves]


def batch_names(user: UserFunction) -> tuple[str, ...]:
    """The names of the batch arguments."""
    named = _names(user)
    return tuple(named[number] for number in _batch(user))


def examples(user: UserFunction) -> int:
    """Rows of the batch arguments' arrays. Raises ``BadConfig`` where they differ or there are none."""
    given = [user.arguments[number] for number in _batch(user)]
    rows = {leaf.shape[0] for leaf in jax.tree.leaves(given) if getattr(leaf, "shape", ())}
    if len(rows) != 1:
        told = " and ".join(map(str, sorted(rows))) or "no"
        raise BadConfig(f"batch {user.batch!r}: its arrays have {told} rows; legal: arrays with one row per example")
    return int(next(iter(rows)))


def with_batch(user: UserFunction, batch: int) -> UserFunction:
    """The function on a batch of another size: the first axis of every array of its batch arguments."""

    def resized(leaf: Any) -> Any:
        if not getattr(leaf, "shape", ()):
            return leaf
        return jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype, sharding=getattr(leaf, "sharding", None))

    arguments = list(user.arguments)
    for number in _batch(user):
        arguments[number] = jax.tree.map(resized, abstract(arguments[number]))
    return UserFunction(**{**vars(user), "arguments": tuple(arguments)})


def _leaf_name(path: tuple[Any, ...], named: Sequence[str]) -> str:
    """``params.dense.kernel`` for a leaf of ``(arguments, keywords)``."""
    kind, *rest = path
    parts = [jax.tree_util.keystr((one,), simple=True) for one in rest]
    if getattr(kind, "idx", 0) == 0 and parts and parts[0].isdigit() and int(parts[0]) < len(named):
        parts[0] = named[int(parts[0])]
    return ".".join(part for part in parts if part).removesuffix(".value") or "argument"


def _name_and_role(
    name: str, dtype: Any, known: Mapping[str, dict[tuple[int, int], tuple[str, str]] | None], weights: Collection[str] | None
) -> tuple[str, str]:
    """The name and the role of a leaf. known: by argument, the variables of an NNX module, which are passed by number."""
    argument, *path = name.split(".")
    own = known.get(argument)
    if own is not None and path[:1] == ["states"] and len(path) == 3 and (place := (int(path[1]), int(path[2]))) in own:
        inside, role = own[place]
        return f"{argument}.{inside}", "weights" if weights is not None and argument in weights else role
    return name, role_of(name, dtype, weights)


def _parameters(step: Step) -> tuple[Parameter, ...]:
    rows = []
    for name, shape, role in zip(step.names, step.arguments, step.roles, strict=True):
        if role != "weights":
            continue
        path = name.partition(".")[2] or name
        path = path.removeprefix("params.")
        size = int(np.prod(shape.shape))
        rows.append(
            Parameter(
                path=path,
                module=path.rpartition(".")[0] or "(none)",
                shape=tuple(shape.shape),
                dtype=str(shape.dtype),
                size=size,
                bytes=size * shape.dtype.itemsize,
                trainable=bool(jax.numpy.issubdtype(shape.dtype, jax.numpy.inexact)),
            )
        )
    return tuple(rows)


def _refusal(title: str, error: Exception) -> str:
    said = one_line(error, 300)
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return f"function {title!r}: a value decides what is computed; legal: name such an argument in static ({said})"
    if isinstance(error, TypeError) and ("abstract array" in said or "valid JAX type" in said):
        return f"function {title!r}: an argument is no array; legal: name it in static, or in static_argnames of jax.jit ({said})"
    if isinstance(error, TypeError) and ("missing" in said or "positional argument" in said):
        return f"function {title!r}: {said}; legal: every argument that it takes"
    return f"function {title!r} raised {type(error).__name__} while it was traced, {line_of(error)}: {said}; {TRACEBACK}"
