"""Attributes and operands of each opcode, as XLA's parser reads them (``xla/hlo/parser/hlo_parser.cc``).

An opcode that is not here is not checked: the counter lists it as unknown.
"""

import re

from cr_jax.hlo.grammar import BRACES, STRING
from cr_jax.hlo.shapes import BITS

# Tables: one entry a line would be hundreds of lines.
# fmt: off
#: Words that are no names unless "%" is before them.
RESERVED = frozenset({*BITS, "tuple", "true", "false", "inf", "nan", "ROOT", "ENTRY", "HloModule", "maximal", "replicated",
                      "manual", "unreduced", "last_tile_dim_replicate"}) - {"opaque"}
#: Attributes that any instruction may have.
COMMON = frozenset({
    "sharding", "frontend_attributes", "control-predecessors", "parameter_replication", "origin", "original_value",
    "result_accuracy", "statistics", "outer_dimension_partitions", "custom_call_has_side_effect", "backend_config",
})

UNARY = frozenset({
    "abs", "acos", "acosh", "asin", "asinh", "atanh", "cbrt", "ceil", "cosine", "cosh", "count-leading-zeros", "erf",
    "exponential", "exponential-minus-one", "floor", "imag", "is-finite", "log", "log-plus-one", "logistic", "negate",
    "not", "popcnt", "real", "round-nearest-afz", "round-nearest-even", "rsqrt", "sign", "sine", "sinh", "sqrt", "tan",
    "tanh",
})
BINARY = frozenset({
    "add", "and", "atan2", "complex", "divide", "maximum", "minimum", "multiply", "or", "power", "remainder",
    "shift-left", "shift-right-arithmetic", "shift-right-logical", "subtract", "xor",
})

_DOT = ("lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims", "operand_precision", "algorithm",
        "sparsity")
_WINDOWED = ("window", "dim_labels", "feature_group_count", "batch_group_count", "operand_precision", "conv_kind")
_CONVOLUTION = (*_WINDOWED, "convolution_kind", "sparsity_config")
_GROUPS = ("replica_groups", "channel_id")
_REDUCED = (*_GROUPS, "constrain_layout", "use_global_device_ids", "to_apply", "mode")
_PERMUTED = ("source_target_pairs", "channel_id", "slice_sizes")
_GATHERED = (*_GROUPS, "constrain_layout", "use_global_device_ids", "dimensions")
_ALIASED = "output_to_operand_aliasing"
_CHANNEL = ("channel_id", "is_host_transfer")
_ASYNC = ("calls", "async_execution_thread", "output_to_operand_aliasing")

#: Attributes of an opcode beside the common ones.
ATTRIBUTES: dict[str, frozenset[str]] = {name: frozenset[str]() for name in UNARY | BINARY} | {
    name: frozenset(keys)
    for name, keys in {
        "parameter": (), "constant": (), "tuple": (), "copy": (), "bitcast": (), "convert": (), "bitcast-convert": (),
        "clamp": (), "select": (), "dynamic-update-slice": (), "add-dependency": (), "after-all": (), "copy-done": (),
        "optimization-barrier": (), "opt-barrier": (), "partition-id": (), "replica-id": (), "dynamic-reshape": (),
        "stochastic-convert": (),
        "iota": ("iota_dimension",), "get-tuple-element": ("index",), "compare": ("direction", "type", "order"),
        "broadcast": ("dimensions",), "transpose": ("dimensions",), "concatenate": ("dimensions",),
        "reverse": ("dimensions",), "reduce": ("dimensions", "to_apply"), "map": ("dimensions", "to_apply"),
        "sort": ("dimensions", "is_stable", "to_apply"), "slice": ("slice",), "dynamic-slice": ("dynamic_slice_sizes",),
        "pad": ("padding",), "reshape": ("inferred_dimension",), "reduce-precision": ("exponent_bits", "mantissa_bits"),
        "dot": _DOT, "scaled-dot": _DOT, "ragged-dot": (*_DOT, "lhs_ragged_dims", "rhs_group_dims"),
        "convolution": _CONVOLUTION, "reduce-window": ("window", "to_apply"),
        "select-and-scatter": ("window", "select", "scatter"),
        "gather": ("offset_dims", "collapsed_slice_dims", "start_index_map", "operand_batching_dims",
                   "start_indices_batching_dims", "index_vector_dim", "slice_sizes", "indices_are_sorted"),
        "scatter": ("update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims", "input_batching_dims",
                    "scatter_indices_batching_dims", "index_vector_dim", "to_apply", "indices_are_sorted", "unique_indices"),
        "fusion": ("kind", "calls", "output_to_operand_aliasing"), "call": ("to_apply", "is_composite"),
        "while": ("condition", "body"),
        "conditional": ("true_computation", "false_computation", "branch_computations"),
        "custom-call": (*_WINDOWED, "custom_call_target", "operand_layout_constraints", "to_apply",
                        "called_computations", "output_to_operand_aliasing", "padding_type", "literal", "schedule",
                        "api_version", "custom_call_schedule"),
        "fft": ("fft_type", "fft_length"), "cholesky": ("lower",),
        "triangular-solve": ("left_side", "lower", "unit_diagonal", "transpose_a"),
        "rng": ("distribution",), "rng-bit-generator": ("algorithm",), "rng-get-and-update-state": ("delta",),
        "topk": ("k", "largest", "is_stable"), "scan": ("to_apply", "dimensions", "num_carries", "is_reverse", "is_associative"),
        "copy-start": ("cross_program_prefetch_index",), "domain": ("domain",), "infeed": ("infeed_config",),
        "outfeed": ("outfeed_config", "outfeed_shape"), "get-dimension-size": ("dimensions",),
        "set-dimension-size": ("dimensions",), "send": _CHANNEL, "send-done": _CHANNEL, "recv": _CHANNEL,
        "recv-done": _CHANNEL, "async-start": _ASYNC, "async-update": _ASYNC, "async-done": _ASYNC,
        "all-reduce": _REDUCED, "all-reduce-start": (*_REDUCED, _ALIASED), "all-reduce-done": (), "all-gather": _GATHERED,
        "all-gather-start": _GATHERED, "all-gather-done": (), "reduce-scatter": (*_REDUCED, "dimensions"),
        "all-to-all": (*_GROUPS, "constrain_layout", "dimensions"), "ragged-all-to-all": (*_GROUPS, "dimensions"),
        "collective-broadcast": (*_GROUPS, "has_dynamic_root"), "collective-permute": _PERMUTED,
        "collective-permute-start": _PERMUTED, "collective-permute-done": (),
    }.items()
}

