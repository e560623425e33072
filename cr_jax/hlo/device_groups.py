"""Groups of devices that exchange data in a collective, read from its ``replica_groups`` or ``source_target_pairs``.

Forms of ``replica_groups``: lists ``{{0,1},{2,3}}``, a transposed iota ``[4,2]<=[2,4]T(1,0)``, axes of a mesh
``mesh['a'=2,'b'=4] {'b'}``, and ``{}`` for all devices. A device's number is replica * partitions + partition, as in XLA's
flattened ids (``xla/hlo/utils/hlo_query.h``, ``xla/service/collective_ops_utils.h``).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from cr_jax.hlo.module import HloModule, Instruction

#: Named axes of a mesh with their sizes, the slowest first.
Mesh = tuple[tuple[str, int], ...]
#: More devices than any machine has; a larger number is a damaged text.
_MOST = 2**20
_PAIRS = re.compile(r"\{(\d{1,9}), ?(\d{1,9})\}", re.ASCII)
_GROUP = re.compile(r"\{([\d, ]*)\}", re.ASCII)
_LISTS = re.compile(r"\{(?:\{[\d, ]*\}(?:, ?(?=\{)|(?=\})))*\}", re.ASCII)
_IOTA = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", re.ASCII)
_MESH = re.compile(r"mesh\[([^\]]*)\](?:, device_ids=\((?:\[([\d,]+)\](?:T\(([\d,]+)\))?|([\d,]+))\))? \{([^{}]*)\}", re.ASCII)
_AXIS = re.compile(r"'?([^=,']+)'?=(\d{1,9})", re.ASCII)
_PART = re.compile(r"'?([^,:']+)'?(?::\((\d{1,9})\)(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True)
class DeviceGroups:
    """Disjoint groups of devices, by their numbers."""

    members: tuple[tuple[int, ...], ...]

    @property
    def number(self) -> int:
        """The number of groups."""
        return len(self.members)

    @property
    def size(self) -> int:
        """The number of devices in the largest group."""
        return max(map(len, self.members), default=0)

    def axes(self, mesh: Mesh) -> tuple[str, ...]:
        """The axes along which the devices of a group differ, for devices in the order of ``mesh``; () without a mesh.

        Raises ``ValueError`` for a device outside of the mesh.
        """
        if not mesh:
            return ()
        sizes = [size for _, size in mesh]
        different = set[int]()
        for group in self.members:
            places = [_place(device, sizes) for device in group]
            different |= {axis for axis in range(len(mesh)) if len({place[axis] for place in places}) > 1}
        return tuple(name for axis, (name, _) in enumerate(mesh) if axis in different)


def devices(module: HloModule) -> tuple[int, int]:
    """Replicas and partitions that a module is compiled for."""
    return int(module.attribute("replica_count") or 1), int(module.attribute("num_partitions") or 1)


def device_groups(instruction: Instruction, replicas: int, partitions: int) -> DeviceGroups:
    """The groups of a collective in a program of ``replicas`` x ``partitions`` devices.

    Of a collective-permute: devices that pairs connect. Raises ``ValueError`` for groups that cannot be read.
    """
    if replicas * partitions > _MOST:
        raise ValueError(f"{replicas * partitions} devices; legal: at most {_MOST}")
    pairs = instruction.attribute("source_target_pairs")
    if pairs is not None:
        groups = _connected((int(a), int(b)) for a, b in _PAIRS.findall(pairs))
    else:
        groups = tuple(filter(None, _listed(instruction)))
    channel = bool(instruction.numbers("channel_id"))
    flattened = instruction.attribute("use_global_device_ids")
    if flattened == "true" and channel:
        return DeviceGroups(groups or (tuple(range(replicas * partitions)),))
    if not channel:  # the same partition of several replicas
        groups = groups or (tuple(range(replicas)),)
        return DeviceGroups(tuple(tuple(r * partitions + p for r in group) for group in groups for p in range(partitions)))
    if instruction.opcode.removesuffix("-start") in ("all-reduce", "all-gather", "reduce-scatter"):  # every partition of them
        groups = groups or (tuple(range(replicas)),)
        return DeviceGroups(tuple(tuple(r * partitions + p for r in group for p in range(partitions)) for group in groups))
    groups = groups or (tuple(range(partitions)),)
    return DeviceGroups(tuple(tuple(r * partitions + p for p in group) for group in groups for r in range(replicas)))


def _listed(instruction: Instruction) -> tuple[tuple[int, ...], ...]:
    """The numbers in ``replica_groups``; empty where it names none."""
    text = instruction.attributes.partition(" replica_groups=")[2]
    if not text:
        return ()
    mesh = _MESH.match(text)
    if mesh is not None:
        return _of_mesh(mesh)
    iota = _IOTA.match(text)
    if iota is not None:
        (number, size), dims = _numbers(iota[1]), _numbers(iota[2])
        if number * size != _bounded(dims):
            raise ValueError(f"replica_groups of {number} x {size} devices from {prod(dims)}")
        every = tuple(_transposed(dims, _numbers(iota[3] or "")))
        return tuple(every[start : start + size] for start in range(0, len(every), size))
    lists = _LISTS.match(text)
    if lists is None:
        raise ValueError("replica_groups cannot be read; legal: lists, an iota or axes of a mesh")
    return tuple(_numbers(group) for group in _GROUP.findall(lists[0]))


def _of_mesh(match: re.Match[str]) -> tuple[tuple[int, ...], ...]:
    """Groups along whole axes of a mesh, or parts of axes such as ``a:(2)4``: 4 places, each of which the 2 before divide."""
    named = [(name, int(size)) for name, size in _AXIS.findall(match[1])]
    sizes = [size for _, size in named]
    count = _bounded(sizes)
    order = _numbers(match[4]) if match[4] else tuple(range(count))
    if match[2]:
        order = tuple(_transposed(_numbers(match[2]), _numbers(match[3] or "")))
    places = {name: axis for axis, (name, _) in enumerate(named)}
    if sorted(order) != list(range(count)) or len(places) < len(named):
        raise ValueError("the devices or axes of a mesh repeat")
    parts = list[tuple[int, int, int]]()
    for name, before, part in _PART.findall(match[5]):
        whole = sizes[places[name]] if name in places else 0
        size, after = int(part or whole), whole // max(1, int(before or 1) * int(part or whole))
        if not after or int(before or 1) * size * after != whole:
            raise ValueError(f"replica_groups over {name[:40]}, which is no axis of the mesh or no part of one")
        parts.append((places[name], size, after))
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, device in enumerate(order):
        place = _place(number, sizes)
        rest = list(place)
        for axis, size, after in parts:
            rest[axis] -= place[axis] // after % size * after
        groups.setdefault(tuple(rest), []).append(device)
    return tuple(map(tuple, groups.values()))


def _connected(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Devices that pairs connect, directly or through others."""
    group: dict[int, set[int]] = {}
    for source, target in pairs:
        one, other = group.setdefault(source, {source}), group.setdefault(target, {target})
        if one is not other:
            one |= other
            group.update(dict.fromkeys(other, one))
    return tuple(tuple(sorted(members)) for members in {id(members): members for members in group.values()}.values())


def _transposed(dims: Sequence[int], order: Sequence[int]) -> Iterator[int]:
    """0, 1, 2 ... as an array of ``dims``, whose axes are put into ``order``, row by row."""
    order = order or range(len(dims))
    if sorted(order) != list(range(len(dims))):
        raise ValueError(f"axes {list(order)} of an array of {len(dims)}")
    steps = [prod(dims[axis + 1 :]) for axis in range(len(dims))]
    for place in product(*(range(dims[axis]) for axis in order)):
        yield sum(index * steps[axis] for index, axis in zip(place, order, strict=True))


def _place(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """The indices of a device along each axis. Raises ``ValueError`` for a number outside of the mesh."""
    place = list[int]()
    for size in reversed(sizes):
        number, index = divmod(number, size)
        place.append(index)
    if number:
        raise ValueError("a device that the mesh has not")
    return tuple(reversed(place))


def _bounded(dims: Sequence[int]) -> int:
    count = prod(dims)
    if not 0 < count <= _MOST:
        raise ValueError(f"{count} devices; legal: 1 to {_MOST}")
    return count


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", text))
