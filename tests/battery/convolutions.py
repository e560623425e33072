"""Convolutions of every kind, and their gradients: only places where a kernel element meets an input element count."""

from math import prod

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Compiled, Program, array, meetings, product, same

BATCH, INPUT, OUTPUT = 2, 4, 6
_TWO = ("NHWC", "HWIO", "NHWC")
_ONE = ("NWC", "WIO", "NWC")


def _convolve(strides, padding, numbers=_TWO, spread=None, dilation=None, groups=1):
    def function(x, w):
        return lax.conv_general_dilated(x, w, strides, padding, spread, dilation, numbers, groups)

    return function


def strided() -> Program:
    met = meetings(11, 3, 2, same(11, 3, 2)) * meetings(9, 5, 2, same(9, 5, 2))
    return Program(
        _convolve((2, 2), "SAME"), (array(BATCH, 11, 9, INPUT), array(3, 5, INPUT, OUTPUT)), product(BATCH, met, INPUT, OUTPUT)
    )


def dilated() -> Program:
    met = meetings(12, 3, dilation=2, pad=same(12, 3, dilation=2)) ** 2
    function = _convolve((1, 1), "SAME", dilation=(2, 2))
    return Program(function, (array(BATCH, 12, 12, INPUT), array(3, 3, INPUT, OUTPUT)), product(BATCH, met, INPUT, OUTPUT))


#: XLA's GPU compiler, where padding is uneven or has holes.
_ZEROS = "cuDNN pads both sides alike: holes and padding are filled with zeros before the convolution, which multiplies them"
#: The transposed convolution filled: six rows with a hole after each but the last, two zeros before and one after.
_FILLED = product(BATCH, meetings(6 + 5 + 3, 3) ** 2, INPUT, OUTPUT)


def transposed() -> Program:
    def function(x, w):
        return lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=_TWO)

    met = meetings(6, 3, pad=(2, 1), spread=2) ** 2
    arguments = array(BATCH, 6, 6, INPUT), array(3, 3, INPUT, OUTPUT)
    return Program(function, arguments, product(BATCH, met, INPUT, OUTPUT), compiled={"cuda": Compiled(_FILLED, _ZEROS)})


