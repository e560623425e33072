"""The machine's counters against a made-up /proc."""

import pytest

from cr_jax.documents.base import plain
from cr_jax.measure import machine


def proc(folder, user=1000, idle=1000, steal=0, mhz=2000.0):
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 1 1 1\n")
    (folder / "loadavg").write_text("0.25 0.5 0.5 1/100 4242\n")
    (folder / "cpuinfo").write_text(f"model name\t: Test CPU\ncpu MHz\t\t: {mhz}\n")
    (folder / "meminfo").write_text("MemTotal:       1024 kB\n")
    return folder


def pair(tmp_path, own_s, **after):
    before = machine.read(proc(tmp_path / "p"), lambda: 0.0)
    return machine.contention(before, machine.read(proc(tmp_path / "p", **after), lambda: own_s), 2, ticks_per_s=100.0)


def test_the_machine_says_what_it_is_without_names_or_paths(tmp_path):
    found = machine.machine(proc(tmp_path / "p"))
    assert found.cpu == "Test CPU" and found.memory_bytes == 1024 * 1024
    assert set(plain(found)) == {"cpu", "cores", "memory_bytes", "system"} and "/" not in str(plain(found).values())


def test_a_quiet_machine_warns_of_nothing(tmp_path):
    found, warnings = pair(tmp_path, own_s=1.0, user=1100, idle=1100)  # 1 s busy, all of it ours
    assert found.others_share == pytest.approx(0) and warnings == [] and found.clock_change == 0


def test_others_steal_and_clock_are_told_apart(tmp_path):
    found, warnings = pair(tmp_path, own_s=1.0, user=1150, idle=1040, steal=10, mhz=1500.0)
    # 200 ticks: 150 user (100 ours), 40 idle, 10 stolen
    assert found.others_share == pytest.approx(50 / 200) and found.stolen_share == pytest.approx(10 / 200)
    assert found.clock_change == pytest.approx(-0.25)
    assert len(warnings) == 3 and "25%" in warnings[0] and "steal" in warnings[1] and "-25%" in warnings[2]


def test_without_proc_everything_is_null(tmp_path):
    nothing = machine.read(tmp_path / "none", lambda: 0.0)
    found, warnings = machine.contention(nothing, nothing, 2)
    assert warnings == [] and {v for k, v in plain(found).items() if k != "tag"} == {None}
