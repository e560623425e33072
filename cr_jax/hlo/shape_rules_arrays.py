"""Shape rules of products, reductions, sorts, gathers, scatters and transforms."""

import re

from cr_jax.hlo.module import Computation, Instruction
from cr_jax.hlo.shape_checks import Called, Mismatch, alike, fits, require, require_dims, within
from cr_jax.hlo.shapes import Shape
from cr_jax.hlo.windows import window

_LABELS = re.compile(r"(\w+)_(\w+)->(\w+)\Z", re.ASCII)


def dot(i: Instruction, called: Called) -> None:
    """Contracting and batch dimensions agree; the result has batch, left and right dimensions in this order."""
    left, right = i.operands[0].shape, i.operands[1].shape
    keys = ("lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims")
    left_sum, right_sum, left_batch, right_batch = (i.numbers(key) for key in keys)
    within(left_sum + left_batch, len(left.dims), "contracting and batch dimensions")
    within(right_sum + right_batch, len(right.dims), "contracting and batch dimensions")
    agree = [left.dims[n] for n in left_sum + left_batch] == [right.dims[n] for n in right_sum + right_batch]
    if not agree or len(left_sum) != len(right_sum):
        raise Mismatch(f"contracts {left.plain[:60]} with {right.plain[:60]}, whose sizes differ")
    free = [d for n, d in enumerate(left.dims) if n not in left_sum + left_batch]
    free += [d for n, d in enumerate(right.dims) if n not in right_sum + right_batch]
    wanted = (*(left.dims[n] for n in left_batch), *free)
    require(i.shape.dims == wanted, i, f"[{','.join(map(str, wanted))}]")


def convolution(i: Instruction, called: Called) -> None:
    """``dim_labels``, window and groups fit the operands; the result has the window's positions."""
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
    require(result.dims == dims, i, f"[{','.join(map(str, dims))}]")


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
    if any(a.dims != arrays[0].dims for a in arrays) or any(s.dims for s in starts) or not all(map(alike, arrays, starts)):
        raise Mismatch("has arrays of different sizes, or initial values that are no scalars of their types")
    return arrays, starts


def reduction(i: Instruction, called: Called) -> None:
    """``dimensions`` are folded by a computation of scalars; the result has the others."""
    arrays, _ = _halves(i)
    folded = i.numbers("dimensions")
    within(folded, len(arrays[0].dims), "dimensions")
    _scalars(i, called["to_apply"][0], len(i.operands))
    rest = tuple(d for n, d in enumerate(arrays[0].dims) if n not in folded)
    _results(i, arrays, rest)


def _results(i: Instruction, arrays: list[Shape], dims: tuple[int, ...]) -> None:
    parts = i.shape.parts if i.shape.is_tuple else (i.shape,)
    agree = len(parts) == len(arrays) and all(p.dims == dims and alike(p, a) for p, a in zip(parts, arrays, strict=False))
    require(agree, i, f"{len(arrays)} of [{','.join(map(str, dims))}]")


def reduce_window(i: Instruction, called: Called) -> None:
    """The result has the window's positions; a computation of scalars folds each window."""
    arrays, _ = _halves(i)
    axes = window(i)
    if len(axes) != len(arrays[0].dims):
        raise Mismatch(f"has a window of {len(axes)} axes for {len(arrays[0].dims)} dimensions")
    _scalars(i, called["to_apply"][0], len(i.operands))
    _results(i, arrays, tuple(axis.positions(d) for axis, d in zip(axes, arrays[0].dims, strict=True)))


def select_and_scatter(i: Instruction, called: Called) -> None:
    """The source has the window's positions, and the result the operand's shape."""
    operand, source = i.operands[0].shape, i.operands[1].shape
    axes = window(i)
    if len(axes) != len(operand.dims) or i.operands[2].shape.dims:
        raise Mismatch(f"has a window of {len(axes)} axes for {len(operand.dims)} dimensions")
    places = tuple(axis.positions(d) for axis, d in zip(axes, operand.dims, strict=True))
    if source.dims != places:
        raise Mismatch(f"has a source of {source.plain[:60]}; its window has {places} places")
    _scalars(i, called["select"][0], 2)
    _scalars(i, called["scatter"][0], 2)
    require_dims(i, operand.dims)


def sorted_arrays(i: Instruction, called: Called) -> None:
    """Arrays of one size are compared along ``dimensions``; the result has their shapes."""
    arrays = [o.shape for o in i.operands]
    if not arrays or any(a.dims != arrays[0].dims for a in arrays):
        raise Mismatch("sorts arrays of different sizes")
    axes = i.numbers("dimensions")
    within(axes, len(arrays[0].dims), "dimensions")
    _scalars(i, called["to_apply"][0], 2 * len(arrays))
    _results(i, arrays, arrays[0].dims)


