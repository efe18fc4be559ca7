"""Archives that are damaged, or made to do harm, are refused in one line before they take memory, time or the disk."""

import collections
import io
import struct
import tarfile
import zipfile

import pytest

from examples.data import archives
from tests.examples.data.archive_files import (
    IMAGENET,
    add_to_zip,
    refused,
    refused_as_damaged,
    write_celeb_a,
    write_imagenet,
)

TAR, ZIP = "valid_32x32.tar", "img_align_celeba.zip"


# These tests are of tar files.


def tar_header(name, size, kind=tarfile.REGTYPE):
    """A header with any size, which tarfile would not write."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (size % 256**12).to_bytes(12, "big") if size < 0 else b"\x80" + size.to_bytes(11, "big")
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def write_tar(path, *parts):
    path.write_bytes(b"".join(parts) + bytes(1024))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([tar_header("a.png", -512)], r"member 'a\.png' has -512 bytes, or begins before another ends"),
        ([tar_header("a.png", -1)], r"member 'a\.png' has -1 bytes"),
        ([tar_header("a", -512, tarfile.DIRTYPE)], r"member 'a' has -512 bytes"),
        ([tar_header("a.png", 2**62)], "member 'a.png' has 4,611,686,018,427,387,904 bytes: must have 1 to 65,536"),
        ([tar_header("a.png", 2**87)], "member 'a.png' has 154,7.* bytes: must have 1 to 65,536"),
        ([tar_header("a.png", 70_000), bytes(70_144)], "member 'a.png' has 70,000 bytes: must have 1 to 65,536"),
        ([tar_header("a.png", 0)], "member 'a.png' has 0 bytes: must have 1 to 65,536"),
        ([tar_header("a.png", 2_000), bytes(512)], "member 'a.png' ends after 1,536 bytes of 2,000"),
        ([tar_header("a", 2**33, tarfile.GNUTYPE_LONGNAME)], "a header before byte 512 asks for 8,589,934,592 bytes"),
        ([tar_header("a", 2**33, tarfile.XHDTYPE)], "a header before byte 512 asks for 8,589,934,592 bytes more"),
        ([tar_header("a", 2**20, tarfile.XHDTYPE), bytes(2**20)], "a header before byte 512 asks for 1,048,576 bytes"),
        ([tar_header("a", -1024, tarfile.XHDTYPE)], "a header before byte 512 asks for -1,024 bytes"),
        ([tar_header("a", 0, tarfile.GNUTYPE_LONGNAME)] * 2_000, "maximum recursion depth exceeded"),
        ([tar_header("a.png", 512, tarfile.GNUTYPE_SPARSE), bytes(512)], "member 'a.png' is sparse"),
        ([tar_header("a", 2**62, b"?")], "a header leads to byte 4,611,686,018,427,388,"),
    ],
    ids=[
        *("backwards", "negative", "directory", "absurd", "largest", "large", "empty", "short", "long name", "pax"),
        *("large pax", "negative pax", "chain", "sparse", "unknown"),
    ],
)
def test_tar(parts, message, tmp_path, manual):
    write_imagenet(manual)
    write_tar(manual / TAR, *parts)
    refused_as_damaged(IMAGENET, tmp_path, TAR, message)


def test_a_sparse_map_without_end(tmp_path, manual):
    """tarfile keeps every entry of the map."""
    write_imagenet(manual)
    header = bytearray(tar_header("a.png", 512, tarfile.GNUTYPE_SPARSE))
    header[482] = 1  # The map goes on in the next block.
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    write_tar(manual / TAR, bytes(header), (bytes(504) + b"\1" + bytes(7)) * 1_000)
    refused_as_damaged(IMAGENET, tmp_path, TAR, "a header before byte 26.,... asks for 512 bytes more")


def test_one_name_twice_in_a_tar(tmp_path, manual):
    write_imagenet(manual)
    write_tar(manual / TAR, *[tar_header("a.png", 512), bytes(range(256)) * 2] * 2)
    refused_as_damaged(IMAGENET, tmp_path, TAR, r"it has member 'a\.png' twice")


# These tests are of zip files.


def claim(path, size):
    """Sets the size that the directory of a zip claims for its first member."""
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2", content.rindex(b"PK\5\6") - 2**16 if len(content) > 2**16 else 0)
    content[entry + 24 : entry + 28] = struct.pack("<I", size)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: add_to_zip(path, ["a.jpg"], bytes(2**25)),
            "member 'a.jpg' has 33,554,432 bytes: must have 1 to 262,144",
        ),
        (lambda path: add_to_zip(path, ["a.jpg"], b""), "member 'a.jpg' has 0 bytes: must have 1 to 262,144"),
        (lambda path: add_to_zip(path, ["img_align_celeba/000001.jpg"]), "it has member 'img_.*000001.jpg' twice"),
        (lambda path: add_to_zip(path, ["other/000001.jpg"]), "it has member 'other/000001.jpg' twice"),
        (
            lambda path: add_to_zip(path, ["a.jpg"], method=zipfile.ZIP_BZIP2),
            "member 'a.jpg' is compressed by another method",
        ),
    ],
    ids=["bomb", "empty", "twice", "in another folder", "method"],
)
def test_zip(damage, message, tmp_path, manual):
    write_celeb_a(manual)
    damage(manual / ZIP)
    refused_as_damaged("celeb_a", tmp_path, ZIP, message)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (2**32 - 2, "has 4,294,967,294 bytes: must have 1 to 262,144"),
        (3, "Bad CRC-32"),
        (9_000, "ends after 5,000 byt"),
    ],
)
def test_a_zip_that_claims_another_size(size, message, tmp_path, manual):
    write_celeb_a(manual)
    (manual / ZIP).unlink()
    add_to_zip(manual / ZIP, ["000001.jpg"], b"x" * 5_000)
    claim(manual / ZIP, size)
    refused_as_damaged("celeb_a", tmp_path, ZIP, f".*{message}")


def test_a_list_larger_than_that_of_the_set(tmp_path, manual):
    write_celeb_a(manual)
    with (manual / "identity_CelebA.txt").open("r+b") as file:
        file.seek(2**27)  # It takes no room on the disk.
        file.write(b"\n")
    refused_as_damaged("celeb_a", tmp_path, "identity_CelebA.txt", "it has 134,217,729 bytes: must have at most 67,10")


def test_a_number_that_is_too_large(tmp_path, manual):
    write_celeb_a(manual)
    path = manual / "identity_CelebA.txt"
    path.write_text("".join(f"{line.split()[0]} {2**70}\n" for line in path.read_text().splitlines()))
    refused("celeb_a", tmp_path, r"can't be prepared from .*OverflowError.*; fetch it anew")


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_more_than_the_set_has(suffix, tmp_path):
    path, contents = tmp_path / f"a.{suffix}", {"._1": b"of another system", "1": b"1234", "2": b"56", "3": b"7"}
    if suffix == "zip":
        for name, content in contents.items():
            add_to_zip(path, [name], content)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    read = archives.read_zip if suffix == "zip" else archives.read_tar
    assert dict(read(path, archives.Bounds(3, 4, 7))) == {n: c for n, c in contents.items() if n != "._1"}
    for bounds, message in {
        (2, 4, 7): "it has more members than the 2 of the data set",
        (3, 3, 7): "member '1' has 4 bytes: must have 1 to 3",
        (3, 4, 6): "its members have more bytes than the data set, 6",
    }.items():
        with pytest.raises(ValueError, match=f"a.{suffix} is damaged: {message}"):
            collections.deque(read(path, archives.Bounds(*bounds)), maxlen=0)