def grouped() -> Program:
    function = _convolve((1, 1), "VALID", groups=2)
    arguments = array(BATCH, 8, 8, INPUT), array(3, 3, INPUT // 2, OUTPUT)
    return Program(function, arguments, product(BATCH, 6 * 6 * 3 * 3, INPUT // 2, OUTPUT))


def depthwise() -> Program:
    function = _convolve((1, 1), "SAME", groups=INPUT)
    met = meetings(8, 3, pad=(1, 1)) ** 2
    return Program(function, (array(BATCH, 8, 8, INPUT), array(3, 3, 1, INPUT)), product(BATCH, met, INPUT))


def one_axis_causal() -> Program:
    function = _convolve((1,), [(4, 0)], _ONE, dilation=(2,))
    met = meetings(20, 3, pad=(4, 0), dilation=2)
    filled = product(BATCH, meetings(4 + 20, 3 + 2), INPUT, OUTPUT)  # the kernel's two holes too
    arguments = array(BATCH, 20, INPUT), array(3, INPUT, OUTPUT)
    return Program(function, arguments, product(BATCH, met, INPUT, OUTPUT), compiled={"cuda": Compiled(filled, _ZEROS)})


def three_axes() -> Program:
    function = _convolve((1, 2, 1), "VALID", ("NDHWC", "DHWIO", "NDHWC"))
    met = meetings(5, 2) * meetings(7, 3, 2) * meetings(6, 3)
    return Program(function, (array(BATCH, 5, 7, 6, INPUT), array(2, 3, 3, INPUT, OUTPUT)), product(BATCH, met, INPUT, OUTPUT))


def pointwise() -> Program:
    function = _convolve((1, 1), "VALID")
    return Program(function, (array(BATCH, 5, 5, INPUT), array(1, 1, INPUT, OUTPUT)), product(BATCH * 25, INPUT, OUTPUT))


def _both_gradients(function):
    return jax.grad(lambda x, w: jnp.sum(function(x, w) ** 2), argnums=(0, 1))


def gradients_of_strided() -> Program:
    """Forward, the gradient of the input and that of the kernel: each meets the same pairs of elements."""
    one = strided()
    return Program(_both_gradients(one.function), one.arguments, 3 * one.flops)


def gradients_of_dilated() -> Program:
    one = dilated()
    return Program(_both_gradients(one.function), one.arguments, 3 * one.flops)


def gradients_of_transposed() -> Program:
    """Filled for cuDNN, the result's gradient of 12 rows has one zero more: the kernel's gradient is its convolution with the
    filled input of 11 rows, the input's gradient its convolution with the kernel in steps of two.
    """
    one = transposed()
    kernel, image = (product(BATCH, met**2, INPUT, OUTPUT) for met in (meetings(12 + 1, 11), meetings(12 + 1, 3, stride=2)))
    compiled = {"cuda": Compiled(_FILLED + kernel + image, _ZEROS)}
    return Program(_both_gradients(one.function), one.arguments, 3 * one.flops, compiled=compiled)


def gradients_of_depthwise() -> Program:
    """The kernel's gradient is a convolution with groups of the batch."""
    one = depthwise()
    why = "without groups of a batch, every channel is convolved with every other, of which the diagonal is kept"
    compiled = {"cpu": Compiled((2 + INPUT) * one.flops, why)}
    return Program(_both_gradients(one.function), one.arguments, 3 * one.flops, compiled=compiled)


def gradients_of_three_axes() -> Program:
    one = three_axes()
    return Program(_both_gradients(one.function), one.arguments, 3 * one.flops)


def residual_network_step() -> Program:
    side, width = 8, 4

    def loss(w, x, labels):
        x = lax.conv_general_dilated(x, w["stem"], (1, 1), "SAME", dimension_numbers=_TWO)
        for kernel in w["blocks"]:
            y = (x - x.mean((0, 1, 2))) * lax.rsqrt(x.var((0, 1, 2)) + 1e-5)
            x = x + lax.conv_general_dilated(jax.nn.relu(y), kernel, (1, 1), "SAME", dimension_numbers=_TWO)
        logits = jax.nn.log_softmax(x.mean((1, 2)) @ w["head"])
        return -jnp.take_along_axis(logits, labels[:, None], 1).mean()

    met = meetings(side, 3, pad=(1, 1)) ** 2
    stem, block = product(BATCH, met, 3, width), product(BATCH, met, width, width)
    weights = {"stem": array(3, 3, 3, width), "blocks": [array(3, 3, width, width)] * 2, "head": array(width, 10)}
    flops = 2 * stem + 3 * 2 * block + 3 * product(BATCH, width, 10)
    return Program(jax.grad(loss), (weights, array(BATCH, side, side, 3), array(BATCH, dtype=jnp.int32)), flops)


def patches_and_a_product() -> Program:
    """Patches are cut out by a convolution with an identity kernel, which is a product like any other."""

    def function(x, w):
        patches = lax.conv_general_dilated_patches(x, (3, 3), (1, 1), "VALID", dimension_numbers=_TWO)
        return patches.reshape(BATCH, 36, -1) @ w

    cut, last = product(BATCH, 36 * 9, INPUT * 9), product(BATCH * 36, 9 * INPUT, OUTPUT)
    why = "the channels are no groups any more: the kernel reads all of them for every patch, with zeros for the others"
    arguments, compiled = (array(BATCH, 8, 8, INPUT), array(9 * INPUT, OUTPUT)), {"tpu": Compiled(INPUT * cut + last, why)}
    return Program(function, arguments, cut + last, compiled=compiled)


def depth_and_batch_groups() -> Program:
    def function(x, w):
        return lax.conv_general_dilated(x, w, (1,), "VALID", dimension_numbers=_ONE, batch_group_count=2)

    sizes = BATCH * 2 // 2, meetings(9, 3), INPUT, OUTPUT
    return Program(function, (array(BATCH * 2, 9, INPUT), array(3, INPUT, OUTPUT)), product(prod(sizes)))
