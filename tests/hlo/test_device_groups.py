"""Groups of devices in every form in which XLA prints them."""

import pytest

from cr_jax.hlo.device_groups import DeviceGroups, device_groups, devices
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.parse import parse
from cr_jax.hlo.shapes import parse_shape

EVEN_ODD = ((0, 2, 4, 6), (1, 3, 5, 7))
GLOBAL = ", channel_id=1, use_global_device_ids=true"


def groups(attributes, opcode="all-reduce", replicas=1, partitions=8):
    line = Instruction("r", opcode, parse_shape("f32[4]"), "", attributes, "", 1)
    return device_groups(line, replicas, partitions).members


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("{{0,2,4,6},{1,3,5,7}}", EVEN_ODD),
        ("{{0, 2, 4, 6}, {1, 3, 5, 7}}", EVEN_ODD),
        ("[2,4]<=[4,2]T(1,0)", EVEN_ODD),
        ("[2,4]<=[8]", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("[4,2]<=[2,2,2]T(0,2,1)", ((0, 2), (1, 3), (4, 6), (5, 7))),
        ("{}", (tuple(range(8)),)),
        ("mesh['data'=4,'model'=2] {'data'}", EVEN_ODD),
        ("mesh[data=4,model=2] {data}", EVEN_ODD),
        ("mesh['data'=4,'model'=2] {'data','model'}", (tuple(range(8)),)),
        ("mesh['a'=2,'b'=1,'c'=4], device_ids=([4,2]T(1,0)) {'a'}", ((0, 1), (2, 3), (4, 5), (6, 7))),
        ("mesh['a'=2,'b'=4], device_ids=(0,2,4,6,1,3,5,7) {'b'}", EVEN_ODD),
        ("mesh['a'=8] {'a':(2)2}", ((0, 2), (1, 3), (4, 6), (5, 7))),
        ("mesh['a'=8] {'a':(1)2,'a':(4)2}", ((0, 1, 4, 5), (2, 3, 6, 7))),
        ("mesh['a'=8,'b'=1] {'b'}", tuple((n,) for n in range(8))),
    ],
)
def test_forms_of_replica_groups(text, members):
    found = groups(f"{GLOBAL}, replica_groups={text}, to_apply=add")
    assert {frozenset(group) for group in found} == {frozenset(group) for group in members}


def test_numbers_are_replicas_partitions_or_both():
    """XLA's modes of groups: by channel_id, use_global_device_ids and the operation; a device is replica * 4 + partition."""
    text = ", replica_groups={{0,1}}"
    assert groups(text, replicas=2, partitions=4) == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert groups(f"{text}, channel_id=1", replicas=2, partitions=4) == (tuple(range(8)),)
    assert groups(f"{text}{GLOBAL}", replicas=2, partitions=4) == ((0, 1),)
    assert groups(f"{text}, channel_id=1", "all-to-all", 2, 4) == ((0, 1), (4, 5))
    assert groups(", replica_groups={}", replicas=2, partitions=4) == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert groups(", replica_groups={}, channel_id=1", "all-to-all", 2, 4) == ((0, 1, 2, 3), (4, 5, 6, 7))


def test_pairs_connect_devices():
    ring = ", channel_id=1, source_target_pairs={{0,2},{2,4},{4,6},{6,0},{1,3}}"
    assert groups(ring, "collective-permute") == ((0, 2, 4, 6), (1, 3))
    assert groups(ring, "collective-permute-start") == ((0, 2, 4, 6), (1, 3))
    assert DeviceGroups(((0, 2, 4, 6), (1, 3))).size == 4


@pytest.mark.parametrize(
    ("members", "axes"),
    [
        (EVEN_ODD, ("data",)),
        (((0, 1), (2, 3), (4, 5), (6, 7)), ("model",)),
        ((tuple(range(8)),), ("data", "model")),
        (((0, 2), (1, 3)), ("data",)),
        (((0,), (1,)), ()),
    ],
)
def test_axes_of_a_mesh(members, axes):
    assert DeviceGroups(members).axes((("data", 4), ("model", 2))) == axes
    assert DeviceGroups(members).axes(()) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[2,4]<=[9]", "2 x 4"),
        ("[2,4]<=[4,2]T(1,1)", "axes"),
        ("[1,99999999]<=[99999999]", "legal: 1 to"),
        ("mesh['a'=8] {'b'}", "no axis"),
        ("mesh['a'=8] {'a':(3)2}", "no part"),
        ("mesh['a'=4], device_ids=(0,0,1,2) {'a'}", "repeat"),
        ("somehow", "cannot be read"),
    ],
)
def test_groups_that_cannot_be_read(text, reason):
    with pytest.raises(ValueError, match=reason):
        groups(f"{GLOBAL}, replica_groups={text}, to_apply=add")
    with pytest.raises(ValueError, match="mesh has not"):
        DeviceGroups(((0, 9),)).axes((("data", 8),))


def test_devices_of_a_module():
    body = "\n\nENTRY e {\n  ROOT a = f32[] parameter(0)\n}\n"
    assert devices(parse(f"HloModule m{body}")) == (1, 1)
    assert devices(parse(f"HloModule m, replica_count=2, num_partitions=4{body}")) == (2, 4)
