"""Writes small archives as people fetch them by hand, and looks at what is prepared from them, or refused."""

import io
import shutil
import tarfile
import warnings
import zipfile

import numpy as np
import pytest

from examples.data import by_hand

tfds = pytest.importorskip("tensorflow_datasets")
lmdb = pytest.importorskip("lmdb")
Image = pytest.importorskip("PIL.Image")

IMAGENET, LSUN = "downsampled_imagenet/32x32", "lsun/church_outdoor"
POINTS = [f"{point}_{axis}" for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]
PARTITION = [0, 0, 0, 1, 1, 2, 2]  # of CelebA's images 1, 2, ...


def pixels(number, height, width):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def encoded(array, form, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, form, **options)
    return file.getvalue()


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def write_imagenet(manual, size=32):
    for split, numbers in (("train", range(5)), ("valid", range(5, 8))):
        with tarfile.open(manual / f"{split}_{size}x{size}.tar", "w") as archive:
            folder = tarfile.TarInfo(f"{split}_{size}x{size}")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for number in numbers:
                data = encoded(pixels(number, size, size), "PNG")
                member = tarfile.TarInfo(f"{folder.name}/{number:05d}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def write_celeb_a(manual):
    """Returns the JPEG files, the attributes, the landmarks and the identities."""
    draw = np.random.default_rng(0)
    names = [f"{number:06d}.jpg" for number in range(1, len(PARTITION) + 1)]
    headings = list(tfds.builder_cls("celeb_a")(data_dir=manual).info.features["attributes"])
    attributes, landmarks = draw.choice([-1, 1], (len(names), 40)), draw.integers(0, 178, (len(names), 10))
    identities = draw.integers(1, 10_178, (len(names), 1))
    pictures = [encoded(pixels(i, 218, 178), "JPEG") for i in range(len(names))]
    with zipfile.ZipFile(manual / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/", "")
        for name, picture in zip(names, pictures, strict=True):
            archive.writestr(f"img_align_celeba/{name}", picture)

    def write(file, rows, heading=None):
        lines = [str(len(names)), " ".join(heading) + " "] if heading else []
        lines += [f"{name} {' '.join(f'{v:2d}' for v in row)}" for name, row in zip(names, rows, strict=True)]
        (manual / file).write_text("\n".join(lines) + "\n")

    write("list_eval_partition.txt", np.array(PARTITION)[:, None])
    write("list_attr_celeba.txt", attributes, headings)
    write("list_landmarks_align_celeba.txt", landmarks, POINTS)
    write("identity_CelebA.txt", identities)
    return pictures, headings, attributes, landmarks, identities


def write_lsun(manual, scene="church_outdoor", form="JPEG", zipped=True, **options):
    """Returns {id: bytes} of both splits."""
    written = []
    for split, numbers in (("train", range(6)), ("val", range(6, 9))):
        folder = manual / f"{scene}_{split}_lmdb"
        images = {
            f"{number * 7919 % 1000:040x}": encoded(pixels(number, 40 + number, 50), form, **options)
            for number in numbers
        }
        with lmdb.open(str(folder), map_size=1 << 20) as env, env.begin(write=True) as records:
            for key, value in images.items():
                records.put(key.encode(), value)
        if zipped:
            shutil.make_archive(str(folder), "zip", manual, folder.name)
            shutil.rmtree(folder)
        written.append(images)
    return written


def load(name, data_dir, split):
    """The examples of a split, as TFDS alone finds them."""
    assert tfds.builder(name, data_dir=data_dir).is_prepared()
    return list(tfds.as_numpy(tfds.load(name, split=split, data_dir=data_dir, download=False)))


def leftovers(data_dir):
    return [p for p in data_dir.rglob("*") if "incomplete" in p.name or "unzipped" in p.name or "tfrecord" in p.name]


def add_to_zip(path, names, content=b"x" * 512, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # It warns of a name that is there already.
        for name in names:
            archive.writestr(name, content)


def refused(name, data_dir, message, error=ValueError):
    """Asserts that a data set can't be prepared, that one line says why, and that nothing stays."""
    with pytest.raises(error, match=message) as caught:
        by_hand.prepare(name, data_dir)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"`{name}`: can't be ")
    assert not leftovers(data_dir)


def refused_as_damaged(name, data_dir, file, message):
    refused(name, data_dir, rf"ValueError: {file} is damaged: {message}.*\); fetch it anew\.$")
