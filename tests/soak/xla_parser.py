"""What XLA itself says of an HLO text: its parser, then StableHLO's verifier.

The parser ends the whole process on some texts, so it is asked in a worker.
"""

import re

from soak.workers import Died, Hang, Worker

_PLACE = re.compile(r"was parsing \d+:\d+: ")
#: Where an instruction came from, in front of the verifier's reason: names in quotes, or call sites in brackets.
_LOCATION = re.compile(r'^(?:.*callsite\(.*?\)+|"[^"]*"(?:\([^()]*\))?): ')
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|%[\w.\-]+|\b\d+\b|\[[\d,\s<=]*\]|\{[\d,\s]*\}|0x[0-9a-f]+")
#: Reasons that name what they found, cut to what they say of it.
_KINDS = (
    (re.compile(r"(unexpected attribute).*"), r"\1"),
    (
        re.compile(
            r"(instruction already exists|attribute already exists|computation does not exist|expects opcode but sees"
            r"|expects an? [\w ]+ but sees|expects [\w ]+ but sees):.*"
        ),
        r"\1",
    ),
    (re.compile(r"attribute \w+ already exists"), "attribute already exists"),
    (re.compile(r"attribute \w+ is expected but not seen"), "attribute is expected but not seen"),
    (re.compile(r"error parsing attribute \w+"), "error parsing attribute"),
    (re.compile(r"expected primitive type, saw \w+"), "expected primitive type"),
    (re.compile(r"Shape of computation .*"), "shape of a computation is not that of its root"),
    (re.compile(r"[FEW]\d{4} .*?\] (Check failed: \S+).*"), r"\1"),
    (re.compile(r"(out-of-bounds value|duplicate values).*"), r"\1"),
    (re.compile(r"(operand #|result #)\S* must be .*"), r"\1 of another type"),
    (re.compile(r"(type of return operand).*"), r"\1"),
    (re.compile(r"(expect operands to be compatible with \w+ block arguments).*"), r"\1"),
    (re.compile(r"\(/?\w+/[^)]*\)"), ""),
)


def parse_with_xla(text: str) -> str:
    """Empty where XLA takes the text, else its reason."""
    import jaxlib.mlir.ir as ir
    from jax._src.interpreters import mlir
    from jaxlib import _hlo, _jax  # pyright: ignore[reportMissingImports]

    try:
        module = _hlo.hlo_module_from_text(text)
    except UnicodeEncodeError:
        return "parser: no UTF-8"
    except Exception as error:
        return "parser: " + _reason(str(error))
    proto = module.as_serialized_hlo_module_proto()
    try:
        converted = _jax.mlir.xla_computation_to_mlir_module(_hlo.XlaComputation(proto))
    except Exception as error:
        return "conversion: " + _reason(str(error))
    with mlir.make_ir_context():
        try:
            ir.Module.parse(converted)
        except Exception as error:
            return "verifier: " + _reason(str(error))
    return ""


def _reason(message: str) -> str:
    """The line that says why, without the place and the text around it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for line in lines:
        if "error:" in line:
            reason = _PLACE.sub("", line[line.index("error:") :]).replace("error: ", "", 1)
            if reason.strip():
                return _LOCATION.sub("", reason.strip())[:300]
    return (lines[-1] if lines else "no message")[:300]


class XlaParser:
    """XLA's answer for one text after the other."""

    def __init__(self) -> None:
        self._worker: Worker[str, str] = Worker(parse_with_xla)

    def refusal(self, text: str) -> str:
        """Empty where XLA takes the text, else why it does not; a crash of the parser is a refusal."""
        try:
            return self._worker.ask(text)
        except Hang:
            return "parser: takes too long"
        except Died as died:
            checks = [line for line in str(died).splitlines() if "Check failed" in line or line.startswith("ERROR")]
            return "parser: " + (_reason("\n".join(checks)) if checks else "the process ended")

    def close(self) -> None:
        self._worker.stop()


def kind_of(reason: str) -> str:
    """The reason without names and numbers, to tell causes apart."""
    for pattern, short in _KINDS:
        reason = pattern.sub(short, reason)
    return _QUOTED.sub("_", reason)[:120]
