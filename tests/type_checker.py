"""The checker of annotations at every call, for jaxtyping's import hook in conftest.py."""

from beartype import BeartypeConf, beartype

#: An int is a float, as PEP 484 and pyright have it.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function):
    """``function`` with its arguments and result checked.

    Constructors are left out: JAX rebuilds a state that is a dataclass with shapes and other leaves for its arrays.
    """
    return function if function.__name__ == "__init__" else _checked(function)
