"""Meshes as text, and the topologies that so many devices have."""

import math

import pytest

from cr_jax.catalog import load
from cr_jax.catalog.topologies import mesh_text, read_mesh, topology
from cr_jax.errors import BadConfig


def test_a_mesh_is_read_in_its_order_and_written_as_it_was():
    mesh = read_mesh(" data=4, model=2")
    assert mesh == (("data", 4), ("model", 2))
    assert mesh_text(mesh) == "data=4,model=2"
    assert read_mesh("model=2,data=4") != mesh


@pytest.mark.parametrize(
    "text", ["", "data", "data=", "data=0", "data=-1", "data=1.5", "=8", "data=8,", "data=2,data=4", "a b=2"]
)
def test_no_mesh(text):
    with pytest.raises(BadConfig, match="legal: axes with their sizes, each once, such as data=4,model=2"):
        read_mesh(text)


@pytest.mark.parametrize(
    ("device", "devices", "name", "chips", "per_host"),
    [
        ("h100", 1, "1x1x1", None, 1),
        ("h100", 8, "1x1x8", None, 8),
        ("h100", 64, "1x8x8", None, 8),
        ("tpu-v5e", 4, "v5e:2x2", (2, 2, 1), 4),
        ("tpu-v5e", 8, "v5e:2x4", (2, 4, 1), 8),
        ("tpu-v6e", 16, "v6e:4x4", (2, 2, 1), 4),
        ("tpu-v5p", 8, "v5p:2x2x2", (2, 2, 1), 4),
        ("tpu-v4", 1, "v4:1x1x1", (1, 1, 1), 1),
        ("tpu-v7x", 8, "tpu7x:2x2x1", (2, 2, 1), 8),  # two devices a chip
        ("cpu", 5, "cpu", None, 5),
    ],
)
def test_the_topology_of_so_many(device, devices, name, chips, per_host):
    found = topology(load.accelerator(device), devices)
    assert (found.name, found.chips_per_host, found.devices_per_host) == (name, chips, per_host)


@pytest.mark.parametrize(
    ("device", "devices", "legal"),
    [
        ("h100", 9, "1 to 8, or a multiple of 8 up to 1024"),
        ("h100", 2048, "1 to 8, or a multiple of 8 up to 1024"),
        ("tpu-v5e", 6, "1, 4, 8, 16, 32, 64, 128, 256"),
        ("tpu-v5p", 2, "1, 4, 8, 16, 32, 64, 128, 256, 512, 1024"),
        ("tpu-v7x", 1, "2, 8, 16, 32, 64, 128, 256, 512, 1024, 2048"),
        ("cpu", 257, "1 to 256"),
    ],
)
def test_a_number_of_devices_that_is_not_there_is_refused_with_those_that_are(device, devices, legal):
    with pytest.raises(BadConfig, match=f"{device} has no topology of {devices} devices; legal: {legal}$"):
        topology(load.accelerator(device), devices)


@pytest.mark.parametrize("device", ["tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "h100"])
def test_hosts_share_the_devices_evenly(device):
    for devices in (1, 4, 8, 16, 32, 64, 128, 256):
        found = topology(load.accelerator(device), devices)
        assert devices % found.devices_per_host == 0
        if found.chips_per_host:
            assert math.prod(found.chips_per_host) == found.devices_per_host
            sides = (*map(int, found.name.partition(":")[2].split("x")), 1)[:3]
            assert all(side % own == 0 for side, own in zip(sides, found.chips_per_host, strict=True))
