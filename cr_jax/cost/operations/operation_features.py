"""Features of an operation, fused or not, that decide its time: products, slices, reductions, gathered rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from cr_jax.cost.operations.products import Convolution, Product, dot_product, equivalent_product, image_convolution
from cr_jax.cost.rules import instruction_rules, opcode_rules
from cr_jax.hlo.module import Computation, HloModule, Instruction
from cr_jax.hlo.shapes import Shape

#: Elements of a short row.
NARROW = 64


@dataclass
class Features:
    """Features of one operation, summed over everything fused into it; ``Operation`` documents each."""

    products: list[Product] = field(default_factory=list[Product])
    convolutions: list[Convolution] = field(default_factory=list[Convolution])
    slices: int = 0
    transcendental: bool = False
    joined: bool = False
    argmax: int = 0
    reduced: int = 0
    minor: int = 0
    single: int = 0
    roots: int = 0
    divisions: int = 0
    powers: int = 0
    narrow_tanhs: int = 0
    transposed: int = 0
    rows: int = 0
    row_bytes: int = 0
    sorted_elements: int = 0
    sorted_keys: int = 0

    @property
    def cut(self) -> bool:
        """Whether slices are cut from two or more arrays."""
        return self.slices >= 2

    @property
    def scalarised(self) -> bool:
        """Whether the CPU compiler makes scalar code of it: it is cut, and has a transcendental."""
        return self.cut and self.transcendental

    def include(self, other: "Features") -> None:
        """Add the features of an operation that is fused into this one."""
        self.products += other.products
        self.convolutions += other.convolutions
        self.slices = max(self.slices, other.slices)
        self.transcendental |= other.transcendental
        self.joined |= other.joined
        self.argmax += other.argmax
        self.reduced += other.reduced
        self.minor += other.minor
        self.single += other.single
        self.roots += other.roots
        self.divisions += other.divisions
        self.powers += other.powers
        self.narrow_tanhs += other.narrow_tanhs
        self.transposed += other.transposed
        self.rows += other.rows
        self.row_bytes = max(self.row_bytes, other.row_bytes)
        self.sorted_elements += other.sorted_elements
        self.sorted_keys = max(self.sorted_keys, other.sorted_keys)


class FeatureTable:
    """Features of a module's instructions. Each fused computation is computed once."""

    def __init__(self, module: HloModule) -> None:
        self._module = module
        self._known: dict[str, Features] = {}

    def of(self, instruction: Instruction) -> Features:
        """Features of an instruction, or of everything that is fused into it."""
        if instruction.opcode == "fusion":
            return self._inside(instruction.callee or self._module.find(instruction.called("calls"), instruction))
        features = Features()
        rule = _RULES.get(instruction.opcode)
        if rule is not None:
            rule(features, instruction)
        return features

    def _inside(self, computation: Computation) -> Features:
        known = self._known.get(computation.name)
        if known is not None:
            return known
        known, by_opcode, sliced = Features(), _RULES, False
        for instruction in computation.instructions:
            opcode = instruction.opcode
            rule = by_opcode.get(opcode)
            if rule is not None:
                rule(known, instruction)
            elif opcode == "dynamic-slice":
                sliced = True
            elif opcode in ("fusion", "call"):
                name = instruction.called("calls") or instruction.called("to_apply")
                known.include(self._inside(self._module.find(name, instruction)))
        if sliced:
            known.slices = max(known.slices, _slices(computation))
        self._known[computation.name] = known
        return known


def _custom_call(inside: Features, instruction: Instruction) -> None:
    if instruction_rules.call_target(instruction) in opcode_rules.TOP_K_CALLS:
        _sort(inside, instruction)
    elif len(instruction.operands) > 1:
        _library_product(inside, instruction)


def _dot(inside: Features, instruction: Instruction) -> None:
    inside.products.append(dot_product(instruction))


def _library_product(inside: Features, instruction: Instruction) -> None:
    convolved = image_convolution(instruction)
    product = equivalent_product(instruction)
    inside.products += [product] if product else []
    inside.convolutions += [convolved] if convolved and product else []


def _transcendental(inside: Features, instruction: Instruction) -> None:
    if not instruction.shape.is_float:
        return
    opcode, elements = instruction.opcode, instruction.shape.elements
    inside.transcendental = True
    if opcode in ("sqrt", "rsqrt"):
        inside.roots += elements
    elif opcode in ("power", "atan2"):
        inside.powers += elements
    elif opcode == "tanh" and _narrow(instruction.shape):
        inside.narrow_tanhs += elements


