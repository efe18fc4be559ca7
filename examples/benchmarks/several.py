"""How a step's seconds and the bytes that it sends grow with the workers, all of which run on this machine.

    python -m examples.benchmarks.several CONFIG DTYPE BATCH_SIZE

is the command that `measure` starts for each worker; the chief prints one line of JSON. Workers share the processors:
the seconds say how much the messages cost, and not how much faster several machines are.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

from examples.ports import free_ports

COUNTS = (1, 2, 3)
_WARM_UP, _STEPS = 3, 10


def measure(config, dtype, batch_size, counts=COUNTS):
    """Trains with each number of workers, one after another; returns a dict of what one step of each takes.

    Its keys are the counts. Values are dicts: `seconds`; `megabytes`, sent by all workers together, None where the
    system does not tell; `gradients_megabytes`, the size of all gradients; `ring_megabytes`, what the shortest ring
    sends of them.

    Raises:
      RuntimeError: if a worker fails.
    """
    return {count: _with_workers(count, config, dtype, batch_size) for count in counts}


def table(found):
    """Yields the results of `measure` as lines for the terminal."""
    gradients = next(iter(found.values()))["gradients_megabytes"]
    yield f"a step of several workers on this machine, gradients of {gradients:.1f} MB"
    for count, one in found.items():
        sent = "unknown" if one["megabytes"] is None else f"{one['megabytes']:.1f}"
        yield (
            f"{count:2} workers {one['seconds']:8.3f} s {sent:>9} MB sent by all together; a ring sends "
            f"{one['ring_megabytes']:.1f} MB of gradients"
        )


def _with_workers(count, config, dtype, batch_size):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    command = [sys.executable, "-m", "examples.benchmarks.several", config, dtype, str(batch_size)]
    processes = []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(task)}
        output = subprocess.PIPE if index == 0 else subprocess.DEVNULL
        processes.append(
            subprocess.Popen(command, env=environment, text=True, stdout=output, stderr=subprocess.DEVNULL)
        )
    printed, _ = processes[0].communicate()
    for index, process in enumerate(processes):
        if process.wait():
            raise RuntimeError(
                f"`config`={config!r}: worker {index} of {count} failed with status {process.returncode}; see what "
                f"{' '.join(command[1:])} prints."
            )
    found = json.loads(printed.splitlines()[-1])
    return {**found, "ring_megabytes": 2 * (count - 1) * found["gradients_megabytes"]}


def main(config, dtype, batch_size):
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    from examples.benchmarks import speed
    from examples.data import train_batches

    with strategy.scope():
        model, images = speed.open_model(config, dtype, batch_size)
    batches = strategy.distribute_datasets_from_function(
        lambda context: train_batches(images.train, batch_size, seed=0, input_context=context)
    )

    def train(steps):
        model.fit(batches, steps_per_epoch=steps, verbose=0)

    train(_WARM_UP)
    sent, began = _sent_bytes(), time.perf_counter()
    train(_STEPS)
    seconds, after = time.perf_counter() - began, _sent_bytes()
    gradients = sum(v.shape.num_elements() * v.dtype.size for v in model.trainable_variables) / 1e6
    megabytes = None if sent is None else (after - sent) / _STEPS / 1e6
    found = {"seconds": seconds / _STEPS, "megabytes": megabytes, "gradients_megabytes": gradients}
    print(json.dumps(found), flush=True)
    time.sleep(2)  # Another worker may still read from this one.
    os._exit(0)  # TensorFlow would wait for the other workers, some of which have ended.


def _sent_bytes():
    """Returns how many bytes this machine has sent to itself, None if the system does not tell."""
    path = pathlib.Path("/proc/net/dev")
    if not path.exists():
        return None
    (line,) = (text for text in path.read_text().splitlines() if text.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
