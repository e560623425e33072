"""Products of whole numbers, of 8-bit floats, of mixed and of complex numbers. A complex multiply-add is four real ones."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Compiled, Program, array, meetings, product

ROWS, INNER, COLUMNS = 6, 8, 5
_LAST = (((1,), (0,)), ((), ()))
_THREE_OF_FOUR = "a complex product is three real ones, of sums of the parts, instead of four"


def whole_numbers_of_8_bits() -> Program:
    def multiply(x, w):
        return lax.dot_general(x, w, _LAST, preferred_element_type=jnp.int32)

    arguments = array(ROWS, INNER, dtype=jnp.int8), array(INNER, COLUMNS, dtype=jnp.int8)
    return Program(multiply, arguments, product(ROWS, INNER, COLUMNS))


def quantised_on_the_fly() -> Program:
    def multiply(x, w, scale):
        largest = jnp.max(jnp.abs(x), -1, keepdims=True) / 127
        q = jnp.round(x / largest).astype(jnp.int8)
        return lax.dot_general(q, w, _LAST, preferred_element_type=jnp.int32).astype(jnp.float32) * largest * scale

    arguments = array(ROWS, INNER), array(INNER, COLUMNS, dtype=jnp.int8), array(1, COLUMNS)
    return Program(multiply, arguments, product(ROWS, INNER, COLUMNS))


def floats_of_8_bits() -> Program:
    def multiply(x, w):
        return lax.dot_general(x, w, _LAST, preferred_element_type=jnp.float32)

    arguments = array(ROWS, INNER, dtype=jnp.float8_e4m3fn), array(INNER, COLUMNS, dtype=jnp.float8_e4m3fn)
    return Program(multiply, arguments, product(ROWS, INNER, COLUMNS))


def weights_of_4_bits() -> Program:
    def multiply(x, w, scale):
        return jnp.einsum("rgi,gic,gc->rc", x, w.astype(jnp.float32), scale)

    groups = 2
    arguments = array(ROWS, groups, INNER), array(groups, INNER, COLUMNS, dtype=jnp.int4), array(groups, COLUMNS)
    flops = product(groups, INNER, COLUMNS) + product(ROWS, groups * INNER, COLUMNS)  # scaled weights, then the rows
    return Program(multiply, arguments, flops)


def half_precision_in_a_wide_sum() -> Program:
    def multiply(x, w):
        return jnp.matmul(x, w, preferred_element_type=jnp.float32)

    arguments = array(ROWS, INNER, dtype=jnp.bfloat16), array(INNER, COLUMNS, dtype=jnp.bfloat16)
    compiled = {"cuda": Compiled(product(8, INNER, 8), "16-bit rows and columns are padded to whole eights for tensor cores")}
    return Program(multiply, arguments, product(ROWS, INNER, COLUMNS), compiled=compiled)


def complex_products() -> Program:
    def evolve(u, state):
        return lax.fori_loop(0, 3, lambda _, s: jnp.einsum("ij,bj->bi", u, s), state)

    arguments = array(INNER, INNER, dtype=jnp.complex64), array(ROWS, INNER, dtype=jnp.complex64)
    one = product(ROWS, INNER, INNER)
    return Program(evolve, arguments, 3 * 4 * one, compiled={"tpu": Compiled(3 * 3 * one, _THREE_OF_FOUR)})


def gates_of_a_quantum_circuit() -> Program:
    qubits, depth = 4, 3

    def circuit(gates, state):
        state = state.reshape((2,) * qubits)
        for layer in range(depth):
            for qubit in range(qubits):
                state = jnp.moveaxis(jnp.tensordot(gates[layer, qubit], state, axes=(1, qubit)), 0, qubit)
        return state

    arguments = array(depth, qubits, 2, 2, dtype=jnp.complex64), array(2**qubits, dtype=jnp.complex64)
    gates = depth * qubits * product(2, 2, 2 ** (qubits - 1))
    return Program(circuit, arguments, 4 * gates, compiled={"tpu": Compiled(3 * gates, _THREE_OF_FOUR)})


def gradient_of_complex_products() -> Program:
    """The squared magnitude needs the product; the gradient of the matrix is one more, and the state is data."""

    def loss(u, state):
        return jnp.sum(jnp.abs(state @ u) ** 2)

    arguments = array(INNER, COLUMNS, dtype=jnp.complex64), array(ROWS, INNER, dtype=jnp.complex64)
    one = product(ROWS, INNER, COLUMNS)
    return Program(jax.grad(loss), arguments, 2 * 4 * one, compiled={"tpu": Compiled(2 * 3 * one, _THREE_OF_FOUR)})


def convolution_of_whole_numbers() -> Program:
    def convolve(x, w):
        return lax.conv_general_dilated(
            x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"), preferred_element_type=jnp.int32
        )

    arguments = array(2, 9, 4, dtype=jnp.int8), array(3, 4, 5, dtype=jnp.int8)
    why = "cuDNN's convolutions of whole numbers give 8 bits or floats, not 32 bits (jax-ml/jax#7637)"
    return Program(convolve, arguments, product(2, meetings(9, 3, pad=(1, 1)), 4, 5), compiled={"cuda": Compiled(None, why)})
