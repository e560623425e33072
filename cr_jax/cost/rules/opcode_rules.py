"""The rule of each opcode. An opcode that is in none of these sets is reported as not counted.

Criterion for FREE: the operation names, groups or reinterprets values (or ends an asynchronous one
whose start was counted); it computes nothing and moves no byte of an array.
"""

# Tables: one entry a line would be hundreds of lines.
# fmt: off
FREE = frozenset({
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency",
    "optimization-barrier", "opt-barrier", "partition-id", "replica-id", "domain", "get-dimension-size",
    "set-dimension-size", "copy-done", "slice-done", "dynamic-slice-done", "dynamic-update-slice-done", "async-done",
    "async-update", "all-reduce-done", "all-gather-done", "reduce-scatter-done", "all-to-all-done",
    "ragged-all-to-all-done", "collective-broadcast-done", "collective-permute-done", "send-done", "recv-done",
})

#: Moves bytes, computes nothing.
MOVEMENT = frozenset({
    "copy", "copy-start", "slice-start", "transpose", "reshape", "broadcast", "slice", "pad", "concatenate",
    "reverse", "iota", "dynamic-slice", "dynamic-update-slice", "bitcast-convert", "dynamic-reshape",
})
GATHER = frozenset({"gather"})

#: One floating-point operation per element of the result; integer where the result is.
ARITHMETIC = frozenset({
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "negate", "abs", "sign", "floor", "ceil",
    "round-nearest-afz", "round-nearest-even", "remainder", "clamp", "real", "imag", "complex",
    "reduce-precision", "stochastic-convert",
})

#: One operation per element that is no floating-point arithmetic; XLA calls it a FLOP.
INTEGER = frozenset({
    "compare", "select", "and", "or", "xor", "not", "shift-left", "shift-right-logical",
    "shift-right-arithmetic", "popcnt", "count-leading-zeros", "is-finite", "convert",
})

#: One transcendental per element of the result.
TRANSCENDENTAL = frozenset({
    "exponential", "exponential-minus-one", "log", "log-plus-one", "logistic", "power", "sqrt", "rsqrt", "cbrt",
    "tanh", "sine", "cosine", "tan", "atan2", "erf", "acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh",
})

ELEMENTWISE = ARITHMETIC | INTEGER | TRANSCENDENTAL

COLLECTIVE = frozenset(
    name + suffix
    for name in ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute",
                 "collective-broadcast", "ragged-all-to-all")
    for suffix in ("", "-start")
)

#: Operations with a rule of their own in ``cr_jax.cost.rules.instruction_rules``, and their family.
SPECIAL = {
    "dot": "matmul", "convolution": "convolution", "reduce": "reduce", "reduce-window": "reduce",
    "select-and-scatter": "reduce", "scatter": "scatter", "map": "elementwise", "sort": "sort", "topk": "sort",
    "rng": "random", "rng-bit-generator": "random", "rng-get-and-update-state": "random", "fft": "fft",
    "cholesky": "linear-algebra", "triangular-solve": "linear-algebra", "custom-call": "custom-call",
}

#: Operations that run other computations; handled by the walk.
CONTROL = frozenset({"fusion", "call", "while", "conditional", "async-start"})

#: The field of ``Cost`` that one element of the result adds 1 to, for operations without a rule of their own; of
#: ``ARITHMETIC``, where the element is a float. "": none.
PER_ELEMENT = (
    dict.fromkeys(FREE | MOVEMENT | GATHER, "") | dict.fromkeys(ARITHMETIC, "other_flops")
    | dict.fromkeys(INTEGER, "integer_ops") | dict.fromkeys(TRANSCENDENTAL, "transcendentals")
)

FAMILY = (
    dict.fromkeys(MOVEMENT, "movement")
    | dict.fromkeys(ELEMENTWISE, "elementwise")
    | dict.fromkeys(COLLECTIVE, "collective")
    | SPECIAL
    | {"gather": "gather", "conditional": "conditional"}
)

#: ``PER_ELEMENT`` and ``FAMILY`` of the operations that have both; the free ones have no family.
SIMPLE = {name: (kind, "" if name in FREE else FAMILY[name]) for name, kind in PER_ELEMENT.items()}

#: Families from the cheapest to the most expensive. A fusion's bytes belong to the most expensive one inside it.
RANK = ("movement", "elementwise", "random", "reduce", "gather", "scatter", "sort", "fft", "linear-algebra",
        "custom-call", "collective", "matmul", "convolution")

#: Custom calls that only place, name or annotate buffers, or (``GatherScatterIndicesBitpacked``) mark
#: how the indices of a gather inside a TPU fusion are laid out.
FREE_CALLS = frozenset({
    "AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound", "GatherScatterIndicesBitpacked", "Sharding",
    "SPMDFullToShardShape", "SPMDShardToFullShape", "xla.sdy.FuncResultSharding", "xla.sdy.GlobalToLocalShape",
    "xla.sdy.LocalToGlobalShape", "MoveToHost", "MoveToDevice", "annotate_device_placement", "PinToDevice",
    "Unpin", "Pin", "AsyncCollectiveStart", "AsyncCollectiveDone", "X64Combine", "X64SplitLow", "X64SplitHigh",
})

#: Custom calls that do one integer operation per element of their result.
INTEGER_CALLS = frozenset({"cu_lu_pivots_to_permutation", "hip_lu_pivots_to_permutation"})

#: Custom calls that sort or select the largest elements, on any backend.
TOP_K_CALLS = frozenset({
    "TopK", "__gpu$TopK", "PartialReduce", "ApproxTopK", "stablehlo.dynamic_top_k", "xla.gpu.ext.cub_sort_keys",
    "__cub$DeviceRadixSort", "__cub$DeviceRadixSortUnassignedScratchSize",
})
# fmt: on