_WHOLE, _YES_NO = re.compile(r"\d{1,18}\Z", re.ASCII), re.compile(r"(?:true|false)\Z")
_FLAGS = re.compile(r"(?:true|false|\{(?:true|false)?(?:, ?(?:true|false))*+\})\Z")
_LIST = re.compile(r"\{(?:\d{1,18}(?:, ?\d{1,18})*+)?\}\Z", re.ASCII)
_NAME, _NAMES = re.compile(r"%?[\w.\-]+\Z", re.ASCII), re.compile(r"\{%?[\w.\-]+(?:, %?[\w.\-]+)*+\}\Z", re.ASCII)
_SHARDING = (r"\{(?:replicated|manual|unknown|unreduced|maximal device=\d+|single_device\[device_id=\d+\]|"
             r"devices=\[[\d,]+\](?:<=\[[\d,]+\](?:T\([\d,]+\))?|[\d,]+)"
             r"(?: last_tile_dim_replicate| last_tile_dims=\{[\w, ]*+\})?)(?: metadata=\{[^{}]*+\})?\}")
#: Spelling of the values of attributes with a fixed one.
VALUES: dict[str, re.Pattern[str]] = (
    dict.fromkeys(("index", "iota_dimension", "index_vector_dim", "channel_id", "feature_group_count", "batch_group_count",
                   "exponent_bits", "mantissa_bits", "k", "num_carries", "inferred_dimension", "delta",
                   "cross_program_prefetch_index"), _WHOLE)
    | dict.fromkeys(("is_stable", "indices_are_sorted", "unique_indices", "constrain_layout", "use_global_device_ids",
                     "is_host_transfer", "is_composite", "lower", "left_side", "unit_diagonal", "largest", "is_reverse",
                     "is_associative", "has_dynamic_root", "custom_call_has_side_effect"), _YES_NO)
    | dict.fromkeys(("dimensions", "dynamic_slice_sizes", "lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims",
                     "rhs_batch_dims", "offset_dims", "collapsed_slice_dims", "start_index_map", "operand_batching_dims",
                     "start_indices_batching_dims", "update_window_dims", "inserted_window_dims",
                     "scatter_dims_to_operand_dims", "input_batching_dims", "scatter_indices_batching_dims",
                     "fft_length"), _LIST)
    | dict.fromkeys(("calls", "to_apply", "condition", "body", "true_computation", "false_computation", "select",
                     "scatter"), _NAME)
    | dict.fromkeys(("branch_computations",), _NAMES)
    | {
        "frontend_attributes": re.compile(
            rf"\{{(?:[A-Za-z_][\w.\-]*+=(?:{STRING}|{BRACES})(?:, ?(?=[A-Za-z_])|(?=\}})))*+\}}\Z", re.ASCII
        ),
        "is_scheduled": _YES_NO, "replica_count": _WHOLE, "num_partitions": _WHOLE,
        "allow_spmd_sharding_propagation_to_parameters": _FLAGS, "allow_spmd_sharding_propagation_to_output": _FLAGS,
        "kind": re.compile(r"k(?:Loop|Input|Output|Custom)\Z"),
        "direction": re.compile(r"(?:EQ|NE|GE|GT|LE|LT)\Z"),
        "order": re.compile(r"(?:TOTAL|PARTIAL)\Z"),
        "type": re.compile(r"(?:FLOAT|TOTALORDER|SIGNED|UNSIGNED)\Z"),
        "fft_type": re.compile(r"I?R?FFT\Z"),
        "sharding": re.compile(rf"(?:{_SHARDING}|\{{{_SHARDING}(?:, (?:/\*[^*]*+\*/)?{_SHARDING})*+\}})\Z", re.ASCII),
    }
)
#: Attributes of which later versions of XLA may know more spellings: another one is a doubt, no error.
OPEN = frozenset({"sharding"})

