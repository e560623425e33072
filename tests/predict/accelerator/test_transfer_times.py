"""Times of collectives within a host, between hosts and over a torus, by hand formulas and published points."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import MissingConstant
from cr_jax.cost.operations.program import Transfer
from cr_jax.predict.accelerator import between_hosts, collectives, torus
from cr_jax.predict.accelerator.card import Card, card
from cr_jax.predict.accelerator.torus import Slice
from cr_jax.predict.accelerator.transfers import Transfers

GB, KB = 2.0**30, 2.0**10
KINDS = (*collectives.OPCODES, *between_hosts.LIKE)


def on(name: str) -> Card:
    return card(accelerator(name))


def without(name: str, key: str) -> Card:
    """A card whose profile does not know one of its links."""
    known = accelerator(name)
    return card(replace(known, links={**known.links, key: None}))


def transfer(kind: str, payload: float, *groups: range) -> Transfer:
    return Transfer(kind, int(payload), tuple(map(tuple, groups)), False)


@pytest.mark.parametrize("kind", collectives.OPCODES)
def test_within_a_host_it_is_what_was_measured(kind):
    found = Transfers(on("h100"), 8).of(transfer(kind, GB, range(4), range(4, 8)))
    assert found.seconds == pytest.approx(collectives.seconds(on("h100"), kind, GB, 4))
    assert (found.reach, found.kind) == ("host", "collectives")


def test_a_host_ends_where_its_links_do():
    across = Transfers(on("h100"), 16).of(transfer("all-reduce", GB, range(0, 16, 2), range(1, 16, 2)))
    assert (across.reach, across.kind) == ("network", "collectives_between_hosts")
    assert across.seconds == pytest.approx(between_hosts.seconds(on("h100"), "all-reduce", GB, 2, 4))
    pair = Transfers(on("h100"), 16).of(transfer("all-reduce", GB, *(range(n, 16, 8) for n in range(8))))
    assert pair.seconds > across.seconds  # one adapter carries all


@pytest.mark.parametrize("kind", KINDS)
def test_more_hosts_take_longer_and_never_less_than_one(kind):
    one = Transfers(on("h100"), 8).of(transfer(kind, GB, range(8))).seconds
    several = [between_hosts.seconds(on("h100"), kind, GB, hosts, 8) for hosts in (2, 4, 32)]
    assert sorted(several) == several
    if kind != "all-to-all":  # half of its bytes leave by the network
        assert one <= several[0] * 1.001
    small = [between_hosts.seconds(on("h100"), kind, KB, hosts, 8) for hosts in (2, 32)]
    assert small[0] <= small[1] < several[0]


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("all-reduce", 2 * 3 / 4),
        ("all-gather", 3 / 4),
        ("reduce-scatter", 3 / 4),
        ("all-to-all", 3 / 4),
        ("collective-permute", 1),
        ("collective-broadcast", 1),
    ],
)
def test_one_device_a_host_has_the_network_alone(kind, sent):
    """Long ones take the bytes of a ring over the rate of the adapter."""
    rate = 0.96 * 50e9
    found = between_hosts.seconds(on("h100"), kind, 1024 * GB, 4, 1)
    assert found == pytest.approx(sent * 1024 * GB / rate, rel=0.02)


def test_short_all_reduces_between_many_hosts_take_the_tree():
    many, few = (between_hosts.seconds(on("h100"), "all-reduce", KB, hosts, 8) for hosts in (128, 4))
    hop = 2.7e-6
    assert many - few == pytest.approx((2 * 7 * 5.0 / 2.7 - 2 * 3) * hop, rel=0.02)  # a tree of 7 levels, a ring of 4


@pytest.mark.parametrize(("name", "low", "high"), [("h100", 350, 450), ("a100-80gb", 200, 300)])
def test_long_all_reduces_between_hosts_are_near_what_operators_expect(name, low, high):
    """saturncloud.io/blog/crusoe-nccl-cluster-validation: bus bandwidth of 8 GB, 400 to 450 and 250 to 300 GB/s."""
    devices = 16
    seconds = between_hosts.seconds(on(name), "all-reduce", 8 * GB, 2, 8)
    assert low < 2 * 8 * GB * (devices - 1) / devices / seconds / 1e9 < high


@pytest.mark.parametrize(
    ("name", "key", "group"),
    [
        ("h100", "devices_per_host", range(8)),
        ("h100", "network_bytes_per_s", range(16)),
        ("h100", "network_hop_s", range(16)),
        ("v100", "network_bytes_per_s", range(16)),  # not known to its profile either
    ],
)
def test_a_missing_link_is_named(name, key, group):
    with pytest.raises(MissingConstant, match=rf"{name}: .*links\.{key} in its profile"):
        Transfers(without(name, key), 16).of(transfer("all-reduce", GB, group))


def test_a_broadcast_passes_on_the_whole():
    known = on("h100").constants("collectives")
    long = GB * 1024 / (known["all_gather_share"] * collectives.link(on("h100")))
    found = Transfers(on("h100"), 8).of(transfer("collective-broadcast", 1024 * GB, range(8)))
    assert found.seconds == pytest.approx(long, rel=0.05) and found.kind == "collectives_unmeasured"


EIGHT = Slice((2, 4, 1), (2, 4, 1))
POD = Slice((16, 16, 1), (2, 2, 1))


def test_places_are_those_of_the_compilers_topologies():
    """Of v5e:2x4 and v5e:4x4, by jax.experimental.topologies."""
    assert [EIGHT.place(n)[:2] for n in range(8)] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    four = Slice((4, 4, 1), (2, 2, 1))
    assert [four.place(n)[:2] for n in range(10)] == [
        *[(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (3, 0), (2, 1), (3, 1)],
        *[(0, 2), (1, 2)],
    ]
    cube = Slice((2, 2, 2), (2, 2, 1))
    assert [cube.place(n) for n in (0, 1, 2, 3, 4, 7)] == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert EIGHT.box((0, 2, 4, 6)) == (1, 4, 1) and EIGHT.box((0, 4)) == (1, 3, 1)


@pytest.mark.parametrize(("rows", "columns", "measured"), [(2048, 8192, 680e-6), (256, 256, 8e-6)])
def test_two_measured_gathers_on_a_v5e(rows, columns, measured):
    """jax-ml/scaling-book, sharding.md: over an axis of four chips of 4 x 8, bfloat16."""
    found = torus.seconds(on("tpu-v5e"), Slice((4, 8, 1), (4, 8, 1)), "all-gather", 2 * rows * columns, range(4))
    assert found == pytest.approx(measured, rel=0.03)


def long(kind: str, slice_: Slice, group: Sequence[int], name: str = "tpu-v5e") -> float:
    """Seconds of a long collective in payloads over one direction of one link."""
    known = on(name)
    rate = known.constants("torus")["share"] * known.accelerator.links["neighbour_bytes_per_s"]
    return torus.seconds(known, slice_, kind, 1024 * GB, group) * rate / (1024 * GB)


def test_a_closed_ring_uses_both_directions_and_two_axes_twice_the_links():
    line, ring = range(0, 8, 2), range(16)  # four of eight chips; 16 chips, of which hosts of 2 x 2 make a box of 8 x 2
    assert long("all-gather", EIGHT, line) == pytest.approx(3 / 4, rel=1e-3)
    assert POD.box(ring) == (8, 2, 1)
    whole = range(256)
    assert long("all-gather", POD, whole) == pytest.approx(255 / 256 / 4, rel=1e-3)
    assert long("all-reduce", POD, whole) == pytest.approx(2 * 255 / 256 / 4, rel=1e-3)
    assert long("reduce-scatter", EIGHT, range(8)) == pytest.approx(7 / 8 / 2, rel=1e-3)
    cubes = Slice((4, 4, 4), (2, 2, 1))
    assert long("all-gather", cubes, range(64), "tpu-v5p") == pytest.approx(63 / 64 / 6, rel=1e-3)
    open_ = Slice((2, 2, 4), (2, 2, 1))
    assert long("all-gather", open_, range(16), "tpu-v5p") == pytest.approx(15 / 16 / 3, rel=1e-3)


def test_an_all_to_all_is_a_quarter_of_a_gather_on_a_ring():
    """The book's comparison: of the whole array, which is n operands."""
    row = [n for n in range(256) if POD.place(n)[1] == 0]
    assert POD.box(row) == (16, 1, 1)
    gather, swap = long("all-gather", POD, row), long("all-to-all", POD, row)
    assert swap / 16 == pytest.approx(gather * 16 / 15 / 4, rel=1e-3)


