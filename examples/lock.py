"""One process at a time may write to a run's directory."""

import json
import os
import pathlib
import socket
import time

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, two processes in one run are not kept apart.
    fcntl = None  # type: ignore[assignment]

_NAME = ".lock"


class RunLock:
    """The lock of a run, held from `acquire` until `release` or the end of the process, however that comes."""

    def __init__(self, directory):
        """Args: directory: `pathlib.Path` of the run."""
        self._directory = directory
        self._path = pathlib.Path(directory) / _NAME
        self._file = None

    def acquire(self, seconds=0.0):
        """Takes the lock, unless it is held.

        Raises:
          BlockingIOError: if another process has it for `seconds`; it says which.
        """
        if fcntl is None or self._file is not None:
            return
        deadline = time.monotonic() + seconds
        while True:
            file = self._path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                with file:
                    if time.monotonic() < deadline:
                        time.sleep(0.5)
                        continue
                    raise BlockingIOError(f"`run_dir`={self._directory}: {_holder(file)}") from error
            except OSError as error:  # Some network file systems have no locks.
                file.close()
                self._path.unlink(missing_ok=True)
                raise OSError(
                    f"`run_dir`={self._directory}: its file system has no locks ({error.strerror}), which keep two "
                    "trainings apart; name a directory on another one."
                ) from error
            if self._is_of(file):
                break
            file.close()  # Its holder removed the file in between.
        file.truncate(0)
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": began}))
        file.flush()
        self._file = file

    def _is_of(self, file):
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self):
        """Gives the lock back, and removes its file."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _holder(file):
    """Returns the end of the message: who holds the lock, and what to do."""
    file.seek(0)
    try:
        who = json.loads(file.read())
        holder = f"process {who['process']} on {who['host']} has trained there since {who['since']}"
    except (ValueError, KeyError, TypeError):  # It has just taken the lock.
        holder = "another process trains there"
    return f"{holder}; wait for it or stop it, or name another `run_dir`."
