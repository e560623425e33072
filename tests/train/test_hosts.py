"""A run on many devices and on several hosts is the run of one device, up to rounding."""

import contextlib
import importlib.util
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import jax
import pytest
from train.corpora import command, conversations, crjax, environment, losses

from cr_jax.errors import BadConfig
from cr_jax.train import hosts

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")

#: The lowest port that JAX derives from a job's number.
SCHEDULED = 65535 - 4096 + 1
#: Gloo's threads tell of their connections on every host, piece by piece, each into the other's lines.
GLOO = r"\[Gloo\] Rank | is connected to | peer ranks\. Expected number of connected peer ranks is : |\d|\n"


def devices(number: int) -> dict[str, str]:
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"}


def alone(path: Path, out: Path, number: int, *more: str, model: str, steps: int) -> list[float]:
    arguments = crjax(*command(path, out, *more, model=model, steps=steps))
    subprocess.run(arguments, env=environment(**devices(number)), check=True, capture_output=True)
    assert json.loads((out / "report.json").read_text())["target"]["devices"] == number
    return [row["loss"][name] for row in losses(out) for name in row["loss"]]


def free_port(lowest: int = 0) -> int:
    """A port that nobody listens at; the first one from ``lowest`` on, where it is given."""
    for port in range(lowest, 65536):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return free.getsockname()[1]
    raise OSError("no port is free")


def by_options(host: int, hosts: int, port: int) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment by which a host finds the others."""
    return ["--coordinator", f"127.0.0.1:{port}", "--hosts", str(hosts), "--host", str(host)], {}


def by_slurm(host: int, hosts: int, port: int) -> tuple[list[str], dict[str, str]]:
    """A task of ``srun``. JAX takes the port from the job's number."""
    job = {"SLURM_JOB_ID": str(port - SCHEDULED), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(hosts)}
    return [], job | {"SLURM_STEP_NUM_TASKS": str(hosts), "SLURM_PROCID": str(host), "SLURM_LOCALID": str(host)}


def by_open_mpi(host: int, hosts: int, port: int) -> tuple[list[str], dict[str, str]]:
    """A process of ``mpirun``. JAX takes the port from the job's number, a multiple of 4096."""
    job = {"OMPI_MCA_orte_hnp_uri": f"{(port - SCHEDULED) * 4096}.0;tcp://127.0.0.1:34911", "OMPI_COMM_WORLD_SIZE": str(hosts)}
    return [], job | {"OMPI_COMM_WORLD_RANK": str(host), "OMPI_COMM_WORLD_LOCAL_RANK": str(host)}


