"""A run on many devices and on several hosts is the run of one device, up to rounding."""

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from train.corpora import command, conversations, crjax, environment, losses

from cr_jax.errors import BadConfig
from cr_jax.train import hosts

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")

#: Gloo's threads tell of their connections on every host, piece by piece, each into the other's lines.
GLOO = r"\[Gloo\] Rank | is connected to | peer ranks\. Expected number of connected peer ranks is : |\d|\n"


def devices(number: int) -> dict[str, str]:
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"}


def alone(path: Path, out: Path, number: int, *more: str, model: str, steps: int) -> list[float]:
    arguments = crjax(*command(path, out, *more, model=model, steps=steps))
    subprocess.run(arguments, env=environment(**devices(number)), check=True, capture_output=True)
    assert json.loads((out / "report.json").read_text())["target"]["devices"] == number
    return [row["loss"][name] for row in losses(out) for name in row["loss"]]


def together(path: Path, outs: list[Path], number: int, *more: str, model: str, steps: int) -> list[str]:
    """One process per folder, ``number`` devices each; what they said on stderr."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = []
    for host, out in enumerate(outs):
        meet = ("--coordinator", f"127.0.0.1:{port}", "--hosts", str(len(outs)), "--host", str(host))
        arguments = crjax(*command(path, out, *meet, *more, model=model, steps=steps))
        running.append(
            subprocess.Popen(
                arguments, env=environment(**devices(number)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    try:
        said = [process.communicate(timeout=580)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * len(outs), "\n".join(said)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--shard-tables"]], ids=["whole", "tables"])
def test_two_hosts_of_four_devices_like_one_of_eight(tmp_path, more):
    path, options = conversations(tmp_path), {"model": "pmmn", "steps": 24}
    one = alone(path, tmp_path / "one", 8, *more, **options)
    outs = [tmp_path / "first", tmp_path / "second"]
    said = together(path, outs, 4, *more, **options)
    assert [row["loss"]["joint"] for row in losses(outs[0])] == pytest.approx(one, rel=1e-5)
    report, other = (json.loads((folder / "report.json").read_text()) for folder in (outs[0], tmp_path / "one"))
    assert report["target"] | {"hosts": 1} == other["target"] and report["target"]["hosts"] == 2
    assert report["test"]["ranking"]["mrr"] == pytest.approx(other["test"]["ranking"]["mrr"], rel=1e-3)
    assert not outs[1].exists()  # host 0 alone writes and speaks
    assert re.sub(GLOO, "", said[1]) == ""


@pytest.mark.soak
def test_two_hosts_go_on_from_a_checkpoint(tmp_path):
    path, outs = conversations(tmp_path), [tmp_path / "first", tmp_path / "second"]
    one = alone(path, tmp_path / "one", 8, model="dmn", steps=60)
    alone(path, outs[0], 8, model="dmn", steps=60)
    # What a kill after the second checkpoint leaves.
    for entry in (outs[0] / "checkpoints").iterdir():
        if int(entry.name) != min(int(e.name) for e in (outs[0] / "checkpoints").iterdir()):
            subprocess.run(["rm", "-r", str(entry)], check=True)
    together(path, outs, 4, "--resume", model="dmn", steps=60)
    assert json.loads((outs[0] / "report.json").read_text())["resumed_at_step"] > 0
    assert [row["loss"]["answer"] for row in losses(outs[0])] == pytest.approx(one, rel=1e-5)


@pytest.mark.slow
def test_eight_devices_with_tables_split_like_one(tmp_path):
    path, options = conversations(tmp_path, 400), {"model": "pmmn", "steps": 20}
    one = alone(path, tmp_path / "one", 1, **options)
    many = alone(path, tmp_path / "eight", 8, "--shard-tables", **options)
    assert many == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("host:1", None, 0), "hosts not given"),
        ((None, 2, 0), "coordinator not given"),
        (("host", 2, 0), "HOST:PORT"),
        (("host:0", 2, 0), "HOST:PORT"),
        (("host:1", 2, 2), "host=2 of hosts=2: legal: 0 to hosts - 1"),
    ],
)
def test_what_does_not_say_where_to_meet_is_refused(given, reason, monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadConfig, match=reason):
        hosts.join(*given)
    hosts.join(None, None, None)  # one process
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(BadConfig, match="JAX_NUM_PROCESSES='two'"):
        hosts.join(None, None, None)
