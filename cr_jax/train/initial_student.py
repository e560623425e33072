"""The first weights of a student: its teacher's, where they fit, and its item table from the teacher's by truncated SVD."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.typing import PathParts

from cr_jax.errors import BadConfig
from cr_jax.models.spec import Weights
from cr_jax.nn.item_table import Dense, LowRank, ProductQuantised, fitted
from cr_jax.nn.module import Module

_TABLES = (Dense, LowRank, ProductQuantised)


def initial_student_parameters(teacher: Module, student: Module, copy: bool = True) -> Weights:
    """The student's state, started from the teacher's; both are models of one architecture with arrays, not shapes.

    An item table, of whatever kind, approximates the teacher's: a low-rank one by truncated SVD, a product-quantised one by
    k-means. A student of fewer hidden units takes the table's leading singular directions as its own. copy: every other array
    that has the teacher's path, shape and type takes its value; the rest is as the student was built.

    The student is changed in place. Raises ``BadConfig`` where the two have tables of different items.
    """
    theirs, tables = _arrays(teacher), item_tables(student)
    for path, table in tables.items():
        try:
            table.approximate(fitted(table_at(teacher, path), table.dense().shape))
        except ValueError as error:
            raise BadConfig(f"{'.'.join(map(str, path))}: {error}; legal: a teacher of the same items") from None
    for path, variable in nnx.to_flat_state(nnx.state(student)):
        if copy and not any(path[: len(table)] == table for table in tables):
            mine, given = variable.get_value(), theirs.get(path)
            if given is not None and (given.shape, given.dtype) == (mine.shape, mine.dtype):
                _variable(student, path)[...] = given
    return nnx.state(student)


def item_tables(model: Module) -> dict[PathParts, Dense | LowRank | ProductQuantised]:
    """The item tables of a model by their NNX paths."""
    return {path: table for path, table in nnx.iter_modules(model) if isinstance(table, _TABLES)}


def table_at(model: Module, path: PathParts) -> np.ndarray:
    """The matrix of the item table at ``path``: a weight itself, or what a compressed table stands for."""
    found = _variable(model, path)
    return np.asarray(found[...]) if isinstance(found, nnx.Variable) else found.dense()


def _arrays(model: Module) -> Mapping[PathParts, jnp.ndarray]:
    return {path: variable.get_value() for path, variable in nnx.to_flat_state(nnx.state(model))}


def _variable(model: Module, path: PathParts) -> Any:
    """The variable or the module at a path."""
    found: Any = model
    for key in path:
        found = found[key] if isinstance(key, int) else getattr(found, str(key))
    return found
