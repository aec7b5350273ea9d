"""Notice that the project's code on disk is no longer the code that the process has loaded."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from procman.agent import changed_code
from procman.agent.changed_code import ChangedCode
from procman.agent.settings import HealthSettings
from procman.agent.worker_state import WorkerState
from tests.agent.conftest import Start
from tests.agent.heartbeats import Site
from tests.agent.launching import install_launcher, wait_until
from tests.celery_environments import CELERY_5_7, environment_of

HOUR = 3600


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory of a project that is imported from; what it imports is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def module(project: Path, name: str, text: str = "value = 1\n") -> Path:
    """Write and import a module; return its file."""
    path = project.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    importlib.invalidate_caches()
    importlib.import_module(name)
    return path


def following(project: Path) -> ChangedCode:
    settings = HealthSettings("shop-celery", "worker", str(project))
    code = ChangedCode(settings, WorkerState(settings), str(project))
    code.follow_new()
    return code


def changed(code: ChangedCode) -> tuple[object, object]:
    code.compare()
    fields = code.fields()
    return fields.get("changed_modules"), fields.get("changed_module")


def later(path: Path) -> None:
    path.write_text("value = 2\n")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + HOUR))


def earlier(path: Path) -> None:
    path.write_text("value = 2\n")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - HOUR))


def longer(path: Path) -> None:
    times = path.stat()
    path.write_text("value = 1000\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced_by_rename(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text("value = 2\n")
    new.rename(path)


@pytest.mark.parametrize("change", [later, earlier, longer, replaced_by_rename, Path.unlink])
def test_a_file_that_differs_from_the_loaded_one_is_noticed(project: Path, change: Callable[[Path], None]) -> None:
    path = module(project, "procman_test_shop.tasks")
    code = following(project)
    assert changed(code) == (None, None)
    change(path)
    assert changed(code) == (1, "procman_test_shop.tasks")


def test_a_file_that_was_only_touched_or_is_as_before_again_is_no_change(project: Path) -> None:
    path = module(project, "procman_test_shop")
    code = following(project)
    os.utime(path, (0, 0))
    assert changed(code) == (None, None)
    later(path)
    assert changed(code) == (1, "procman_test_shop")
    path.write_text("value = 1\n")
    assert changed(code) == (None, None)


def test_a_module_counts_from_its_own_import(project: Path) -> None:
    first = module(project, "procman_test_first")
    second = project / "procman_test_second.py"
    second.write_text("value = 1\n")
    code = following(project)
    later(second)
    assert changed(code) == (None, None)
    module(project, "procman_test_second", second.read_text())
    code.follow_new()
    assert changed(code) == (None, None)
    second.unlink()
    later(first)
    assert changed(code) == (2, "procman_test_first")


def test_a_module_that_is_loaded_again_is_up_to_date(project: Path) -> None:
    path = module(project, "procman_test_shop")
    code = following(project)
    path.write_text("value = 10\n")
    assert changed(code) == (1, "procman_test_shop")
    importlib.reload(sys.modules["procman_test_shop"])
    code.follow_new()
    assert changed(code) == (None, None)


@pytest.mark.parametrize("directory", [".venv/lib/python3.11/site-packages", "dist-packages", "the-virtualenv/src"])
def test_virtualenvs_and_packages_are_left_out(project: Path, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(project / "the-virtualenv"))
    monkeypatch.syspath_prepend(project / directory)
    path = module(project / directory, "procman_test_package")
    code = following(project)
    path.unlink()
    assert changed(code) == (None, None)


def test_a_project_inside_its_virtualenv_is_followed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(project.parent))
    path = module(project, "procman_test_shop")
    code = following(project)
    path.unlink()
    assert changed(code) == (1, "procman_test_shop")


def test_python_and_the_agent_itself_are_left_out(project: Path) -> None:
    code = following(project)
    followed = {loaded.path for _, loaded in code._modules.values() if loaded}
    assert os.__file__ not in followed
    assert changed_code.__file__ not in followed


def test_a_module_that_loads_lazily_is_not_loaded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"{name} was asked for")

    monkeypatch.setitem(sys.modules, "procman_test_lazy", Lazy("procman_test_lazy"))
    monkeypatch.setitem(sys.modules, "procman_test_odd", object())
    assert changed(following(project)) == (None, None)


def test_an_unprintable_name_is_not_reported(project: Path) -> None:
    path = module(project, "procman_test_shop")
    sys.modules["\x1b[2J"] = sys.modules.pop("procman_test_shop")
    code = following(project)
    path.unlink()
    assert changed(code) == (1, None)


HANGS = """
import sys
import time

code = sys.modules["procman_agent.changed_code"]
stat = code._stat


def hang(path):
    while os.path.exists(os.environ["HANGS_WHILE"]):
        open(os.environ["HANGS_WHILE"] + ".noticed", "w").close()
        time.sleep(0.05)
    return stat(path)


code._stat = hang
"""


@pytest.mark.celery
@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_a_program_reports_changed_code_and_a_file_system_that_hangs_does_not_stop_its_heartbeat(
    kind: str, tmp_path: Path, start: Start
) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment is not None
    site, hangs = Site(install_launcher(tmp_path, environment.python), start), tmp_path / "hangs"
    site.app(HANGS)
    variables = {"PROCMAN_CODE_SECONDS": "0.2", "HANGS_WHILE": str(hangs)}
    program = site.worker(**variables) if kind == "worker" else site.beat(**variables)
    ready = program.wait_until_healthy()
    # A change right after the import, before the thread has seen the module, would go unnoticed.
    before = program.wait_for(lambda found: found["written"] > ready["written"] + 0.5, "the modules are known")
    assert (before["changed_modules"], before["changed_module"]) == (None, None)
    hangs.touch()
    wait_until(Path(f"{hangs}.noticed").exists, lambda: "the look at a file hangs")
    site.app(HANGS + "changed = True")
    program.wait_for(lambda found: found["written"] > before["written"] + 1, "its heartbeat continues")
    assert program.heartbeat()["changed_modules"] is None
    hangs.unlink()
    found = program.wait_for(lambda found: found["changed_modules"], "the change is noticed")
    assert (found["changed_modules"], found["changed_module"], found["missing"]) == (1, "mysite", [])
