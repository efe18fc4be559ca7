"""The workers of a training on several machines: who they are, and that they start together.

A worker is a process that is started by the same command as all others, and finds out from its environment which one it
is. Worker 0 is the chief, which writes what all have made together.
"""

import dataclasses
import json
import os

import tensorflow as tf

_MOST_TASKS = 2**10  # on a node
_SLURM_PORT = 8888  # that of the first task of a node
START_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a worker was lost, and all are to be started again.


@dataclasses.dataclass(frozen=True)
class Workers:
    """All workers, and which of them this process is.

    Attributes:
      addresses: HOST:PORT of each.
      index: int, the number of this one.
      source: str, what says so, for messages.
      resolver: `tf.distribute.cluster_resolver.ClusterResolver`, None for a process alone.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0
    source: str = ""
    resolver: tf.distribute.cluster_resolver.ClusterResolver | None = None

    @property
    def several(self):
        return len(self.addresses) > 1

    @property
    def is_chief(self):
        return self.index == 0

    def __str__(self):
        return f"worker {self.index} of {len(self.addresses)}, at {self.addresses[self.index]} ({self.source})"


ALONE = Workers()


def find(environ=os.environ):
    """Returns the `Workers` that TF_CONFIG names, or else Slurm.

    Raises:
      ValueError: if neither does, or what it says is not understood.
    """
    if environ.get("TF_CONFIG"):
        return _of_tf_config(environ["TF_CONFIG"])
    if "SLURM_PROCID" in environ:
        return _of_slurm(environ)
    raise ValueError(
        "`strategy`=multi_worker: nothing says which workers there are: set TF_CONFIG to e.g. "
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}, with an index '
        "of its own for each worker, or start all of them by srun."
    )


def _of_tf_config(text):
    try:
        config = json.loads(text)
        addresses, task = config["cluster"]["worker"], config["task"]
        kind, index, jobs = task["type"], int(task["index"]), set(config["cluster"])
        addresses = tuple(str(address) for address in addresses)
        ports = [int(address.rpartition(":")[2]) for address in addresses]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"TF_CONFIG={text}: must be JSON with cluster.worker, a list of HOST:PORT, and task.type and task.index "
            f"({type(error).__name__}: {error})."
        ) from error
    if jobs != {"worker"} or kind != "worker":
        raise ValueError(
            f"TF_CONFIG={text}: has the tasks {sorted(jobs | {kind})}: must have workers alone; the first one is the "
            "chief. Evaluation is shared out among them, and wants no task of its own."
        )
    if not 0 <= index < len(addresses) or len(set(addresses)) < len(addresses) or min(ports) < 1:
        raise ValueError(
            f"TF_CONFIG={text}: task.index must be in [0, {len(addresses)}), and each worker must have an address of "
            "its own, HOST:PORT."
        )
    return Workers(addresses, index, "TF_CONFIG", _resolver(addresses, index))


def _of_slurm(environ):
    try:
        # Asked for the GPUs of a node, the resolver fails where there are none.
        options = {"gpus_per_node": _MOST_TASKS, "gpus_per_task": 1, "auto_set_gpu": False}
        slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(port_base=_SLURM_PORT, **options)
        addresses = tuple(slurm.cluster_spec().as_dict()["worker"])
        # It sorts the nodes, so that a task's place there is not its rank.
        index = addresses.index(f"{environ['SLURMD_NODENAME']}:{_SLURM_PORT + int(environ['SLURM_LOCALID'])}")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`strategy`=multi_worker: Slurm's environment is not understood ({error}); use srun."
        ) from error
    return Workers(addresses, index, "Slurm", _resolver(addresses, index))


def _resolver(addresses, index):
    cluster = tf.train.ClusterSpec({"worker": list(addresses)})
    # It counts the GPUs of this process when it is asked.
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type="worker", task_id=index, rpc_layer="grpc"
    )
