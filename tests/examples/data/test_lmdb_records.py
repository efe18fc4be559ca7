"""Databases of LSUN that are damaged, or made to do harm, are refused in one line; LMDB's crashes end no program."""

import shutil
import struct

import pytest

from tests.examples.data.archive_files import LSUN, add_to_zip, lmdb, refused, refused_as_damaged, write_lsun

BIG_DATA = 1  # LMDB's flag of a node whose value has pages of its own
LEAF = 2  # LMDB's flag of a page with nodes
VAL = "church_outdoor_val_lmdb"


def test_a_zip_with_a_large_directory(tmp_path, manual):
    write_lsun(manual)
    add_to_zip(manual / f"{VAL}.zip", map(str, range(6_000)), b"")
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", r"a header before byte .* asks for [23]\d\d,... bytes more")


def test_a_database_larger_than_that_of_the_set(tmp_path, manual):
    write_lsun(manual, zipped=False)
    with (manual / VAL / "data.mdb").open("r+b") as file:
        file.truncate(2**26)
    shutil.make_archive(str(manual / VAL), "zip", manual, VAL)
    shutil.rmtree(manual / VAL)
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", "member '.*data.mdb' has 67,108,864 bytes: must have at most 40,")


def test_a_database_twice_in_a_zip(tmp_path, manual):
    write_lsun(manual)
    add_to_zip(manual / f"{VAL}.zip", [f"{VAL}/data.mdb"])
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", f"it has member '{VAL}/data.mdb' twice")


def test_a_database_larger_than_the_disk(tmp_path, manual, monkeypatch):
    write_lsun(manual)
    usage = shutil.disk_usage(manual)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    message = r"can't be written to .*church_outdoor_train_lmdb\.zip takes [\d,]+ bytes unzipped, and 1,000 are free"
    refused(LSUN, tmp_path, message, OSError)


def test_more_records_than_the_set_has(tmp_path, manual):
    write_lsun(manual, zipped=False)
    with lmdb.open(str(manual / VAL), map_size=1 << 24) as env, env.begin(write=True) as records:
        for number in range(301):
            records.put(b"%040d" % number, b"\xff\xd8")
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", "it has more records than the 300 of the data set")


def test_a_picture_with_too_many_pixels(tmp_path, manual):
    write_lsun(manual, zipped=False)
    header = struct.pack("<IBHHI", 18, 0, 0, 0, 0)  # a BMP's, of 30,000 x 30,000
    picture = b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0) + header
    with lmdb.open(str(manual / VAL), map_size=1 << 20) as env, env.begin(write=True) as records:
        records.put(b"a", picture)
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", "its picture b'a' can't be read .*30000x30000|.*bomb")


@pytest.mark.parametrize("size", [2**31, 3 * 2**20])
def test_a_value_beyond_the_end_of_the_database(size, tmp_path, manual):
    """LMDB would read on where there is no file, which ends a process."""
    write_lsun(manual, zipped=False)
    path = manual / VAL / "data.mdb"
    content = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        (flags, lower) = struct.unpack_from("<HH", content, page + 10)
        for place in range(page + 16, page + lower, 2) if flags == LEAF else ():
            node = page + struct.unpack_from("<H", content, place)[0]
            if struct.unpack_from("<H", content, node + 4)[0] == BIG_DATA:
                struct.pack_into("<HH", content, node, size & 0xFFFF, size >> 16)
    path.write_bytes(content)
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", r"LMDB crashed on it \(exit status -")


def test_a_picture_larger_than_any_of_the_set(tmp_path, manual):
    write_lsun(manual, zipped=False)
    with lmdb.open(str(manual / VAL), map_size=1 << 24) as env, env.begin(write=True) as records:
        records.put(b"a", b"\xff\xd8" + bytes(2**22))
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", "a record has 4,194,306 bytes: must have 1 to 4,194,304")


def test_keys_out_of_order(tmp_path, manual):
    key = max(write_lsun(manual, zipped=False)[1]).encode()
    path = manual / VAL / "data.mdb"
    content = path.read_bytes()
    assert key in content
    path.write_bytes(content.replace(key, b"!" * len(key)))
    refused_as_damaged(LSUN, tmp_path, f"{VAL}.zip", "its keys are not in order at record 3")
