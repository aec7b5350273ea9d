"""procman works from a wheel, an editable install and a bare checkout."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.cli.main import COMMANDS
from procman.version import VERSION
from tests.celery_environments import CACHE, ENVIRONMENT, RUNNING_PYTHON, find_python, make_virtualenv

pytestmark = [pytest.mark.package, pytest.mark.xdist_group("package")]

CHECKOUT = Path(__file__).parent.parent
SOURCES = (
    "procman",
    "templates",
    "django_app",
    "docs",
    "man",
    "units",
    "tests",
    "scripts",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "MANIFEST.in",
    "pyproject.toml",
    "setup.cfg",
)
BUILD = ("setuptools>=77", "wheel")


def _run(*words: str | Path, directory: Path = Path("/")) -> str:
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("PYTHON")}
    done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    return parser


def _requirements() -> list[str]:
    return _settings()["options"]["install_requires"].split("\n")[1:]


@pytest.fixture(scope="module")
def tools() -> Path:
    """A virtualenv in .cache that builds packages; its directory `wheels` has everything that procman needs."""
    directory = CACHE / "package"
    desired = (*_requirements(), *BUILD)
    make_virtualenv(directory, RUNNING_PYTHON, ("build", "pip>=23", *desired))
    if not (directory / "wheels").exists():
        part = directory / "wheels.part"
        _run(directory / "bin" / "pip", "wheel", "--quiet", f"--wheel-dir={part}", *desired)
        part.rename(directory / "wheels")
    return directory


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, as a clone would have them: nothing built, nothing cached."""
    copy = tmp_path_factory.mktemp("checkout")
    leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=leave_out)
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(tools: Path, checkout: Path) -> Path:
    """The directory with the source distribution and the wheel that was built from it."""
    _run(tools / "bin" / "python", "-m", "build", "--no-isolation", checkout)
    return checkout / "dist"


@pytest.fixture
def fresh(tools: Path, tmp_path: Path) -> Iterator[Path]:
    """A virtualenv with nothing in it."""
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh")
    yield tmp_path / "fresh"
    shutil.rmtree(tmp_path / "fresh")


def _install(tools: Path, virtualenv: Path, *words: str | Path) -> None:
    """Install into `virtualenv`, without a network."""
    pip = (tools / "bin" / "pip", "--python", virtualenv / "bin" / "python", "install", "--quiet")
    _run(*pip, "--no-index", f"--find-links={tools / 'wheels'}", *words)


def _assert_works(*procman: str | Path, directory: Path, output: Path) -> None:
    assert _run(*procman, "--version", directory=directory) == f"procman {VERSION}\n"
    configuration = CHECKOUT / "units" / "procman.toml"
    _run(*procman, "--config", configuration, "render", "--output", output, directory=directory)
    assert (output / "etc/supervisor/conf.d/catmaid-celery.conf").exists()
    assert (output / "usr/local/lib/procman/catmaid/launcher.py").exists()
    assert _run(*procman, "explain", "pm301", directory=directory).startswith("PM301: ")
    assert _run(*procman, "explain", "systemd", directory=directory)


def test_every_directory_with_modules_is_in_the_list_of_packages() -> None:
    found = {".".join(path.parent.relative_to(CHECKOUT).parts) for path in CHECKOUT.glob("procman/**/*.py")}
    listed = _settings()["options"]["packages"].split()
    assert sorted(found | {"procman.docs", "procman.templates"}) == listed


