"""Reads an LMDB database in a process of its own, because LMDB trusts its pages and crashes if they are damaged.

The process runs this file, so that it starts without TensorFlow. It sends records as two lengths, the key and the
value, and at last the lengths (0, n) and n bytes that say what was wrong, if anything.
"""

import os
import signal
import struct
import subprocess
import sys

_LENGTHS = struct.Struct("<QQ")


def read(directory, max_records, max_bytes):
    """Yields the keys and values of the database in a directory, in the order of the keys.

    Args:
      directory: path of the directory that holds data.mdb.
      max_records: int, the most records that there can be.
      max_bytes: int, the most bytes of a value.

    Raises:
      ValueError: if the database is damaged or has more, or larger, records.
    """
    command = [sys.executable, __file__, str(directory), str(max_bytes)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            number, last = 0, b""
            while True:
                key_bytes, value_bytes = _LENGTHS.unpack(_exactly(process, _LENGTHS.size))
                if not key_bytes:
                    break
                key, value = _exactly(process, key_bytes), _exactly(process, value_bytes)
                number += 1
                if number > max_records:
                    raise ValueError(f"it has more records than the {max_records:,} of the data set")
                if key <= last:
                    raise ValueError(f"its keys are not in order at record {number:,}")
                last = key
                yield key, value
            if value_bytes:
                raise ValueError(_exactly(process, value_bytes).decode(errors="replace"))
        finally:
            process.kill()  # It has ended, or waits for somebody to read on.


def _exactly(process, num_bytes):
    content = process.stdout.read(num_bytes)
    if len(content) < num_bytes:
        raise ValueError(f"LMDB crashed on it (exit status {process.wait()})")
    return content


def _send(directory, max_bytes):
    """Writes the records to standard output."""
    import lmdb

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that reads, which then ends this process.
    out, problem = sys.stdout.buffer, ""
    try:
        with lmdb.open(directory, readonly=True, lock=False) as env:
            size = os.stat(os.path.join(directory, "data.mdb")).st_size
            if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > size:
                raise EOFError("data.mdb is cut short")
            with env.begin(buffers=True) as transaction:  # A value may claim 4 GiB; a buffer of them is no copy.
                for key, value in transaction.cursor():
                    if not 0 < len(value) <= max_bytes:
                        raise ValueError(f"a record has {len(value):,} bytes: must have 1 to {max_bytes:,}")
                    copied = bytes(key), bytes(value)  # What crashes does it here, not amid a record that is sent.
                    out.write(_LENGTHS.pack(*map(len, copied)) + b"".join(copied))
    except (lmdb.Error, OSError, EOFError, ValueError) as error:
        problem = str(error)
    out.write(_LENGTHS.pack(0, len(problem.encode())) + problem.encode())
    out.flush()


if __name__ == "__main__":
    _send(sys.argv[1], int(sys.argv[2]))
