"""Shapes of results from those of operands, per opcode, as XLA infers them (``xla/service/shape_inference.cc``).

A rule raises ``Mismatch`` where an instruction's own shape is not the one that follows. Layouts are left out of
the comparison, and in programs for TPUs the precision of floats: their compiler reads and writes either.
"""

import re
from collections.abc import Callable, Mapping
from math import prod

from cr_jax.hlo import opcodes
from cr_jax.hlo.parse import Computation, Instruction
from cr_jax.hlo.shapes import BITS, Shape
from cr_jax.hlo.windows import window

Called = Mapping[str, list[Computation]]
Rule = Callable[[Instruction, Called], None]
_RANGE = re.compile(r"\[(\d{1,18}):(\d{1,18})(?::(\d{1,18}))?\]", re.ASCII)
_PADDING = re.compile(r"(-?\d{1,18})_(-?\d{1,18})(?:_(\d{1,18}))?\Z", re.ASCII)
_LABELS = re.compile(r"(\w+)_(\w+)->(\w+)\Z", re.ASCII)
_DIRECTIONS = frozenset({"EQ", "NE", "GE", "GT", "LE", "LT"})
#: Unary operations whose result is of another type than the operand.
_RETYPED = frozenset({"is-finite", "real", "imag", "abs"})


class Mismatch(Exception):
    """An instruction's shape does not follow from its operands: what it is, and what it should be."""


