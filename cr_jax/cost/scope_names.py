"""The scopes of an operation's name that a person wrote: modules, and not what JAX adds around them.

``jit(step)/transpose(jvp(Model))/while/body/closed_call/layers/attention/dot_general`` is ``Model/layers/attention``. Used for
programs whose modules are unknown; the names of JAX 0.10 to 0.12 are covered.
"""

import re
from collections.abc import Sequence

JITTED = re.compile(r"\b(?:jit|pjit|xla_call)\([^()]*\)")
#: The call of a function that was exported and read again.
EXPORTED = "call_exported"
#: In names made up for nameless operations: the path of an argument, which may or may not begin with modules.
ARGUMENT = "argument-of"
_ARGUMENT = re.compile(rf"{ARGUMENT}\([^()]*\)")
#: A scope, or with a bracket the name of a transformation around scopes.
_PART = re.compile(r"([^/()]+)(\()?")
#: Calls that JAX writes as scopes.
_CALLS = frozenset(
    {
        "pjit",
        "while",
        "xla_call",
        "core_call",
        "closed_call",
        "eval_jaxpr",
        EXPORTED,
        "checkpoint",
        "rematted_computation",
        "remat",
        "custom_jvp",
        "custom_vjp",
        "custom_jvp_call",
        "custom_vjp_call",
        "custom_linear_solve",
        "custom_partitioning",
        "shard_map",
        "pmap",
        "pallas_call",
        "run_state",
        "main",
        "named",
        "dot_general",
        "add_any",
        "conv_general_dilated",
        "~",  # Haiku, between the methods of a module
    }
)
_CHECKPOINTS = ("checkpoint", "remat", "remat2")
_BRANCH = re.compile(r"branch_\d+_fun")


def scopes(op_name: str) -> tuple[str, ...]:
    """The scopes of an operation, the outermost first; without its own name, which is the last part."""
    name = op_name
    if ";" in name:  # of an operation made of several, the last with a path
        name = next((part for part in reversed(name.split(";")) if "/" in part), name)
    path, _, last = _ARGUMENT.sub("", JITTED.sub("", name)).rpartition("/")
    parts = [part for part, bracket in _PART.findall(path) if not bracket]
    found: list[str] = []
    for number, part in enumerate(parts):
        if part in _CHECKPOINTS and "transpose(" in name:
            _once(found)
        if not _is_call(part, parts[number - 1 : number], parts[number + 1 : number + 2]):
            found.append(part.removesuffix(".<lambda>"))
    if last in _CHECKPOINTS and "transpose(" in name:
        _once(found)
    return tuple(found)


def called_from(op_name: str) -> str:
    """The context of what an operation calls: its name, without the last part where that is a primitive."""
    path, separator, last = op_name.rpartition("/")
    return op_name if not separator or "(" in last or last in _CALLS else path


def _is_call(part: str, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether JAX wrote this part. ``body``, ``cond`` and ``scan`` are also names of attributes."""
    if part in _CALLS or "->" in part or _BRANCH.fullmatch(part):  # einsum names its products by their equation
        return True
    follower = after[0] if after else ""
    if part in ("body", "cond") and before == ["while"]:
        return True
    if part == "cond":
        return _BRANCH.fullmatch(follower) is not None
    if part == "scan":
        return follower in ("while", "body")
    return bool(follower) and part == f"{follower}.<lambda>"  # a function that Linen transformed, before its module


def _once(found: list[str]) -> None:
    """Take out the repetition at the end: the gradient of a checkpointed call has the call's scopes twice."""
    for length in range(len(found) // 2, 0, -1):
        if found[-length:] == found[-2 * length : -length]:
            del found[-length:]
            return
