"""Costs of cuDNN's fused attention (``__cudnn$fmha...``), from the shapes and the mask in the call's configuration.

Products are those of T. Dao, *FlashAttention-2* (arXiv 2307.08691), algorithms 1 and 2: query x key and probabilities x value
forward; backward the first again, for no call carries the probabilities, and the four gradients. A kernel computes at least the
pairs of positions that the mask allows, and at most every pair; which blocks it leaves out is cuDNN's choice. Softmax and its
gradient are counted by the operations of the algorithms per pair.
"""

import re
from dataclasses import dataclass

from cr_jax.cost.cost import Cost
from cr_jax.hlo.module import Instruction
from cr_jax.units import FLOPS_PER_MULTIPLY_ADD

#: What the targets of these calls begin with.
ATTENTION = "__cudnn$fmha"
_PAIRS = re.compile(r'\\?"intermediate_tensor_shape\\?"\s*:\s*\{[^{}]*?\\?"dimensions\\?"\s*:\s*\[([^\]]{1,200})\]')
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)
_MASK = re.compile(r'\\?"mask_type\\?"\s*:\s*\\?"(\w{1,40})', re.ASCII)
_FIGURE = r'\\?"{}\\?"\s*:\s*\\?"?(\d{{1,12}})'
_WINDOW = re.compile(_FIGURE.format("sliding_window_length"), re.ASCII)
_SEGMENTS = re.compile(_FIGURE.format("max_seg_per_batch"), re.ASCII)
#: Masks that follow from the shapes; any other depends on lengths that only the data say, or is not known here.
_STATIC = ("NO_MASK", "CAUSAL", "ALIBI")


@dataclass(frozen=True)
class Attention:
    """least: the products over the pairs that the mask allows. rest: those over the others, and softmax."""

    least: Cost
    rest: Cost


def attention(call: Instruction, target: str) -> Attention | None:
    """The cost of one call; ``None`` where its configuration has no shape of the scores, or its operands do not fit it."""
    shape, mask = _PAIRS.search(call.config), _MASK.search(call.config)
    if shape is None or mask is None or len(call.operands) < 3:
        return None
    sizes = [int(n) for n in _NUMBER.findall(shape[1])]
    query, value = call.operands[0].shape, call.operands[2].shape
    if len(sizes) != 4 or len(query.dims) != 4 or len(value.dims) != 4:
        return None
    batch, heads, queries, keys = sizes
    backward = "Backward" in target
    products = 3 * query.dims[-1] + 2 * value.dims[-1] if backward else query.dims[-1] + value.dims[-1]
    segments = _SEGMENTS.search(call.config)
    packed = mask[1] not in _STATIC or (segments is not None and int(segments[1]) > 1)
    window = _WINDOW.search(call.config)
    allowed = 0 if packed else _allowed(queries, keys, mask[1], int(window[1]) if window else 0)
    pairs, fewest = batch * heads * queries * keys, batch * heads * allowed
    flops = FLOPS_PER_MULTIPLY_ADD * products
    rest = _softmax(pairs, batch * heads * queries * value.dims[-1], target, backward)
    rest.matmul_flops = flops * (pairs - fewest)
    return Attention(Cost(matmul_flops=flops * fewest), rest)


def _allowed(queries: int, keys: int, mask: str, window: int) -> int:
    """Pairs that a mask allows: of the two ways to align queries with fewer or more keys, the one with fewer pairs."""
    if mask == "NO_MASK":
        return queries * keys
    shift = min(0, keys - queries)
    reach = (max(0, min(query + 1 + shift, keys)) for query in range(queries))
    return sum(min(count, window) if window else count for count in reach)


def _softmax(pairs: int, outputs: int, target: str, backward: bool) -> Cost:
    """Scale, maximum, difference and sum of every pair and a division of every output; backward the scaled difference again, the
    gradient's product and difference, its scale, and the row sums of output x its gradient. Bias and dropout add one each.
    """
    extra = ("Bias" in target) * (2 if backward else 1) + ("Dropout" in target)
    per_pair, per_output = (5, 2) if backward else (4, 1)
    return Cost(other_flops=(per_pair + extra) * pairs + per_output * outputs, transcendentals=pairs)