def test_groups_that_lie_apart_share_links():
    near, apart = (torus.seconds(on("tpu-v5e"), EIGHT, "all-reduce", GB, pair) for pair in ((0, 1), (0, 4)))
    assert apart / near == pytest.approx(3 / 2, rel=0.01)


def test_slices_are_those_that_the_compiler_knows():
    chips = Transfers(on("tpu-v5e"), 8).of(transfer("all-reduce", GB, range(8)))
    assert (chips.seconds, chips.reach) == (torus.seconds(on("tpu-v5e"), EIGHT, "all-reduce", GB, range(8)), "torus")
    with pytest.raises(MissingConstant, match="no topology of 3 devices"):
        Transfers(on("tpu-v5e"), 3).of(transfer("all-reduce", GB, range(3)))
    with pytest.raises(MissingConstant, match="how the devices of one chip share"):
        Transfers(on("tpu-v7x"), 8).of(transfer("all-reduce", GB, range(8)))


def test_a_torus_without_its_links_is_refused():
    for key in ("neighbour_bytes_per_s", "neighbour_hop_s", "wraps_at", "torus_axes"):
        with pytest.raises(MissingConstant, match=rf"links\.{key}"):
            torus.seconds(without("tpu-v5e", key), EIGHT, "all-reduce", GB, range(8))
    with pytest.raises(MissingConstant, match="links"):
        torus.seconds(on("tpu-v7x"), EIGHT, "all-reduce", GB, range(8))
