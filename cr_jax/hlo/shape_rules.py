"""Shapes of results from those of operands, per opcode, as XLA infers them (``xla/service/shape_inference.cc``).

A rule raises ``Mismatch`` where an instruction's own shape is not the one that follows. Layouts are left out of
the comparison, and in programs for TPUs the precision of floats: their compiler reads and writes either.
"""

from cr_jax.hlo import opcodes
from cr_jax.hlo import shape_rules_arrays as arrays
from cr_jax.hlo import shape_rules_control as control
from cr_jax.hlo import shape_rules_elementwise as elementwise
from cr_jax.hlo.shape_checks import Rule

RULES: dict[str, Rule] = (
    dict.fromkeys(opcodes.UNARY, elementwise.unary)
    | dict.fromkeys(opcodes.BINARY, elementwise.binary)
    | {
        "compare": elementwise.compare,
        "select": elementwise.select,
        "clamp": elementwise.clamp,
        "copy": elementwise.moved,
        "optimization-barrier": elementwise.moved,
        "opt-barrier": elementwise.moved,
        "reduce-precision": elementwise.moved,
        "convert": elementwise.convert,
        "stochastic-convert": elementwise.convert,
        "copy-start": control.copy_start,
        "copy-done": control.copy_done,
        "async-start": control.async_start,
        "async-done": control.async_done,
        "reshape": elementwise.reshape,
        "bitcast": elementwise.bitcast,
        "bitcast-convert": elementwise.bitcast,
        "transpose": elementwise.transpose,
        "broadcast": elementwise.broadcast,
        "reverse": elementwise.reverse,
        "iota": elementwise.iota,
        "concatenate": elementwise.concatenate,
        "slice": elementwise.sliced,
        "dynamic-slice": elementwise.dynamic_slice,
        "dynamic-update-slice": elementwise.dynamic_update_slice,
        "pad": elementwise.pad,
        "dot": arrays.dot,
        "convolution": arrays.convolution,
        "reduce": arrays.reduction,
        "reduce-window": arrays.reduce_window,
        "select-and-scatter": arrays.select_and_scatter,
        "sort": arrays.sorted_arrays,
        "map": arrays.mapped,
        "gather": arrays.gather,
        "scatter": arrays.scatter,
        "tuple": control.tuple_of,
        "get-tuple-element": control.get_tuple_element,
        "fusion": control.fusion,
        "call": control.call,
        "while": control.while_loop,
        "conditional": control.conditional,
        "fft": arrays.fft,
        "cholesky": arrays.square,
        "triangular-solve": arrays.square,
        "all-reduce": control.collective,
        "all-gather": control.elements,
        "reduce-scatter": control.elements,
    }
)