def together(path: Path, outs: list[Path], number: int, *more: str, model: str, steps: int, meet=by_options) -> list[str]:
    """One process per folder, ``number`` devices each; what they said on stderr."""
    port = free_port(0 if meet is by_options else SCHEDULED)
    running = []
    for host, out in enumerate(outs):
        options, variables = meet(host, len(outs), port)
        arguments = crjax(*command(path, out, *options, *more, model=model, steps=steps))
        where = environment(**devices(number), **variables)
        running.append(subprocess.Popen(arguments, env=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
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


@pytest.mark.slow
@pytest.mark.parametrize(("meet", "title"), [(by_slurm, "SLURM"), (by_open_mpi, "Open MPI")])
def test_two_processes_of_a_cluster_find_each_other(tmp_path, meet, title):
    path, options = conversations(tmp_path), {"model": "dmn", "steps": 6}
    one = alone(path, tmp_path / "one", 2, **options)
    outs = [tmp_path / "first", tmp_path / "second"]
    said = together(path, outs, 1, **options, meet=meet)
    assert [row["loss"]["answer"] for row in losses(outs[0])] == pytest.approx(one, rel=1e-5)
    assert f"{title}: host 0 of 2, 1 of 2 devices here\n" in said[0] and title not in said[1]
    assert json.loads((outs[0] / "report.json").read_text())["target"]["hosts"] == 2 and not outs[1].exists()


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


#: Variables by which a launcher shows itself.
STARTED = ("SLURM_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION_INDEX", "JAX_COORDINATOR", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@pytest.fixture
def started(monkeypatch):
    """``started(SLURM_NTASKS="2", ...)``: the variables of a launcher, and none of others; JAX must not be asked to connect."""
    for name in [name for name in os.environ if name.startswith(STARTED)]:
        monkeypatch.delenv(name)

    def connect(*_, **__):
        raise AssertionError("waits for processes that nobody started")

    monkeypatch.setattr("jax.distributed.initialize", connect)
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


@pytest.mark.parametrize(
    ("meet", "more", "said"),
    [
        (by_slurm, {}, "SLURM: one process, nothing to join"),
        # An interactive step of one task in an allocation of eight.
        (by_slurm, {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, "SLURM: one process, nothing to join"),
        (by_open_mpi, {}, "Open MPI: one process, nothing to join"),
    ],
)
def test_a_job_of_one_process_waits_for_nobody(started, meet, more, said):
    started(**meet(0, 1, SCHEDULED)[1] | more)
    assert hosts.join(None, None, None) == said


def test_a_batch_script_is_no_task(started):
    started(SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_JOB_NODELIST="node[1-4]")
    assert hosts.join(None, None, None) is None


def test_all_of_a_cluster_join_unless_told_otherwise(started, monkeypatch):
    started(**by_slurm(1, 2, SCHEDULED)[1])
    assert hosts.join(None, 1, None) is None  # --hosts 1
    monkeypatch.setattr("jax.distributed.initialize", lambda: None)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    assert hosts.join(None, None, None) == "SLURM: host 0 of 1, 1 of 1 devices here"  # of this process, which did not join


def test_a_cluster_that_does_not_answer_is_refused(started, monkeypatch):
    started(**by_slurm(0, 2, SCHEDULED)[1])
    monkeypatch.setattr(jax.config, "update", lambda *_: None)

    def refuse():
        raise RuntimeError("DEADLINE_EXCEEDED: only 1 of 2 came")

    monkeypatch.setattr("jax.distributed.initialize", refuse)
    with pytest.raises(
        BadConfig, match=r"SLURM, 2 processes: not joined: RuntimeError: DEADLINE.*legal: --coordinator.*--hosts 1"
    ):
        hosts.join(None, None, None)
    monkeypatch.setenv("SLURM_NTASKS", "two")
    with pytest.raises(BadConfig, match=r"^SLURM: ValueError: .*'two'.*; legal: "):
        hosts.join(None, None, None)


@pytest.mark.filterwarnings("error")
def test_what_jax_does_not_find_is_told(started):
    started(KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert hosts.join(None, None, None) is None  # a pod without a number
    if importlib.util.find_spec("kubernetes") is None:
        started(JOB_COMPLETION_INDEX="0")
        assert "indexed Job" in (said := hosts.join(None, None, None)) and "jax[k8s]" in said and "trains alone" in said
    started(OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="0")  # Open MPI 5
    assert hosts.join(None, None, None).startswith("Open MPI started 4 processes in a way that JAX does not recognise: ")


def test_a_tpu_pod_and_a_kubernetes_job_as_jax_describes_them(started, monkeypatch):
    """No such machine is here: JAX's own classes answer for what they would ask."""
    from jax._src.clusters import K8sCluster

    from cr_jax.train import clusters

    monkeypatch.setattr("jax._src.clusters.cloud_tpu_cluster.running_in_cloud_tpu_vm", True)
    started(TPU_WORKER_HOSTNAMES="a,b,c,d", TPU_WORKER_ID="2", TPU_SKIP_MDS_QUERY="1", MEGASCALE_NUM_SLICES="2")
    assert clusters.detected() == clusters.Cluster("TPU pod", 8)
    monkeypatch.setattr("jax._src.clusters.cloud_tpu_cluster.running_in_cloud_tpu_vm", False)
    started(JOB_COMPLETION_INDEX="1")
    monkeypatch.setattr(K8sCluster, "is_env_present", classmethod(lambda cls: True))
    monkeypatch.setattr(K8sCluster, "get_process_count", classmethod(lambda cls: 3))
    assert clusters.detected() == clusters.Cluster("Kubernetes", 3)
    with monkeypatch.context() as patch:
        patch.delenv("JOB_COMPLETION_INDEX")
        assert clusters.detected() is None
