"""Workers of one training as processes of this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from examples.ports import free_ports
from tests.examples.commands import ROOT
from tests.time_limits import HANG_SECONDS

# The smallest flow, in batches that one, two or three workers can share, with an evaluation after every four steps.
SMALL = (
    *("--config=digits", "--config.flow.num_scales=1", "--config.flow.width=2", "--config.flow.residual_blocks=0"),
    *("--config.batch_size=24", "--config.steps=12", "--config.evaluations=3", "--config.validation_images=50"),
)


class WorkerProcesses:
    """Starts workers, and ends those that are left.

    Attributes:
      processes: list of `subprocess.Popen`.
    """

    def __init__(self, count, directory, *flags, program="train", of=None, environments=None, network=None):
        """Args:
        of: how many workers the others are told of.
        environments: list of dicts, in the place of TF_CONFIG.
        network: `LossyNetwork`, in the place of that of this machine.
        """
        local = [f"127.0.0.1:{port}" for port in free_ports(of or count)]
        self.addresses = local if network is None else network.addresses
        self._outputs = [directory.with_name(f"{directory.name}.worker_{i}.txt") for i in range(count)]
        option = "run_dir" if program == "train" else "run"
        self.processes = []
        for i in range(count):
            task = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": i}}
            environment = {"TF_CONFIG": json.dumps(task)} if environments is None else environments[i]
            own = flags[i] if flags and isinstance(flags[0], list) else flags
            prefix = [] if network is None else network.prefixes[i]
            command = [*prefix, sys.executable, "-m", f"examples.{program}", f"--{option}={directory}"]
            with self._outputs[i].open("w") as output:
                self.processes.append(
                    subprocess.Popen(
                        [*command, "--strategy=multi_worker", *own],
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        cwd=ROOT,
                        env=os.environ | environment,
                    )
                )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def ended(self, but=()):
        """Waits for all workers but those numbers; returns the exit codes, and how long it took, in seconds."""
        began = time.monotonic()
        codes = [p.wait(HANG_SECONDS) for i, p in enumerate(self.processes) if i not in but]
        return codes, time.monotonic() - began

    def printed(self, worker):
        return self._outputs[worker].read_text()

    def wait_for(self, condition):
        """Waits until `condition()`; fails if a worker ends before."""
        while not condition():
            assert all(p.poll() is None for p in self.processes), [self.printed(i) for i in range(len(self.processes))]
            time.sleep(0.02)
