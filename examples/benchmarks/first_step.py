"""How long a fresh program takes to finish its first training step, and how much memory it needs.

    python -m examples.benchmarks.first_step CONFIG DTYPE BATCH_SIZE

is the command that `measure` starts; it prints one line of JSON.
"""

import json
import resource
import subprocess
import sys
import time


def measure(config, dtype, batch_size):
    """Starts a program; returns a dict of its `seconds`, its memory in MiB, and how often it traced the step.

    A program's peak memory counts for those that it starts, so this must be called before a large model is built.

    Raises:
      RuntimeError: if the program fails.
    """
    began = time.time()
    command = [sys.executable, "-m", "examples.benchmarks.first_step", config, dtype, str(batch_size)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        last = result.stderr.strip().split("\n")[-1]
        raise RuntimeError(
            f"`config`={config!r}: its first step failed with status {result.returncode} ({last}); lower `batch_size` "
            "if memory ran out."
        )
    found = json.loads(result.stdout.splitlines()[-1])
    return {"seconds": found.pop("done") - began, **found}


def table(found):
    """Yields the results of `measure`, a dict by dtype, as lines for the terminal."""
    yield "start of a fresh program"
    for dtype, one in found.items():
        yield f"{dtype:10}{one['seconds']:8.1f} s to the end of the first step"
        yield f"{'':10}{one['peak_memory']:8,.0f} MiB at most, of them {one['memory_after_imports']:,.0f} for imports"
        yield f"{'':10}{one['traces']:8} tracing of the step, in an epoch whose last batch is smaller"


def main(config, dtype, batch_size):
    # Imports are part of what is measured.
    import tf_keras

    from examples.benchmarks import speed

    imported = _memory()
    model, images = speed.open_model(config, dtype, count=2 * batch_size + max(1, batch_size // 2))
    times = []
    callback = tf_keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.time()))
    # Two batches are followed by a smaller one, for which the step must not be traced again.
    model.fit(images.train.pixels, batch_size=batch_size, epochs=1, callbacks=[callback], verbose=0)
    print(
        json.dumps(
            {
                "done": times[0],
                "memory_after_imports": imported,
                "peak_memory": _memory(),
                "traces": model.train_tf_function.experimental_get_tracing_count(),
            }
        )
    )


def _memory():
    """Returns the peak memory of this program so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
