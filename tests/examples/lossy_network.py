"""A network of real IP packets between the workers of a test, which delays and loses some, and can be cut."""

import fcntl
import heapq
import os
import pathlib
import random
import selectors
import shutil
import struct
import subprocess
import threading
import time

_TUN = pathlib.Path("/dev/net/tun")
_SET_INTERFACE, _PACKETS_ALONE = 0x400454CA, 0x0001 | 0x1000  # TUNSETIFF; IFF_TUN | IFF_NO_PI


def why_not():
    """Returns why this machine has no such network; an empty text if it has."""
    if not _TUN.exists() or shutil.which("ip") is None:
        return "needs /dev/net/tun and the command `ip`"
    return "needs root, for network namespaces" if os.geteuid() else ""


class LossyNetwork:
    """A context in which there is a network namespace for each worker, whose packets go through this process.

    Attributes:
      addresses: list of str, HOST:PORT of each worker.
      prefixes: list of lists of str, the beginning of the command that runs in the namespace of each.
      cut: bool, whether no packet arrives; it may be set at any time.
      bytes: int, how many bytes of IP have been sent.
    """

    def __init__(self, count, delay, loss):
        """Args: count: int, workers; delay: float, seconds a packet takes; loss: float, the share that gets lost."""
        self._names = [f"realnvp{os.getpid()}_{i}" for i in range(count)]
        self.addresses = [f"10.99.0.{i + 1}:2222" for i in range(count)]
        self.prefixes = [["ip", "netns", "exec", name] for name in self._names]
        self.cut, self.bytes = False, 0
        self._delay, self._loss, self._chosen = delay, loss, random.Random(0)
        self._interfaces: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def __enter__(self):
        for i, name in enumerate(self._names):
            interface = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
            self._interfaces.append(interface)
            fcntl.ioctl(interface, _SET_INTERFACE, struct.pack("16sH", f"realnvp{i}".encode(), _PACKETS_ALONE))
            for command in (
                f"netns add {name}",
                f"link set realnvp{i} netns {name}",
                f"-n {name} address add 10.99.0.{i + 1}/24 dev realnvp{i}",
                f"-n {name} link set realnvp{i} up",
                f"-n {name} link set lo up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        for name, interface in zip(self._names, self._interfaces, strict=True):
            os.close(interface)
            subprocess.run(["ip", "netns", "delete", name], check=True)

    def _forward(self):
        due: list[tuple[float, int, int, bytes]] = []  # when, its number, the receiver, and the packet
        number = 0
        with selectors.DefaultSelector() as ready:
            for interface in self._interfaces:
                ready.register(interface, selectors.EVENT_READ)
            while not self._over.is_set():
                for key, _ in ready.select(0.002 if due else 0.1):
                    packet = os.read(key.fd, 65536)
                    self.bytes += len(packet)
                    receiver = packet[19] - 1  # the last number of an IPv4 address
                    known = packet[0] >> 4 == 4 and 0 <= receiver < len(self._interfaces)
                    if known and not self.cut and self._chosen.random() >= self._loss:
                        number += 1
                        heapq.heappush(due, (time.monotonic() + self._delay, number, receiver, packet))
                while due and due[0][0] <= time.monotonic():
                    *_, receiver, packet = heapq.heappop(due)
                    os.write(self._interfaces[receiver], packet)
