"""The wheel: what it holds, what it requires, and that it works in an environment of its own."""

import email
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(*command, **options):
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout, so that nothing that is built stays in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    for name in ("tfp_realnvp", "examples", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder / "dist")
    run(sys.executable, "-m", "pip", "wheel", ".", *options, cwd=folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_the_wheel_holds_the_package_alone(wheel):
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = [path for path in (ROOT / "tfp_realnvp").rglob("*") if path.suffix == ".py" or path.name == "py.typed"]
    assert files == {path.relative_to(ROOT).as_posix() for path in sources}


def test_the_metadata_are_those_of_a_package_index(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    names = sorted(re.match(r"[\w-]+", line).group().replace("_", "-") for line in required)
    assert names == ["h5py", "numpy", "setuptools", "tensorflow", "tensorflow-probability", "tf-keras"]
    assert {"serving", "examples", "test", "keras3", "docs", "cuda"} == set(metadata.get_all("Provides-Extra"))
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata["Keywords"]
    assert metadata["Summary"]


def check_in_environment(folder, wheel, install):
    """Installs the wheel into a new environment by `install`, and runs the README's blocks of Python there."""
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install(python, wheel)
    shutil.copy(ROOT / "tests" / "run_readme.py", folder)
    (folder / "empty").mkdir()
    printed = run(python, folder / "run_readme.py", ROOT / "README.md", cwd=folder / "empty")
    # It is the installed package that ran, and no `examples` came along.
    site_packages = pathlib.Path(printed.splitlines()[-1])
    assert folder / "env" in site_packages.parents
    assert not (site_packages / "examples").exists()


def test_the_readme_runs_with_the_wheel_in_a_fresh_environment(wheel, tmp_path):
    def install(python, wheel):
        """Everything that the package requires is taken from this environment, to which a path file leads."""
        run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel)
        site_packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        (pathlib.Path(site_packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    check_in_environment(tmp_path, wheel, install)


@pytest.mark.slow
def test_the_readme_runs_with_the_wheel_and_what_it_requires(wheel, tmp_path):
    def install(python, wheel):
        run(python, "-m", "pip", "install", "--quiet", f"tfp_realnvp[serving] @ file://{wheel}", "scikit-learn")

    check_in_environment(tmp_path, wheel, install)
