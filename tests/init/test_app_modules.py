"""The module of a project's app: its name, and the directory that it is imported from."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.init.scan_project import find_project
from tests.django_projects import make_project


def make_app(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'from celery import Celery\n{text}\napp = Celery("x")\n')
    return file


def make_src_layout(top: Path) -> Path:
    make_project(top / "src", "", package="mysite")
    (top / "src" / "manage.py").rename(top / "manage.py")
    return top / "src"


@pytest.mark.parametrize("app", [None, "mysite", "mysite.celery:app"])
def test_package_in_src_has_one_name(tmp_path: Path, app: str | None) -> None:
    src = make_src_layout(tmp_path)
    found = find_project(tmp_path, {}, app)
    assert (found.directory, found.app, found.python_path) == (tmp_path, app or "mysite", (src,))


def test_package_in_src_that_the_virtualenv_imports_needs_no_python_path(tmp_path: Path) -> None:
    src = make_src_layout(tmp_path)
    packages = tmp_path / ".venv" / "lib/python3.8/site-packages"
    packages.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").touch()
    (packages / "x.pth").write_text(f"{src}\n")
    found = find_project(tmp_path, {})
    assert (found.app, found.python_path) == ("mysite", ())


def test_package_that_the_settings_name_with_src_keeps_that_name(tmp_path: Path) -> None:
    src = make_src_layout(tmp_path)
    (tmp_path / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "src.mysite.settings")')
    (src / "mysite" / "celery.py").write_text("app = Celery('x')\n")
    found = find_project(tmp_path, {})
    assert (found.app, found.settings, found.python_path) == ("src.mysite", "src.mysite.settings", ())


@pytest.mark.parametrize(("line", "app"), [("sys.path.append('lib')", "jobs"), ("", "lib.jobs")])
def test_directory_that_manage_py_adds_to_the_path_is_in_python_path(tmp_path: Path, line: str, app: str) -> None:
    make_project(tmp_path, "", package="mysite")
    (tmp_path / "mysite" / "celery.py").unlink()
    manage = tmp_path / "manage.py"
    manage.write_text(f"{line}\n{manage.read_text()}")
    make_app(tmp_path / "lib" / "jobs" / "celery.py")
    (tmp_path / "lib" / "jobs" / "__init__.py").touch()
    found = find_project(tmp_path, {})
    assert (found.app, found.python_path) == (app, (tmp_path / "lib",) if line else ())


def test_named_app_is_found_without_a_manage_py(tmp_path: Path) -> None:
    make_app(tmp_path / "services" / "jobs" / "background.py")
    make_app(tmp_path / "celery.py")
    found = find_project(tmp_path, {}, "jobs.background")
    assert (found.directory, found.app, found.python_path) == (tmp_path / "services", "jobs.background", ())
    assert "directory" not in found.doubts


def test_projects_without_django_are_listed_with_the_command_for_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_app(tmp_path / name / "tasks.py")
    assert find_project(tmp_path, {}).doubts["directory"] == (
        f"found more than one directory with a Celery app: {tmp_path}/one, {tmp_path}/two; "
        "for one of them, run `procman init DIRECTORY`"
    )


def test_nearest_module_of_a_named_app_is_meant(tmp_path: Path) -> None:
    near, far = make_app(tmp_path / "tasks.py"), make_app(tmp_path / "old" / "x" / "tasks.py")
    (far.parent / "package").mkdir()
    make_app(far.parent / "package" / "tasks.py")
    (far.parent / "package" / "__init__.py").touch()
    assert find_project(tmp_path, {}, "tasks").directory == tmp_path
    near.unlink()
    assert find_project(tmp_path, {}, "tasks").directory == far.parent
    make_app(tmp_path / "new" / "x" / "tasks.py")
    assert "found more than one module tasks" in find_project(tmp_path, {}, "tasks").doubts["directory"]
    assert find_project(tmp_path, {}, "other").doubts["directory"] == "no module other found"


@pytest.mark.parametrize("text", ["from app.core import x", "Celery('y', include=['app.core'])"])
def test_package_without_init_file_is_known_by_what_it_imports(tmp_path: Path, text: str) -> None:
    make_app(tmp_path / "app" / "worker.py", text)
    found = find_project(tmp_path, {})
    assert (found.directory, found.app) == (tmp_path / "app", "worker")
    (tmp_path / "app" / "core.py").touch()
    found = find_project(tmp_path, {})
    assert (found.directory, found.app) == (tmp_path, "app.worker")


@pytest.mark.parametrize(
    ("files", "app"),
    [
        (["site/celery/live.py", "site/celery/uat.py"], "site.celery.live"),
        (["site/celery/uat.py", "site/celery/debug.py"], None),
        (["site/celery/__init__.py"], "site"),
        (["site/celery/test_live.py"], None),
        (["worker.py"], "worker"),
        (["make_celery.py"], "make_celery"),
        (["site/my_celery_setup.py"], "site.my_celery_setup"),
        (["celery_app.py", "tasks.py"], "celery_app"),
        (["tasks.py", "worker.py"], None),
        (["test_celery.py"], None),
    ],
)
def test_app_is_in_a_file_of_a_usual_name(tmp_path: Path, files: list[str], app: str | None) -> None:
    for file in files:
        make_app(tmp_path / file)
    for directory in (tmp_path / "site", tmp_path / "site" / "celery"):
        if directory.exists():
            (directory / "__init__.py").touch()
    assert find_project(tmp_path, {}).app == app
