"""`procman init` and `procman check` on projects of every layout in tests/init/shapes, with a real Celery."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from procman.config.load import load
from procman.init import health_key
from procman.init.init import NewProject, init
from procman.model import Level, Result, Scope
from procman.preflight.check import check
from tests.init.shapes import Shape, names, put_on_disk, table
from tests.reachable import IS_ROOT, SOMEBODY, SYSTEM_PYTHON, public_directory

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.celery

REPOSITORY = Path(__file__).parents[2]

USER = SOMEBODY if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
SCOPE = Scope.SYSTEM if IS_ROOT else Scope.USER

JUDGED = ("PM70", "PM71", "PM73", "PM74", "PM751")
"""The codes that a layout can cause; the others judge the broker of the tests and this host."""


@pytest.fixture(autouse=True)
def trusted_procman(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let root run this procman, whoever owns the checkout."""
    monkeypatch.setattr(health_key, "command_trust_problems", lambda command: [])


@dataclass(frozen=True)
class Laid:
    """A shape on disk, and what init made of it."""

    shape: Shape
    root: Path
    project: NewProject


@pytest.fixture
def root() -> Iterator[Path]:
    """Return a directory beside whose projects init finds nothing of this machine, such as a virtualenv in /tmp."""
    with public_directory() as directory:
        root = directory / "host" / "srv"
        root.mkdir(parents=True)
        yield root


def lay(name: str, root: Path, python: Path) -> Laid:
    shape = put_on_disk(name, root)
    for path, kind in shape.virtualenvs.items():
        make_virtualenv(root / path, kind, python, shape.editable)
    [project] = init(
        root / shape.directory,
        **shape.options,  # type: ignore[arg-type]
        user=USER if IS_ROOT else None,
        scope=SCOPE,
        environment={"HOME": str(root / "home"), **shape.environment},
        root=root / "no-host",
        output=root / "procman.toml",
    ).projects
    return Laid(shape, root, project)


def make_virtualenv(directory: Path, kind: str, python: Path, editable: str) -> None:
    """Create a virtualenv, or what looks like an environment of conda, with the packages of `python`, by links."""
    [packages] = python.parent.parent.glob("lib/python3*/site-packages")
    own = directory / packages.relative_to(python.parent.parent)
    for each in (own, directory / "bin"):
        each.mkdir(parents=True)
    for package in packages.iterdir() if kind != "empty" else ():
        (own / package.name).symlink_to(package)
    if editable:
        (own / "_shop.pth").write_text(f"{editable}\n")
    if kind == "conda":
        (directory / "conda-meta").mkdir()
        # A Python of conda has its own prefix, which a link to another Python would not have.
        (directory / "bin" / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        (directory / "bin" / "python").chmod(0o755)
    else:
        system = SYSTEM_PYTHON if IS_ROOT else Path(sys.executable).resolve()
        (directory / "pyvenv.cfg").write_text(f"home = {system.parent}\n")
        (directory / "bin" / "python").symlink_to(system)


def checked(text: str, file: Path) -> list[Result]:
    file.write_text(text)
    results = check(load(file, {"HOME": str(file.parent)}))
    return [result for result in results if result.level is not Level.OK and result.code.startswith(JUDGED)]


@pytest.mark.parametrize("name", names())
def test_written_file_is_right_and_check_judges_it(name: str, root: Path, reachable_python: Path) -> None:
    laid = lay(name, root, reachable_python)
    shape, document = laid.shape, tomllib.loads(laid.project.text)
    found = {key: document["project"].get(key, False) for key in shape.project}
    assert found == shape.project, laid.project.warnings
    assert document.get("environment", {}) == shape.variables
    assert [line.partition(":")[0] for line in laid.project.fill_in] == list(shape.fill_in)
    assert_each_is_expected(laid.project.warnings, shape.notes)
    assert programs_of(document) == list(shape.programs)
    if not shape.fill_in:
        assert sorted({each.code for each in checked(laid.project.text, root / "procman.toml")}) == list(shape.findings)


def assert_each_is_expected(warnings: tuple[str, ...], notes: tuple[str, ...]) -> None:
    assert [note for note in notes if not any(note in warning for warning in warnings)] == [], warnings
    assert [warning for warning in warnings if not any(note in warning for note in notes)] == []


def programs_of(document: dict[str, object]) -> list[str]:
    """Return the tables of programs, as they are written: `worker.celery`, `beat`."""
    workers = document["worker"]
    assert isinstance(workers, dict)
    return [*(f"worker.{key}" for key in workers), *(["beat"] if "beat" in document else [])]


@pytest.mark.parametrize(
    ("name", "written", "wrong", "hints"),
    [
        ("src-editable", 'app = "uvp"', 'app = "src.uvp"', {"PM719": 'Set app = "uvp" in [project]'}),
        (
            "cookiecutter",
            'settings = "config.settings.production"',
            'settings = "config.settings.local"',
            {"PM717": "Name the settings for production", "PM718": "Name the settings for production"},
        ),
    ],
)
def test_check_finds_what_init_does_not_write(
    name: str, written: str, wrong: str, hints: dict[str, str], root: Path, reachable_python: Path
) -> None:
    text = lay(name, root, reachable_python).project.text
    assert written in text
    found = {each.code: each.hint for each in checked(text.replace(written, wrong), root / "procman.toml")}
    assert list(found) == list(hints)
    assert all(found[code].startswith(hint) for code, hint in hints.items())


def test_docs_have_the_table_of_all_shapes() -> None:
    assert table() in (REPOSITORY / "docs/init.md").read_text(encoding="utf-8")