def test_wheel_holds_modules_templates_pages_and_rules_and_nothing_else(built: Path, checkout: Path) -> None:
    (wheel,) = built.glob("*.whl")
    found = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    modules = {str(path.relative_to(checkout)) for path in checkout.glob("procman/**/*.py")}
    templates = {f"procman/{path.relative_to(checkout)}" for path in checkout.glob("templates/**/*.j2")}
    pages = {f"procman/{path.relative_to(checkout)}" for path in checkout.glob("docs/*.md")}
    assert modules
    assert templates
    assert pages
    shared = f"{wheel.name.removesuffix('-py3-none-any.whl')}.data/data/share"
    manual = {f"{shared}/man/man{path.suffix[1:]}/{path.name}" for path in checkout.glob("man/*")}
    prometheus = {f"{shared}/procman/{path.name}" for path in checkout.glob("docs/prometheus/*")}
    assert f"{shared}/man/man1/procman-install.1" in manual
    assert f"{shared}/procman/procman.rules.yml" in prometheus
    assert {name for name in found if ".dist-info/" not in name} == modules | templates | pages | manual | prometheus
    assert any(name.endswith("/LICENSE") for name in found)


def test_source_distribution_holds_all_files_to_build_and_test(built: Path, checkout: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        found = {name.partition("/")[2] for name in opened.getnames()}
    desired = {str(path.relative_to(checkout)) for name in SOURCES for path in _files(checkout / name)}
    assert desired - found == set()


def _files(path: Path) -> Iterator[Path]:
    yield from (each for each in [path, *path.rglob("*")] if each.is_file())


def test_wheel_works_in_a_fresh_virtualenv(tools: Path, built: Path, fresh: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    _install(tools, fresh, wheel)
    _assert_works(fresh / "bin" / "procman", directory=Path("/"), output=tmp_path / "output")
    assert (fresh / "share/man/man5/procman.toml.5").exists()


def test_checkout_works_without_an_install_and_as_an_editable_one(
    tools: Path, checkout: Path, fresh: Path, tmp_path: Path
) -> None:
    _install(tools, fresh, *_requirements())
    _assert_works(fresh / "bin" / "python", "-m", "procman", directory=checkout, output=tmp_path / "bare")
    _install(tools, fresh, "--editable", checkout)
    _assert_works(fresh / "bin" / "procman", directory=Path("/"), output=tmp_path / "editable")


def test_checkout_works_with_the_oldest_python_and_libraries(checkout: Path, tmp_path: Path) -> None:
    version = _settings()["options"]["python_requires"].removeprefix(">=")
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} found")
    directory = CACHE / f"oldest-libraries-python{version}"
    make_virtualenv(directory, python, [requirement.replace(">=", "==", 1) for requirement in _requirements()])
    procman = (directory / "bin" / "python", "-m", "procman")
    _assert_works(*procman, directory=checkout, output=tmp_path / "output")
    for name in COMMANDS:
        assert _run(*procman, name, "--help", directory=checkout).startswith(f"Usage: procman {name}")


def test_old_distribution_must_be_uninstalled_first(
    tools: Path, built: Path, checkout: Path, fresh: Path, tmp_path: Path
) -> None:
    """Until 0.1.0 the distribution was called procman; pip takes it for another package that owns the same files."""
    (wheel,) = built.glob("*.whl")
    old = tmp_path / "old"
    shutil.copytree(checkout, old, ignore=shutil.ignore_patterns("dist", "*.egg-info"))
    settings = (old / "setup.cfg").read_text()
    (old / "setup.cfg").write_text(settings.replace("name = celery-procman\n", "name = procman\n"))
    _run(tools / "bin" / "python", "-m", "build", "--no-isolation", "--wheel", old)
    (old_wheel,) = (old / "dist").glob("*.whl")
    pip = (tools / "bin" / "pip", "--python", fresh / "bin" / "python")

    _install(tools, fresh, old_wheel)
    _run(*pip, "uninstall", "--quiet", "--yes", "procman")
    _install(tools, fresh, wheel)
    assert _run(fresh / "bin" / "procman", "--version") == f"procman {VERSION}\n"

    # The wrong order, and the remedy of docs/upgrading.md.
    _install(tools, fresh, old_wheel)
    _run(*pip, "uninstall", "--quiet", "--yes", "procman")
    assert not (fresh / "bin" / "procman").exists()
    _install(tools, fresh, "--force-reinstall", "--no-deps", wheel)
    assert _run(fresh / "bin" / "procman", "--version") == f"procman {VERSION}\n"