def _division(inside: Features, instruction: Instruction) -> None:
    inside.divisions += instruction.shape.elements


def _concatenation(inside: Features, instruction: Instruction) -> None:
    inside.joined |= _joined(instruction)


def _reordering(inside: Features, instruction: Instruction) -> None:
    inside.transposed += _transposed(instruction)


def _reduction(inside: Features, instruction: Instruction) -> None:
    operands = instruction.operands
    shape = operands[0].shape
    inside.reduced += shape.elements
    order = shape.order
    if order and order[0] in instruction.numbers("dimensions"):
        inside.minor += shape.elements
    elif len(order) > 2 and shape.dims[order[-1]] == 1:
        inside.single += shape.elements
    if len(operands) > 2:
        inside.argmax += shape.elements


def _gathering(inside: Features, instruction: Instruction) -> None:
    moved = instruction.shape if instruction.opcode == "gather" else instruction.operands[-1].shape
    width = _row(instruction, moved)
    inside.rows += moved.elements // max(1, width)
    inside.row_bytes = max(inside.row_bytes, width * moved.bytes // max(1, moved.elements))


def _sort(inside: Features, instruction: Instruction) -> None:
    if instruction.operands:
        keys, axis = instruction.operands[0].shape, (instruction.numbers("dimensions") or (-1,))[0]
        inside.sorted_elements += keys.elements
        inside.sorted_keys = max(inside.sorted_keys, keys.dims[axis] if keys.dims else 1)


#: The features that an instruction adds, by opcode; others add nothing.
_RULES: dict[str, Callable[[Features, Instruction], None]] = {
    **dict.fromkeys(opcode_rules.TRANSCENDENTAL, _transcendental),
    "dot": _dot,
    "convolution": _library_product,
    "custom-call": _custom_call,
    "divide": _division,
    "remainder": _division,
    "concatenate": _concatenation,
    "copy": _reordering,
    "transpose": _reordering,
    "reduce": _reduction,
    "gather": _gathering,
    "scatter": _gathering,
    "sort": _sort,
    "topk": _sort,
}


def _narrow(shape: Shape) -> bool:
    """Whether a matrix's rows in memory are short: the CPU compiler's tanh then runs at a fraction of its rate."""
    return len(shape.order) > 1 and 1 < shape.dims[shape.order[0]] <= NARROW


def _joined(instruction: Instruction) -> bool:
    """Whether computed parts are joined within a row, where the CPU compiler selects the part for each element."""
    order = instruction.shape.order
    within = bool(order) and order[0] in instruction.numbers("dimensions")
    return within and any(not _given(operand) for operand in instruction.operands)


def _given(value: Instruction) -> bool:
    while value.opcode in ("bitcast", "reshape", "slice", "dynamic-slice", "copy", "broadcast") and value.operands:
        value = value.operands[0]
    return value.opcode in ("parameter", "constant")


def _transposed(instruction: Instruction) -> int:
    """Elements whose order in memory a copy or transposition changes."""
    before, after = instruction.operands[0].shape, instruction.shape
    axes = instruction.numbers("dimensions") if instruction.opcode == "transpose" else tuple(range(len(after.dims)))
    real = [axes[d] for d in after.order if after.dims[d] > 1]
    return after.elements if real != [d for d in before.order if before.dims[d] > 1] else 0


def _row(instruction: Instruction, moved: Shape) -> int:
    """Elements of one gathered or scattered row."""
    sizes = instruction.numbers("slice_sizes")
    if sizes:
        return prod(sizes)
    return prod(moved.dims[d] for d in instruction.numbers("update_window_dims"))


def _slices(computation: Computation) -> int:
    """The most slices that one value from a dynamic-slice is cut into."""
    users: dict[int, int] = {}
    origin: dict[int, int] = {}
    for instruction in computation.instructions:
        if instruction.opcode == "dynamic-slice":
            origin[id(instruction)] = id(instruction)
        elif instruction.opcode in ("bitcast", "reshape", "copy") and id(instruction.operands[0]) in origin:
            origin[id(instruction)] = origin[id(instruction.operands[0])]
        elif instruction.opcode == "slice" and id(instruction.operands[0]) in origin:
            root = origin[id(instruction.operands[0])]
            users[root] = users.get(root, 0) + 1
    return max(users.values(), default=0)