def same(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal, but for layouts."""
    return a is b or a.plain == b.plain


def _alike(a: Shape, b: Shape) -> bool:
    if a.dtype == b.dtype:
        return True
    # Only the layouts of TPUs are tiled.
    tiled = "T(" in a.layout or "T(" in b.layout
    return tiled and a.is_float and b.is_float and (a.dtype[0] == "c") == (b.dtype[0] == "c")


def _fits(a: Shape, b: Shape) -> bool:
    """Equal, but for layouts and what TPUs do to the precision of floats."""
    return a.dims == b.dims and a.is_tuple == b.is_tuple and (a.plain == b.plain if a.is_tuple else _alike(a, b))


def _require(fits: bool, instruction: Instruction, wanted: str) -> None:
    if not fits:
        raise Mismatch(f"is {instruction.shape.plain[:80]}; its operands make it {wanted[:80]}")


def _dims(instruction: Instruction, dims: tuple[int, ...]) -> None:
    """The result has these dimensions and the type of the first operand."""
    first = instruction.operands[0].shape
    _require(instruction.shape.dims == dims and _alike(instruction.shape, first), instruction,
             f"{first.dtype}[{','.join(map(str, dims))}]")  # fmt: skip


def _within(numbers: tuple[int, ...], rank: int, what: str) -> None:
    if len(set(numbers)) < len(numbers) or any(not 0 <= n < rank for n in numbers):
        raise Mismatch(f"has {what} {{{', '.join(map(str, numbers))[:60]}}} of {rank} dimensions")


def _unary(i: Instruction, called: Called) -> None:
    operand = i.operands[0].shape
    _require(i.shape.dims == operand.dims and not operand.is_tuple, i, operand.plain)
    if i.opcode not in _RETYPED:
        _require(_alike(i.shape, operand), i, operand.plain)


def _binary(i: Instruction, called: Called) -> None:
    left, right = (o.shape for o in i.operands)
    if left.dims != right.dims or not _alike(left, right):
        raise Mismatch(f"takes {left.plain[:60]} and {right.plain[:60]}; legal: one shape for both")
    if i.opcode == "complex":
        _require(i.shape.dims == left.dims and i.shape.dtype.startswith("c"), i, f"complex, of {left.plain}")
    else:
        _require(_fits(i.shape, left), i, left.plain)


def _compare(i: Instruction, called: Called) -> None:
    left, right = (o.shape for o in i.operands)
    if left.dims != right.dims or not _alike(left, right):
        raise Mismatch(f"takes {left.plain[:60]} and {right.plain[:60]}; legal: one shape for both")
    if i.attribute("direction") not in _DIRECTIONS:
        raise Mismatch(f"has direction {str(i.attribute('direction'))[:40]}; legal: {', '.join(sorted(_DIRECTIONS))}")
    _require(i.shape.dtype == "pred" and i.shape.dims == left.dims, i, f"pred, of {left.plain}")


def _select(i: Instruction, called: Called) -> None:
    chosen, yes, no = (o.shape for o in i.operands)
    if chosen.dtype != "pred" or chosen.dims not in ((), yes.dims) or not _fits(yes, no):
        raise Mismatch(f"takes {chosen.plain[:40]}, {yes.plain[:40]} and {no.plain[:40]}; legal: pred and one shape for both")
    _require(_fits(i.shape, yes), i, yes.plain)


def _clamp(i: Instruction, called: Called) -> None:
    low, value, high = (o.shape for o in i.operands)
    _require(_fits(i.shape, value), i, value.plain)
    for limit in (low, high):
        if limit.dims not in ((), value.dims) or not _alike(limit, value):
            raise Mismatch(f"takes a limit of {limit.plain[:60]} for {value.plain[:60]}")


def _moved(i: Instruction, called: Called) -> None:
    """A copy or another result that is its operand as it is."""
    _require(_fits(i.shape, i.operands[0].shape), i, i.operands[0].shape.plain)


def _copy_start(i: Instruction, called: Called) -> None:
    """(copy, operand, context)."""
    parts, operand = i.shape.parts, i.operands[0].shape
    _require(len(parts) == 3 and all(part.plain == operand.plain for part in parts[:2]), i, f"({operand.plain}, {operand.plain}, u32[])")


def _copy_done(i: Instruction, called: Called) -> None:
    started = i.operands[0].shape
    if not started.parts:
        raise Mismatch(f"waits for {started.plain[:60]}; legal: the result of a copy-start")
    _require(same(i.shape, started.parts[0]), i, started.parts[0].plain)


def _async_start(i: Instruction, called: Called) -> None:
    """((operands), result, contexts)."""
    parts, operands = i.shape.parts, [o.shape for o in i.operands]
    fits = len(parts) > 1 and parts[0].is_tuple and len(parts[0].parts) == len(operands)
    _require(fits and all(map(same, parts[0].parts, operands)), i, f"(({', '.join(o.plain for o in operands)}), ...)")
    _calls(i, called["calls"][0], operands, parts[1])


def _async_done(i: Instruction, called: Called) -> None:
    started = i.operands[0].shape
    if len(started.parts) < 2:
        raise Mismatch(f"waits for {started.plain[:60]}; legal: the result of an async-start")
    _require(same(i.shape, started.parts[1]), i, started.parts[1].plain)


def _convert(i: Instruction, called: Called) -> None:
    _require(i.shape.dims == i.operands[0].shape.dims, i, i.operands[0].shape.plain)


def _reshape(i: Instruction, called: Called) -> None:
    operand = i.operands[0].shape
    _require(i.shape.elements == operand.elements and _alike(i.shape, operand), i, f"{operand.elements} elements")


def _bitcast(i: Instruction, called: Called) -> None:
    operand = i.operands[0].shape
    if operand.is_tuple or i.shape.is_tuple:
        return _moved(i, called)
    bits = (operand.elements * BITS[operand.dtype], i.shape.elements * BITS[i.shape.dtype])
    # On a TPU a bitcast may leave out what the operand's tiles hold beside the result.
    _require(bits[0] == bits[1] or ("T(" in operand.layout and operand.bytes >= i.shape.bytes), i, f"{bits[0]} bits")


def _transpose(i: Instruction, called: Called) -> None:
    operand, order = i.operands[0].shape, i.numbers("dimensions")
    if sorted(order) != list(range(len(operand.dims))):
        raise Mismatch(f"orders {{{', '.join(map(str, order))[:60]}}} of {len(operand.dims)} dimensions")
    _dims(i, tuple(operand.dims[n] for n in order))


def _broadcast(i: Instruction, called: Called) -> None:
    operand, places = i.operands[0].shape, i.numbers("dimensions")
    if len(places) != len(operand.dims):
        raise Mismatch(f"places {len(places)} dimensions of an operand that has {len(operand.dims)}")
    _within(places, len(i.shape.dims), "dimensions")
    fits = all(i.shape.dims[place] == size for place, size in zip(places, operand.dims, strict=True))
    _require(fits and _alike(i.shape, operand), i, f"a broadcast of {operand.plain}")


def _reverse(i: Instruction, called: Called) -> None:
    _within(i.numbers("dimensions"), len(i.shape.dims), "dimensions")
    _moved(i, called)


def _iota(i: Instruction, called: Called) -> None:
    _within(i.numbers("iota_dimension"), len(i.shape.dims), "iota_dimension")


def _concatenate(i: Instruction, called: Called) -> None:
    (axis,) = i.numbers("dimensions")
    first = i.operands[0].shape
    _within((axis,), len(first.dims), "dimensions")
    total = 0
    for operand in (o.shape for o in i.operands):
        others = operand.dims[:axis] + operand.dims[axis + 1 :]
        wanted = first.dims[:axis] + first.dims[axis + 1 :]
        if len(operand.dims) != len(first.dims) or others != wanted or not _alike(operand, first):
            raise Mismatch(f"joins {first.plain[:60]} and {operand.plain[:60]}")
        total += operand.dims[axis]
    _dims(i, (*first.dims[:axis], total, *first.dims[axis + 1 :]))


def _slice(i: Instruction, called: Called) -> None:
    dims, ranges = i.operands[0].shape.dims, _RANGE.findall(i.attribute("slice") or "")
    if len(ranges) != len(dims):
        raise Mismatch(f"slices {len(ranges)} dimensions of {len(dims)}")
    sizes = []
    for size, (first, end, step) in zip(dims, ranges, strict=True):
        start, stop, stride = int(first), int(end), int(step or 1)
        if not start <= stop <= size or stride < 1:
            raise Mismatch(f"slices [{first}:{end}] of {size}")
        sizes.append(-(-(stop - start) // stride))
    _dims(i, tuple(sizes))


def _indices(i: Instruction, first: int, rank: int) -> None:
    given = [o.shape for o in i.operands[first:]]
    one_vector = len(given) == 1 and given[0].dims == (rank,)
    if not (one_vector or (len(given) == rank and all(not g.dims for g in given))) or not all(g.is_integer for g in given):
        raise Mismatch(f"has {len(given)} indices for {rank} dimensions; legal: an integer each")


def _dynamic_slice(i: Instruction, called: Called) -> None:
    dims, sizes = i.operands[0].shape.dims, i.numbers("dynamic_slice_sizes")
    _indices(i, 1, len(dims))
    if len(sizes) != len(dims) or any(not 0 <= s <= d for s, d in zip(sizes, dims, strict=True)):
        raise Mismatch(f"slices {{{', '.join(map(str, sizes))[:60]}}} of {i.operands[0].shape.plain[:60]}")
    _dims(i, sizes)


def _dynamic_update_slice(i: Instruction, called: Called) -> None:
    target, update = i.operands[0].shape, i.operands[1].shape
    _indices(i, 2, len(target.dims))
    if len(update.dims) != len(target.dims) or any(u > t for u, t in zip(update.dims, target.dims, strict=True)):
        raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]}")
    if not _alike(update, target):
        raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]}")
    _dims(i, target.dims)


def _pad(i: Instruction, called: Called) -> None:
    operand, parts = i.operands[0].shape, [_PADDING.match(p) for p in (i.attribute("padding") or "").split("x")]
    if not operand.dims and i.attribute("padding") in ("", None):
        parts = []
    if len(parts) != len(operand.dims) or i.operands[1].shape.dims or not _alike(operand, i.operands[1].shape):
        raise Mismatch(f"pads {len(parts)} dimensions of {operand.plain[:60]} with {i.operands[1].shape.plain[:60]}")
    sizes = []
    for size, part in zip(operand.dims, parts, strict=True):
        if part is None:
            raise Mismatch(f"has a padding {str(i.attribute('padding'))[:60]!r} that cannot be read")
        low, high, between = int(part[1]), int(part[2]), int(part[3] or 0)
        sizes.append(size + low + high + max(0, size - 1) * between)
    if any(n < 0 for n in sizes):
        raise Mismatch("is padded to a negative size")
    _dims(i, tuple(sizes))


def _dot(i: Instruction, called: Called) -> None:
    left, right = i.operands[0].shape, i.operands[1].shape
    keys = ("lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims")
    left_sum, right_sum, left_batch, right_batch = (i.numbers(key) for key in keys)
    _within(left_sum + left_batch, len(left.dims), "contracting and batch dimensions")
    _within(right_sum + right_batch, len(right.dims), "contracting and batch dimensions")
    agree = [left.dims[n] for n in left_sum + left_batch] == [right.dims[n] for n in right_sum + right_batch]
    if not agree or len(left_sum) != len(right_sum):
        raise Mismatch(f"contracts {left.plain[:60]} with {right.plain[:60]}, whose sizes differ")
    free = [d for n, d in enumerate(left.dims) if n not in left_sum + left_batch]
    free += [d for n, d in enumerate(right.dims) if n not in right_sum + right_batch]
    wanted = (*(left.dims[n] for n in left_batch), *free)
    _require(i.shape.dims == wanted, i, f"[{','.join(map(str, wanted))}]")


def _convolution(i: Instruction, called: Called) -> None:
    image, kernel, result = i.operands[0].shape, i.operands[1].shape, i.shape
    labels = _LABELS.match(i.attribute("dim_labels") or "")
    if labels is None:
        raise Mismatch(f"has dim_labels {str(i.attribute('dim_labels'))[:40]!r}; legal: as in b01f_01io->b01f")
    axes, spatial = labels.groups(), sorted(c for c in labels[1] if c.isdigit())
    for text, letters, shape in zip(axes, ("bf", "io", "bf"), (image, kernel, result), strict=True):
        if sorted(text) != sorted([*spatial, *letters]) or len(text) != len(shape.dims):
            raise Mismatch(f"has dim_labels {labels[0][:40]} for {image.plain[:40]}, {kernel.plain[:40]} -> {result.plain[:40]}")
    parts = window(i)
    if len(parts) != len(spatial):
        raise Mismatch(f"has a window of {len(parts)} axes for {len(spatial)}")
    groups = (i.numbers("feature_group_count") or (1,))[0]
    batches = (i.numbers("batch_group_count") or (1,))[0]
    image_at, kernel_at = ({letter: n for n, letter in enumerate(text)} for text in axes[:2])
    inputs, outputs = kernel.dims[kernel_at["i"]], kernel.dims[kernel_at["o"]]
    batch = image.dims[image_at["b"]]
    divided = groups >= 1 and batches >= 1 and not (outputs % groups or batch % batches or outputs % batches)
    if not divided or inputs * groups != image.dims[image_at["f"]]:
        raise Mismatch(f"convolves {image.plain[:60]} with {kernel.plain[:60]} in {groups} groups and {batches} batch groups")
    wanted = dict(zip("bf", (batch // batches, outputs), strict=True))
    for axis, part in zip(spatial, parts, strict=True):
        if part.size != kernel.dims[kernel_at[axis]]:
            raise Mismatch(f"has a window of {part.size} over a kernel of {kernel.dims[kernel_at[axis]]}")
        wanted[axis] = part.positions(image.dims[image_at[axis]])
    dims = tuple(wanted[letter] for letter in axes[2])
    _require(result.dims == dims, i, f"[{','.join(map(str, dims))}]")


def _scalars(i: Instruction, body: Computation, numbers: int) -> None:
    """A computation applied to scalars has as many parameters, none of them an array."""
    if len(body.parameters) != numbers:
        raise Mismatch(f"applies {body.name[:60]}, which has {len(body.parameters)} parameters; legal: {numbers}")
    if any(p.shape.dims for p in body.parameters.values()):
        raise Mismatch(f"applies {body.name[:60]} to scalars; its parameters are arrays")


def _halves(i: Instruction) -> tuple[list[Shape], list[Shape]]:
    """Operands, and their initial values, which are scalars of the same types."""
    shapes = [o.shape for o in i.operands]
    half = len(shapes) // 2
    if not shapes or len(shapes) % 2:
        raise Mismatch(f"has {len(shapes)} operands; legal: arrays and as many initial values")
    arrays, starts = shapes[:half], shapes[half:]
    if any(a.dims != arrays[0].dims for a in arrays) or any(s.dims for s in starts) or not all(map(_alike, arrays, starts)):
        raise Mismatch("has arrays of different sizes, or initial values that are no scalars of their types")
    return arrays, starts


def _reduce(i: Instruction, called: Called) -> None:
    arrays, _ = _halves(i)
    folded = i.numbers("dimensions")
    _within(folded, len(arrays[0].dims), "dimensions")
    _scalars(i, called["to_apply"][0], len(i.operands))
    kept = tuple(d for n, d in enumerate(arrays[0].dims) if n not in folded)
    _results(i, arrays, kept)


def _results(i: Instruction, arrays: list[Shape], dims: tuple[int, ...]) -> None:
    parts = i.shape.parts if i.shape.is_tuple else (i.shape,)
    fits = len(parts) == len(arrays) and all(p.dims == dims and _alike(p, a) for p, a in zip(parts, arrays, strict=False))
    _require(fits, i, f"{len(arrays)} of [{','.join(map(str, dims))}]")


def _reduce_window(i: Instruction, called: Called) -> None:
    arrays, _ = _halves(i)
    axes = window(i)
    if len(axes) != len(arrays[0].dims):
        raise Mismatch(f"has a window of {len(axes)} axes for {len(arrays[0].dims)} dimensions")
    _scalars(i, called["to_apply"][0], len(i.operands))
    _results(i, arrays, tuple(axis.positions(d) for axis, d in zip(axes, arrays[0].dims, strict=True)))


def _select_and_scatter(i: Instruction, called: Called) -> None:
    operand, source = i.operands[0].shape, i.operands[1].shape
    axes = window(i)
    if len(axes) != len(operand.dims) or i.operands[2].shape.dims:
        raise Mismatch(f"has a window of {len(axes)} axes for {len(operand.dims)} dimensions")
    places = tuple(axis.positions(d) for axis, d in zip(axes, operand.dims, strict=True))
    if source.dims != places:
        raise Mismatch(f"has a source of {source.plain[:60]}; its window has {places} places")
    _scalars(i, called["select"][0], 2)
    _scalars(i, called["scatter"][0], 2)
    _dims(i, operand.dims)


def _sort(i: Instruction, called: Called) -> None:
    arrays = [o.shape for o in i.operands]
    if not arrays or any(a.dims != arrays[0].dims for a in arrays):
        raise Mismatch("sorts arrays of different sizes")
    axes = i.numbers("dimensions")
    _within(axes, len(arrays[0].dims), "dimensions")
    _scalars(i, called["to_apply"][0], 2 * len(arrays))
    _results(i, arrays, arrays[0].dims)


def _map(i: Instruction, called: Called) -> None:
    arrays = [o.shape for o in i.operands]
    if not arrays or any(a.dims != arrays[0].dims for a in arrays):
        raise Mismatch("maps arrays of different sizes")
    _scalars(i, called["to_apply"][0], len(arrays))
    _require(i.shape.dims == arrays[0].dims, i, arrays[0].plain)


def _index_dims(shape: Shape, vector: int) -> tuple[tuple[int, ...], int]:
    """Batch dimensions of an array of indices, and the length of an index."""
    if not 0 <= vector <= len(shape.dims):
        raise Mismatch(f"has index_vector_dim={vector} for {shape.plain[:60]}")
    if vector == len(shape.dims):
        return shape.dims, 1
    return shape.dims[:vector] + shape.dims[vector + 1 :], shape.dims[vector]


def _gather(i: Instruction, called: Called) -> None:
    operand, indices = (o.shape for o in i.operands)
    offsets, collapsed, sizes = (i.numbers(key) for key in ("offset_dims", "collapsed_slice_dims", "slice_sizes"))
    batching, mapped = i.numbers("operand_batching_dims"), i.numbers("start_index_map")
    batch, length = _index_dims(indices, i.numbers("index_vector_dim")[0])
    _within(collapsed + batching, len(operand.dims), "collapsed and batching dimensions")
    _within(mapped, len(operand.dims), "start_index_map")
    _within(offsets, len(i.shape.dims), "offset_dims")
    if len(sizes) != len(operand.dims) or any(not 0 <= s <= d for s, d in zip(sizes, operand.dims, strict=True)):
        raise Mismatch(f"gathers slices {{{', '.join(map(str, sizes))[:60]}}} of {operand.plain[:60]}")
    if len(mapped) != length or not indices.is_integer:
        raise Mismatch(f"has indices of {length} numbers for {len(mapped)} dimensions")
    kept = [s for n, s in enumerate(sizes) if n not in collapsed + batching]
    if len(kept) != len(offsets):
        raise Mismatch(f"has {len(offsets)} offset dimensions for {len(kept)} of the slices")
    rest, parts = iter(batch), iter(kept)
    _dims(i, tuple(next(parts if n in offsets else rest) for n in range(len(offsets) + len(batch))))


def _scatter(i: Instruction, called: Called) -> None:
    shapes = [o.shape for o in i.operands]
    count = len(shapes) // 2
    if len(shapes) % 2 == 0 or len(shapes) < 3:
        raise Mismatch(f"has {len(shapes)} operands; legal: arrays, indices and as many updates")
    targets, indices, updates = shapes[:count], shapes[count], shapes[count + 1 :]
    batch, length = _index_dims(indices, i.numbers("index_vector_dim")[0])
    windows, inserted = i.numbers("update_window_dims"), i.numbers("inserted_window_dims")
    batching = i.numbers("input_batching_dims")
    if len(i.numbers("scatter_dims_to_operand_dims")) != length or not indices.is_integer:
        raise Mismatch(f"has indices of {length} numbers for {len(i.numbers('scatter_dims_to_operand_dims'))} dimensions")
    _scalars(i, called["to_apply"][0], 2 * count)
    for target, update in zip(targets, updates, strict=True):
        _within(windows, len(update.dims), "update_window_dims")
        _within(inserted + batching, len(target.dims), "inserted and batching dimensions")
        places = tuple(d for n, d in enumerate(update.dims) if n not in windows)
        limits = [d for n, d in enumerate(target.dims) if n not in inserted + batching]
        sizes = [d for n, d in enumerate(update.dims) if n in windows]
        if places != batch or len(limits) != len(sizes) or any(s > d for s, d in zip(sizes, limits, strict=True)):
            raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]} at {indices.plain[:60]}")
    parts = i.shape.parts if i.shape.is_tuple else (i.shape,)
    _require(len(parts) == count and all(map(_fits, parts, targets)), i, targets[0].plain)


def _tuple(i: Instruction, called: Called) -> None:
    shapes = [o.shape for o in i.operands]
    _require(i.shape.is_tuple and len(i.shape.parts) == len(shapes) and all(map(same, i.shape.parts, shapes)), i,
             f"({', '.join(s.plain for s in shapes)})")  # fmt: skip


def _get_tuple_element(i: Instruction, called: Called) -> None:
    (index,), source = i.numbers("index"), i.operands[0].shape
    if not source.is_tuple or not 0 <= index < len(source.parts):
        raise Mismatch(f"takes element {index} of {source.plain[:80]}")
    _require(same(i.shape, source.parts[index]), i, source.parts[index].plain)


def _calls(i: Instruction, body: Computation, arguments: list[Shape], result: Shape) -> None:
    """A computation takes these arguments and gives this result."""
    parameters = [body.parameters[n].shape for n in range(len(body.parameters))]
    if len(parameters) != len(arguments):
        raise Mismatch(f"gives {len(arguments)} operands to {body.name[:60]}, which has {len(parameters)} parameters")
    for number, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True)):
        if not same(parameter, argument):
            raise Mismatch(f"gives {argument.plain[:60]} to parameter {number} of {body.name[:60]}: {parameter.plain[:60]}")
    if not same(body.result.shape, result):
        raise Mismatch(f"calls {body.name[:60]}, which gives {body.result.shape.plain[:60]} for {result.plain[:60]}")


def _fusion(i: Instruction, called: Called) -> None:
    _calls(i, called["calls"][0], [o.shape for o in i.operands], i.shape)


def _call(i: Instruction, called: Called) -> None:
    _calls(i, called["to_apply"][0], [o.shape for o in i.operands], i.shape)


def _while(i: Instruction, called: Called) -> None:
    state = i.operands[0].shape
    _require(same(i.shape, state), i, state.plain)
    _calls(i, called["body"][0], [state], state)
    (condition,) = called["condition"]
    _calls(i, condition, [state], condition.result.shape)
    if condition.result.shape.plain != "pred[]":
        raise Mismatch(f"has a condition {condition.name[:60]} that gives {condition.result.shape.plain[:60]}; legal: pred[]")


def _conditional(i: Instruction, called: Called) -> None:
    chosen = i.operands[0].shape
    if "branch_computations" in called:
        branches = called["branch_computations"]
        legal = chosen.plain == "s32[]" or (chosen.plain == "pred[]" and len(branches) == 2)
    else:
        if "true_computation" not in called or "false_computation" not in called:
            raise Mismatch("names no branches; legal: branch_computations, or true_computation and false_computation")
        branches = [*called["true_computation"], *called["false_computation"]]
        legal = chosen.plain == "pred[]"
    if not legal or len(branches) != len(i.operands) - 1:
        raise Mismatch(f"chooses one of {len(branches)} branches by {chosen.plain[:40]} and gives {len(i.operands) - 1} operands")
    for branch, operand in zip(branches, i.operands[1:], strict=True):
        _calls(i, branch, [operand.shape], i.shape)


def _fft(i: Instruction, called: Called) -> None:
    operand, lengths, kind = i.operands[0].shape, i.numbers("fft_length"), i.attribute("fft_type")
    rank = len(lengths)
    if not 1 <= rank <= min(3, len(operand.dims)) or any(n < 1 for n in lengths):
        raise Mismatch(f"transforms {rank} dimensions of {operand.plain[:60]}")
    half = lengths[-1] // 2 + 1
    halved = (*lengths[:-1], half)
    before, after = {"FFT": (lengths, lengths), "IFFT": (lengths, lengths), "RFFT": (lengths, halved),
                     "IRFFT": (halved, lengths)}.get(kind or "", (None, None))  # fmt: skip
    if before is None or after is None:
        raise Mismatch(f"has fft_type {str(kind)[:40]}; legal: FFT, IFFT, RFFT, IRFFT")
    if operand.dims[-rank:] != tuple(before):
        raise Mismatch(f"transforms {operand.plain[:60]} by {{{', '.join(map(str, lengths))[:60]}}}")
    wanted = operand.dims[:-rank] + tuple(after)
    _require(i.shape.dims == wanted, i, f"[{','.join(map(str, wanted))}]")


def _square(i: Instruction, called: Called) -> None:
    dims = i.operands[0].shape.dims
    if len(dims) < 2 or dims[-1] != dims[-2]:
        raise Mismatch(f"takes {i.operands[0].shape.plain[:60]}; legal: square matrices")
    solved = i.operands[-1].shape
    _require(i.shape.dims == solved.dims, i, solved.plain)


def _collective(i: Instruction, called: Called) -> None:
    """The result of a reduction over devices has the operands' shapes."""
    shapes = [o.shape for o in i.operands]
    parts = list(i.shape.parts) if i.shape.is_tuple else [i.shape]
    _require(len(parts) == len(shapes) and all(map(same, parts, shapes)), i, shapes[0].plain if shapes else "nothing")


def _elements(i: Instruction, called: Called) -> None:
    """Elements are neither lost nor made: a gather has more, a scatter fewer, by a whole factor."""
    given = prod(o.shape.elements for o in i.operands[:1])
    made = sum(leaf.elements for leaf in i.shape.leaves) if len(i.operands) == 1 else None
    if made is not None and given and made and max(given, made) % min(given, made):
        raise Mismatch(f"makes {i.shape.plain[:60]} of {i.operands[0].shape.plain[:60]}")


RULES: dict[str, Rule] = dict.fromkeys(opcodes.UNARY, _unary) | dict.fromkeys(opcodes.BINARY, _binary) | {
    "compare": _compare, "select": _select, "clamp": _clamp, "copy": _moved, "optimization-barrier": _moved,
    "opt-barrier": _moved, "reduce-precision": _moved, "convert": _convert, "stochastic-convert": _convert,
    "copy-start": _copy_start, "copy-done": _copy_done, "async-start": _async_start, "async-done": _async_done,
    "reshape": _reshape, "bitcast": _bitcast, "bitcast-convert": _bitcast, "transpose": _transpose,
    "broadcast": _broadcast, "reverse": _reverse, "iota": _iota, "concatenate": _concatenate, "slice": _slice,
    "dynamic-slice": _dynamic_slice, "dynamic-update-slice": _dynamic_update_slice, "pad": _pad, "dot": _dot,
    "convolution": _convolution, "reduce": _reduce, "reduce-window": _reduce_window,
    "select-and-scatter": _select_and_scatter, "sort": _sort, "map": _map, "gather": _gather, "scatter": _scatter,
    "tuple": _tuple, "get-tuple-element": _get_tuple_element, "fusion": _fusion, "call": _call, "while": _while,
    "conditional": _conditional, "fft": _fft, "cholesky": _square, "triangular-solve": _square,
    "all-reduce": _collective, "all-gather": _elements, "reduce-scatter": _elements,
}  # fmt: skip
