"""Matrix products that the compiler carries out without a matrix unit.

For a row times a matrix, and for a product over one element, compilers write a multiplication and a
sum instead. Both keep the product's name (``.../dot_general``); the TPU compiler names only the sum
and the operands that it spreads out, and leaves the multiplication nameless.
"""

from cr_jax.hlo.module import Instruction

_PRODUCTS = ("dot_general", "conv_general_dilated")


def is_product(multiply: Instruction) -> bool:
    """Whether a multiplication belongs to a matrix product, by its own name or an operand's."""
    if multiply.op_name:
        return multiply.shape.is_float and multiply.op_name.endswith(_PRODUCTS)
    return multiply.shape.is_float and any(o.op_name.endswith(_PRODUCTS) for o in multiply.operands)


def product_of_sum(reduce: Instruction) -> Instruction | None:
    """The nameless multiplication under a sum that carries a product's name, unless ``is_product`` has it."""
    summed = reduce.operands[0]
    if summed.opcode != "multiply" or summed.op_name or not reduce.op_name.endswith(_PRODUCTS):
        return None
    return summed if summed.shape.is_float and not is_product(summed) else None
