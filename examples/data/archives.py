"""Reads zip and tar files that may be damaged or made to do harm: no header is trusted before it is checked."""

import contextlib
import dataclasses
import errno
import io
import os
import shutil
import struct
import tarfile
import zipfile
import zlib

_HEADER_BYTES = 2**18  # What is read to find one member; zipfile looks for its directory in the last 64 KiB.
_ENTRY_BYTES = 2**8  # of a member in a zip's directory: 46, and its name, and times
_CHUNK_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What an archive can hold if it is what it should be.

    Attributes:
      members: int, the most files that don't start with a dot.
      member_bytes: int, the most bytes of one of them.
      total_bytes: int, the most bytes of all of them.
    """

    members: int
    member_bytes: int
    total_bytes: int


def read_zip(path, bounds):
    """Yields the name and the content of each file in a zip; raises ValueError that names the zip if it is damaged."""
    with _errors_that_name(path), _MeteredFile(path) as file, _opened_zip(file, bounds.members) as archive:
        total = _Total(bounds, os.path.basename)  # TFDS looks for the pictures of CelebA in any folder.
        for info in archive.infolist():
            if not info.is_dir() and total.counts(info.filename, info.file_size):
                file.allow(_HEADER_BYTES + bounds.member_bytes)
                with _opened_member(archive, info) as member:
                    content = member.read(info.file_size)
                yield info.filename, _whole(info.filename, content, info.file_size)


def read_tar(path, bounds):
    """Yields the name and the content of each file in a tar; raises ValueError that names the tar if it is damaged."""
    with _errors_that_name(path), _MeteredFile(path) as file:
        file.allow(_HEADER_BYTES)
        total, end = _Total(bounds, os.path.normpath), 0
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                # A size below 0 leads back to a header that was read before, and so on without end.
                if member.size < 0 or archive.offset <= end:
                    raise ValueError(f"member {member.name!r} has {member.size:,} bytes, or begins before another ends")
                if member.issparse():
                    raise ValueError(f"member {member.name!r} is sparse, which no archive of pictures is")
                end = archive.offset
                if member.isfile() and total.counts(member.name, member.size):
                    file.allow(member.size)
                    file.seek(member.offset_data)
                    yield member.name, _whole(member.name, file.read(member.size), member.size)
                # Otherwise a million of them pile up.
                archive.members = []  # type: ignore[attr-defined]
                archive.pax_headers = {}
                file.allow(_HEADER_BYTES)
            file.seek(archive.offset)
            if any(file.read(512)):  # `next` takes a broken header for the end.
                raise tarfile.ReadError(f"bad header at byte {archive.offset}")


def unzip(path, name, target, max_bytes):
    """Writes the file `name` of a zip of few files to the path `target`.

    Raises:
      ValueError: if the zip, which the message names, is damaged, or if the file has more than `max_bytes` bytes.
      OSError: if `target` can't be written, or if its disk has less room than the file needs.
    """
    with _errors_that_name(path), _MeteredFile(path) as file, _opened_zip(file, max_members=16) as archive:
        info = archive.getinfo(name)
        if archive.namelist().count(name) > 1:
            raise ValueError(f"it has member {name!r} twice")
        if info.file_size > max_bytes:
            raise ValueError(f"member {name!r} has {info.file_size:,} bytes: must have at most {max_bytes:,}")
        free = shutil.disk_usage(target.parent).free
        if info.file_size > free:
            raise OSError(errno.ENOSPC, f"{path.name} takes {info.file_size:,} bytes unzipped, and {free:,} are free")
        file.allow(_HEADER_BYTES)
        with _opened_member(archive, info) as member, target.open("wb") as out:
            file.allow(_CHUNK_BYTES)
            while chunk := member.read(_CHUNK_BYTES):
                out.write(chunk)
                file.allow(_CHUNK_BYTES)


class _MeteredFile(io.FileIO):
    """A file of which nobody reads more than was allowed last, or anything outside.

    tarfile and zipfile read at once, and seek to, whatever a header says.
    """

    def __init__(self, path):
        super().__init__(path)
        self._size, self._allowed = os.fstat(self.fileno()).st_size, 0

    def allow(self, num_bytes):
        """Allows to read so many bytes until the next call."""
        self._allowed = num_bytes

    def read(self, size=-1):
        left = max(0, self._size - self.tell())
        size = left if size in (None, -1) else size
        if not 0 <= size <= self._allowed:
            raise ValueError(f"a header before byte {self.tell():,} asks for {size:,} bytes more")
        self._allowed -= min(size, left)
        return super().read(min(size, left))

    def seek(self, offset, whence=os.SEEK_SET):
        if whence == os.SEEK_SET and not 0 <= offset <= self._size:
            raise ValueError(f"a header leads to byte {offset:,} of {self._size:,}")
        return super().seek(offset, whence)


class _Total:
    """Counts the members of an archive and their bytes; raises ValueError as soon as there are more than can be."""

    def __init__(self, bounds, key):
        """`key` is a function from a name to what must differ from those of all other members."""
        self._bounds, self._key, self._members, self._bytes = bounds, key, 0, 0
        self._seen = set()  # of hashes, since a million names take more memory

    def counts(self, name, num_bytes):
        """Returns whether a member belongs to the data, and counts it if it does."""
        if os.path.basename(name).startswith("."):  # Another system left these.
            return False
        if not 0 < num_bytes <= self._bounds.member_bytes:
            raise ValueError(f"member {name!r} has {num_bytes:,} bytes: must have 1 to {self._bounds.member_bytes:,}")
        self._members += 1
        self._bytes += num_bytes
        if self._members > self._bounds.members:
            raise ValueError(f"it has more members than the {self._bounds.members:,} of the data set")
        if self._bytes > self._bounds.total_bytes:
            raise ValueError(f"its members have more bytes than the data set, {self._bounds.total_bytes:,}")
        self._seen.add(hash(self._key(name)))
        if len(self._seen) < self._members:
            raise ValueError(f"it has member {name!r} twice")
        return True


def _opened_zip(file, max_members):
    # Systems that leave files that start with a dot leave one for each other file.
    file.allow(_HEADER_BYTES + 2 * max_members * _ENTRY_BYTES)
    return zipfile.ZipFile(file)


def _opened_member(archive, info):
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile bounds what it decompresses at once for these two only.
        raise ValueError(f"member {info.filename!r} is compressed by another method than deflate")
    return archive.open(info)


def _whole(name, content, num_bytes):
    if len(content) != num_bytes:
        raise EOFError(f"member {name!r} ends after {len(content):,} bytes of {num_bytes:,}")
    return content


@contextlib.contextmanager
def _errors_that_name(path):
    """Turns errors of damaged files into a ValueError that names the file."""
    try:
        yield
    except (
        *(ArithmeticError, EOFError, LookupError, RuntimeError, ValueError, struct.error, zlib.error),
        *(tarfile.TarError, zipfile.BadZipFile),
    ) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f"{path.name} is damaged: {reason}") from error
