"""One execution of an operation on an accelerator: its mechanism, and its class of errors."""

from dataclasses import dataclass

from cr_jax.catalog.precision import matmul_precision, on_tensor_cores
from cr_jax.catalog.times import MissingConstant
from cr_jax.cost.operations.products import Product
from cr_jax.cost.operations.program import Operation
from cr_jax.predict.accelerator import (
    convolutions,
    gathers,
    kernels,
    products_plain,
    products_tensor,
    sorts,
    streams,
    tiling,
    tpu,
)
from cr_jax.predict.accelerator.card import Card
from cr_jax.predict.accelerator.numbers_or_arrays import Numbers, Parts

#: Bytes of an element as a product loads it.
ITEM_BYTES = {"float64": 8, "float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}
#: HLO's names of the types that a report may be made in.
TYPES = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16", "s8": "int8", "u8": "int8"}
#: Rows or columns up to which a product is skinny, as in a recurrent step.
SKINNY = 128


@dataclass(frozen=True)
class Execution:
    """One execution of an operation."""

    seconds: float
    """Seconds on the device, without the launch."""
    compute_s: float
    """Seconds of the arithmetic alone."""
    memory_s: float
    """Seconds on the memory alone."""
    kind: str
    """The class of errors."""
    collective_s: float = 0.0
    """Of the seconds, those of collectives that nothing hides."""
    collective_kind: str = ""
    """The class of errors of its collectives."""


def _execution(seconds: Numbers, parts: Parts, kind: str) -> Execution:
    """The execution of one operation, whose sizes are numbers."""
    return Execution(float(seconds), float(parts.compute_s), float(parts.memory_s), kind)


class Executions:
    """Times of the operations of one program; equal operations are computed once."""

    def __init__(self, card: Card, precision: str) -> None:
        self.card, self.precision = card, precision
        self._known: dict[tuple[object, ...], Execution] = {}
        self._products_known: dict[tuple[Product, float, float], Execution] = {}

    def of(self, operation: Operation) -> Execution:
        """The time of an operation. Raises ``MissingConstant``."""
        key = (
            operation.opcode,
            operation.family,
            operation.products,
            operation.convolutions,
            operation.reads,
            operation.dtype,
            operation.elements,
            operation.output_bytes,
            operation.written_distance,
            operation.cost.hbm_bytes,
            operation.cost.operations,
            operation.cost.transcendentals,
            operation.cycles,
            operation.rows,
            operation.row_bytes,
            operation.reduced_elements,
            operation.minor_elements,
            operation.divisions,
            operation.roots,
            operation.powers,
            operation.sorted_keys,
            operation.kernel,
            operation.cost.matmul_flops,
        )
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._tpu(operation) if self.card.platform == "tpu" else self._gpu(operation)
        return known

    def computed_in(self, dtype: str) -> str:
        """The precision that products of inputs of an HLO type are computed in. Raises ``MissingConstant``."""
        accelerator = self.card.accelerator
        name = TYPES.get(dtype) or (f"float8_{dtype[2:]}" if dtype.startswith("f8") else dtype)
        precision = matmul_precision(accelerator, self.precision, name)
        if precision is None:
            raise MissingConstant(f"{accelerator.name}: the type in which it computes products of {name} is not known")
        return precision

    def _kernel(self, operation: Operation) -> Parts:
        """A kernel whose cost is stated."""
        assert operation.kernel is not None
        dtype, tpu_card = operation.kernel.dtype, self.card.platform == "tpu"
        return (kernels.on_tpu if tpu_card else kernels.on_gpu)(self.card, operation, self.computed_in(dtype) if dtype else None)

    def _tpu(self, operation: Operation) -> Execution:
        if operation.kernel is not None:
            parts = self._kernel(operation)
            return _execution(tpu.seconds(self.card, parts), parts, kernels.kind(operation))
        computed_in = self.computed_in(operation.products[0].dtype) if operation.products else None
        parts = tpu.parts(self.card, operation, computed_in)
        return _execution(tpu.seconds(self.card, parts), parts, "tpu_products" if operation.products else "tpu")

    def _gpu(self, operation: Operation) -> Execution:
        card = self.card
        if operation.kernel is not None:
            parts = self._kernel(operation)
            return _execution(max(parts.compute_s, parts.memory_s), parts, kernels.kind(operation))
        if operation.convolutions:
            return self._convolution(operation)
        if operation.products:
            return self._products(operation)
        if operation.family in ("gather", "scatter") and operation.rows:
            parts = gathers.of_operation(card, operation)
            return _execution(gathers.seconds(card, parts), parts, "gathers")
        if operation.family == "sort":
            return self._sort(operation)
        parts = streams.of_operation(card, operation)
        kind = "reductions" if operation.reduced_elements else f"streams_{card.memory_kind}"
        return _execution(streams.seconds(card, parts), parts, kind)

    def _products(self, operation: Operation) -> Execution:
        """Every product; the rest that the fusion reads and computes is added to the longest one."""
        products = operation.products
        extra = max(0.0, operation.cost.hbm_bytes - sum(self._own_bytes(product, operation) for product in products))
        alone = len(products) == 1
        done = [self._product(product, operation, extra if alone else 0) for product in products]
        longest = max(range(len(done)), key=lambda n: done[n].seconds)
        if extra and not alone:
            done[longest] = self._product(products[longest], operation, extra)
        cost = operation.cost
        lanes = streams.LaneWork(cost.other_flops + cost.integer_ops, transcendentals=cost.transcendentals)
        beside = streams.arithmetic(self.card, lanes)
        parts = Parts(sum(one.compute_s for one in done) + beside, sum(one.memory_s for one in done))
        return _execution(sum(one.seconds for one in done), parts, done[longest].kind)

    def _own_bytes(self, product: Product, operation: Operation) -> float:
        out = operation.output_bytes / max(1, operation.elements)
        item = ITEM_BYTES.get(self.computed_in(product.dtype), 4)
        return product.batch * ((product.m + product.n) * product.k * item + product.m * product.n * out)

    def _product(self, product: Product, operation: Operation, extra: float) -> Execution:
        """One product. extra: bytes that the fusion moves beside its operands and result."""
        out = max(1.0, operation.output_bytes / max(1, operation.elements))
        key = product, out, extra
        known = self._products_known.get(key)
        if known is None:
            known = self._products_known[key] = self._one_product(product, out, extra)
        return known

    def _one_product(self, product: Product, out: float, extra: float) -> Execution:
        computed_in = self.computed_in(product.dtype)
        item = ITEM_BYTES.get(computed_in, 4)
        layout = tiling.Layout(lhs_along_k=product.kind[0] == "n", rhs_along_k=product.kind[1] == "t")
        tensor = on_tensor_cores(self.card.accelerator, computed_in)
        batch = tiling.ProductBatch(product.batch, product.m, product.n, product.k, computed_in, item, out, layout, extra)
        time = (products_tensor if tensor else products_plain).parts(self.card, batch)
        kind = f"products_{computed_in}"
        if not tensor and product.batch == 1 and min(product.m, product.n) <= SKINNY:
            kind = "products_skinny"
        elif kind == "products_float32" and products_plain.limited(self.card):
            kind = "products_float32_limited"
        return _execution(float(time.seconds) + float(time.start), Parts(time.compute, time.memory), kind)

    def _convolution(self, operation: Operation) -> Execution:
        card, many = self.card, len(operation.convolutions)
        total, compute, memory = 0.0, 0.0, 0.0
        for one in operation.convolutions:
            computed_in = self.computed_in(one.dtype)
            peak = card.peaks.get(computed_in) if on_tensor_cores(card.accelerator, computed_in) else None
            parts = convolutions.parts(
                card,
                operation.reads,
                operation.cost.written_bytes / many,
                operation.written_distance,
                convolutions.ImageBatch(one.batch, one.height, one.width, one.channels_in, one.channels_out, one.window),
                winograd=one.plain,
                peak=peak,
                item=ITEM_BYTES.get(computed_in, 4),
            )
            total += float(convolutions.seconds(card, parts))
            compute, memory = compute + float(parts.compute_s), memory + float(parts.memory_s)
        return _execution(total, Parts(compute, memory), "convolutions")

    def _sort(self, operation: Operation) -> Execution:
        """XLA's own sort, or a library's selection of the largest."""
        card, rows = self.card, max(1, operation.sorted_elements // max(1, operation.sorted_keys))
        keys, distance = max(1, operation.sorted_keys), max((read.distance for read in operation.reads), default=0)
        size = operation.cost.read_bytes / max(1, operation.sorted_elements)
        if operation.opcode == "custom-call":
            parts = sorts.selected(card, rows, keys, round(size) or 4, max(1, operation.elements // rows), distance)
        else:
            parts = sorts.bitonic(card, rows, keys, min(4, round(size) or 4), max(0, round(size) - 4), distance)
        return _execution(sorts.seconds(card, parts), parts, "sorts")