def mapped(i: Instruction, called: Called) -> None:
    """A computation of scalars is applied to arrays of one size; the result has that size."""
    arrays = [o.shape for o in i.operands]
    if not arrays or any(a.dims != arrays[0].dims for a in arrays):
        raise Mismatch("maps arrays of different sizes")
    _scalars(i, called["to_apply"][0], len(arrays))
    require(i.shape.dims == arrays[0].dims, i, arrays[0].plain)


def _index_dims(shape: Shape, vector: int) -> tuple[tuple[int, ...], int]:
    """Batch dimensions of an array of indices, and the length of an index."""
    if not 0 <= vector <= len(shape.dims):
        raise Mismatch(f"has index_vector_dim={vector} for {shape.plain[:60]}")
    if vector == len(shape.dims):
        return shape.dims, 1
    return shape.dims[:vector] + shape.dims[vector + 1 :], shape.dims[vector]


def gather(i: Instruction, called: Called) -> None:
    """The slices fit the operand; the result has the indices' batch dimensions and the slices' offsets."""
    operand, indices = (o.shape for o in i.operands)
    offsets, collapsed, sizes = (i.numbers(key) for key in ("offset_dims", "collapsed_slice_dims", "slice_sizes"))
    batching, mapped = i.numbers("operand_batching_dims"), i.numbers("start_index_map")
    batch, length = _index_dims(indices, i.numbers("index_vector_dim")[0])
    within(collapsed + batching, len(operand.dims), "collapsed and batching dimensions")
    within(mapped, len(operand.dims), "start_index_map")
    within(offsets, len(i.shape.dims), "offset_dims")
    if len(sizes) != len(operand.dims) or any(not 0 <= s <= d for s, d in zip(sizes, operand.dims, strict=True)):
        raise Mismatch(f"gathers slices {{{', '.join(map(str, sizes))[:60]}}} of {operand.plain[:60]}")
    if len(mapped) != length or not indices.is_integer:
        raise Mismatch(f"has indices of {length} numbers for {len(mapped)} dimensions")
    offset_sizes = [s for n, s in enumerate(sizes) if n not in collapsed + batching]
    if len(offset_sizes) != len(offsets):
        raise Mismatch(f"has {len(offsets)} offset dimensions for {len(offset_sizes)} of the slices")
    rest, parts = iter(batch), iter(offset_sizes)
    require_dims(i, tuple(next(parts if n in offsets else rest) for n in range(len(offsets) + len(batch))))


def scatter(i: Instruction, called: Called) -> None:
    """The updates fit the operands and the indices' batch dimensions; the result has the operands' shapes."""
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
        within(windows, len(update.dims), "update_window_dims")
        within(inserted + batching, len(target.dims), "inserted and batching dimensions")
        places = tuple(d for n, d in enumerate(update.dims) if n not in windows)
        limits = [d for n, d in enumerate(target.dims) if n not in inserted + batching]
        sizes = [d for n, d in enumerate(update.dims) if n in windows]
        if places != batch or len(limits) != len(sizes) or any(s > d for s, d in zip(sizes, limits, strict=True)):
            raise Mismatch(f"writes {update.plain[:60]} into {target.plain[:60]} at {indices.plain[:60]}")
    parts = i.shape.parts if i.shape.is_tuple else (i.shape,)
    require(len(parts) == count and all(map(fits, parts, targets)), i, targets[0].plain)


def fft(i: Instruction, called: Called) -> None:
    """The last dimensions are ``fft_length``, halved on one side for RFFT and IRFFT."""
    operand, lengths, kind = i.operands[0].shape, i.numbers("fft_length"), i.attribute("fft_type")
    rank = len(lengths)
    if not 1 <= rank <= min(3, len(operand.dims)) or any(n < 1 for n in lengths):
        raise Mismatch(f"transforms {rank} dimensions of {operand.plain[:60]}")
    half = lengths[-1] // 2 + 1
    halved = (*lengths[:-1], half)
    before, after = {
        "FFT": (lengths, lengths),
        "IFFT": (lengths, lengths),
        "RFFT": (lengths, halved),
        "IRFFT": (halved, lengths),
    }.get(kind or "", (None, None))
    if before is None or after is None:
        raise Mismatch(f"has fft_type {str(kind)[:40]}; legal: FFT, IFFT, RFFT, IRFFT")
    if operand.dims[-rank:] != tuple(before):
        raise Mismatch(f"transforms {operand.plain[:60]} by {{{', '.join(map(str, lengths))[:60]}}}")
    wanted = operand.dims[:-rank] + tuple(after)
    require(i.shape.dims == wanted, i, f"[{','.join(map(str, wanted))}]")


def square(i: Instruction, called: Called) -> None:
    """The operand is a batch of square matrices; the result has the dimensions of the last operand."""
    dims = i.operands[0].shape.dims
    if len(dims) < 2 or dims[-1] != dims[-2]:
        raise Mismatch(f"takes {i.operands[0].shape.plain[:60]}; legal: square matrices")
    solved = i.operands[-1].shape
    require(i.shape.dims == solved.dims, i, solved.plain)
