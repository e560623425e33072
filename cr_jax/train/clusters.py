"""The cluster that started this process, as JAX finds it: SLURM, Open MPI, a Kubernetes job or a TPU pod."""

import os
import warnings
from dataclasses import dataclass

import jax
from jax._src.clusters import ClusterEnv  # the detection of jax.distributed.initialize(); it has no public name

from cr_jax.errors import BadConfig
from cr_jax.printable import named

_TITLES = {
    "SlurmCluster": "SLURM",
    "OmpiCluster": "Open MPI",
    "K8sCluster": "Kubernetes",
    "GkeTpuCluster": "TPU pod",
    "GceTpuCluster": "TPU pod",
}
_REMEDY = "legal: --coordinator with --hosts and --host, or --hosts 1 for this process alone"


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the number of processes that it started together. title: its name."""

    title: str
    processes: int


def detected() -> Cluster | None:
    """The cluster that JAX finds; ``None``: none. Raises ``BadConfig`` where JAX finds one that does not answer."""
    kind: type[ClusterEnv] | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Kubernetes without its package, which `unjoined` tells in a line
            kind = next((one for one in ClusterEnv._cluster_types if _present(one)), None)
        return None if kind is None else Cluster(_title(kind), _processes(kind))
    except Exception as error:  # of any kind: a service that refuses, a variable that is no number
        raise BadConfig(f"{_title(kind) if kind else 'cluster'}: {named(error, 200)}; {_REMEDY}") from error


def join(cluster: Cluster) -> str:
    """Meet the other processes of ``cluster``; which host this is, in one line. Raises ``BadConfig`` where they do not meet."""
    try:
        jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        raise BadConfig(f"{cluster.title}, {cluster.processes} processes: not joined: {named(error, 200)}; {_REMEDY}") from error
    here = f"{jax.local_device_count()} of {jax.device_count()} devices"
    return f"{cluster.title}: host {jax.process_index()} of {jax.process_count()}, {here} here"


def unjoined() -> str | None:
    """One line where processes were started together that JAX cannot join by itself; ``None``: there is no sign of them."""
    alone = "this process trains alone; --coordinator, --hosts and --host join them"
    started = os.environ.get("OMPI_COMM_WORLD_SIZE", "1")
    if started != "1":
        return f"Open MPI started {started} processes in a way that JAX does not recognise: {alone}"
    if "JOB_COMPLETION_INDEX" in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        return f"a Kubernetes indexed Job, whose pods JAX finds with `pip install 'jax[k8s]'`: {alone}"
    return None


def _present(kind: type[ClusterEnv]) -> bool:
    if kind.opt_in_only_method or (kind.__name__ == "K8sCluster" and "JOB_COMPLETION_INDEX" not in os.environ):
        return False  # the pods of any other job have no numbers
    return kind.is_env_present()


def _processes(kind: type[ClusterEnv]) -> int:
    # A step of its own within a larger allocation, such as an interactive shell: nobody else is there to be waited for.
    if kind.__name__ == "SlurmCluster" and os.environ.get("SLURM_STEP_NUM_TASKS") == "1":
        return 1
    return kind.get_process_count()


def _title(kind: type[ClusterEnv]) -> str:
    return _TITLES.get(kind.__name__, kind.__name__)