#: Attributes without which XLA refuses the opcode.
REQUIRED: dict[str, tuple[str, ...]] = {
    "iota": ("iota_dimension",), "get-tuple-element": ("index",), "compare": ("direction",), "transpose": ("dimensions",),
    "concatenate": ("dimensions",), "reverse": ("dimensions",), "reduce": ("dimensions", "to_apply"), "map": ("to_apply",),
    "broadcast": ("dimensions",), "get-dimension-size": ("dimensions",), "set-dimension-size": ("dimensions",),
    "scan": ("dimensions", "num_carries", "to_apply"), "domain": ("domain",), "rng-get-and-update-state": ("delta",),
    "sort": ("dimensions", "to_apply"), "slice": ("slice",), "dynamic-slice": ("dynamic_slice_sizes",), "pad": ("padding",),
    "reduce-precision": ("exponent_bits", "mantissa_bits"), "convolution": ("dim_labels",), "reduce-window": ("to_apply",),
    "select-and-scatter": ("select", "scatter"),
    "gather": ("offset_dims", "collapsed_slice_dims", "start_index_map", "index_vector_dim", "slice_sizes"),
    "scatter": ("update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims", "index_vector_dim", "to_apply"),
    "fusion": ("kind", "calls"), "call": ("to_apply",), "while": ("condition", "body"), "custom-call": ("custom_call_target",),
    "fft": ("fft_type", "fft_length"), "topk": ("k",), "all-reduce": ("to_apply",), "all-reduce-start": ("to_apply",),
    "reduce-scatter": ("to_apply", "dimensions"), "all-gather": ("dimensions",), "all-gather-start": ("dimensions",),
    "collective-permute": ("source_target_pairs",), "collective-permute-start": ("source_target_pairs",),
    "async-start": ("calls",), "rng": ("distribution",), "rng-bit-generator": ("algorithm",),
}

#: Number of operands, where it is fixed. (TPU compilers print an async-update with what its start was given.)
OPERANDS: dict[str, int] = dict.fromkeys(UNARY, 1) | dict.fromkeys(BINARY, 2) | dict.fromkeys(
    ("copy", "bitcast", "convert", "bitcast-convert", "broadcast", "transpose", "reshape", "reverse", "slice",
     "get-tuple-element", "while", "fft", "cholesky", "reduce-precision", "optimization-barrier", "opt-barrier",
     "copy-start", "copy-done", "async-done", "all-reduce-done", "all-gather-done", "collective-permute-done",
     "topk", "domain", "get-dimension-size", "infeed", "recv", "recv-done", "send-done"), 1) | dict.fromkeys(
    ("dot", "convolution", "compare", "pad", "triangular-solve", "stochastic-convert", "add-dependency", "gather",
     "outfeed", "send", "set-dimension-size"), 2
) | {"clamp": 3, "select": 3, "select-and-scatter": 3, "parameter": 0, "constant": 0, "iota": 0,
     "partition-id": 0, "replica-id": 0, "rng-get-and-update-state": 0}

#: Attributes that name computations.
CALLING = ("calls", "to_apply", "condition", "body", "branch_computations", "true_computation", "false_computation",
           "select", "scatter", "called_computations")
# fmt: on


def wrapped(opcode: str) -> str | None:
    """The operation that an asynchronous opcode such as ``reduce-scatter-start`` wraps; ``None`` for any other."""
    for suffix in ("-start", "-update", "-done"):
        base = opcode.removesuffix(suffix)
        if base != opcode and (base in ATTRIBUTES or base == "async"):
            return base
    return None


def attributes(opcode: str) -> frozenset[str] | None:
    """The attributes that ``opcode`` may have beside the common ones; ``None`` for an unknown opcode."""
    known = ATTRIBUTES.get(opcode)
    if known is not None:
        return known
    base = wrapped(opcode)
    return ATTRIBUTES.get(base, frozenset()) | frozenset(_ASYNC) if base else None
