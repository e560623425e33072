"""Cases of models and of a user's functions, which benchmarks and sweeps measure alike."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from cr_jax.measure.case import Case, Prepared, prepare
from cr_jax.measure.function_case import FunctionCase, PreparedFunctions, prepare_functions

AnyCase: TypeAlias = Case | FunctionCase
AnyPrepared: TypeAlias = Prepared | PreparedFunctions


def read_case(fields: Mapping[str, Any]) -> AnyCase:
    """The case of these fields, as a request to a worker has them."""
    if "functions" not in fields:
        return Case(**fields)
    return FunctionCase(**{**fields, "functions": tuple(fields["functions"])})


def prepare_case(case: AnyCase) -> AnyPrepared:
    """The case with its steps. Raises ``CrJaxError`` for anything that a caller can mend."""
    return prepare_functions(case) if isinstance(case, FunctionCase) else prepare(case)
