"""The search for the parts of a project below a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from procman.init.complete import find_parts
from procman.init.draft import Draft
from procman.init.look_below import DEEPEST, look_below
from procman.init.scan_project import FoundProject, find_project
from procman.init.settings_modules import own_settings
from tests.django_projects import CELERY, make_project
from tests.reachable import as_somebody, public_directory


def make_virtualenv(directory: Path, *, celery: bool = True) -> Path:
    packages = directory / "lib" / "python3.8" / "site-packages"
    packages.mkdir(parents=True)
    (directory / "pyvenv.cfg").touch()
    if celery:
        (packages / "celery").mkdir()
        (packages / "celery" / "__init__.py").touch()
        # Files of installed packages do not belong to the project.
        make_project(packages / "other", "")
    return directory


def find(top: Path, environment: Mapping[str, str] | None = None) -> FoundProject:
    return find_project(top, environment or {})


def test_project_of_catmaids_shape(tmp_path: Path) -> None:
    project = make_project(tmp_path / "django" / "projects", "", package="mysite")
    virtualenv = make_virtualenv(tmp_path / "django" / "env")
    make_project(tmp_path / "node_modules" / "x", "")
    expected = FoundProject(project, "mysite.settings", "mysite", virtualenv, {})
    assert find(tmp_path) == expected
    assert find(tmp_path / "django") == expected
    # The virtualenv is beside it then.
    assert find(project) == expected


@pytest.mark.parametrize("name", [".venv", "env", "link"])
def test_virtualenv_may_be_hidden_or_a_link(tmp_path: Path, name: str) -> None:
    make_project(tmp_path / "project", "")
    if name == "link":
        make_virtualenv(tmp_path / "elsewhere" / "x" / "y")
        (tmp_path / "project" / name).symlink_to(tmp_path / "elsewhere" / "x" / "y")
    else:
        make_virtualenv(tmp_path / "project" / name)
    assert find(tmp_path / "project").virtualenv == tmp_path / "project" / name


def test_project_inside_its_virtualenv(tmp_path: Path) -> None:
    virtualenv = make_virtualenv(tmp_path / "shop")
    project = make_project(virtualenv / "site", "")
    make_project(make_virtualenv(virtualenv / "docs-env", celery=False) / "src", "")
    found = find(virtualenv)
    assert (found.directory, found.app, found.virtualenv) == (project, "site1", virtualenv)


@pytest.mark.parametrize("is_import", [False, True])
def test_flower_in_the_virtualenv_is_offered_unless_programs_are_imported(tmp_path: Path, is_import: bool) -> None:
    make_project(tmp_path, "")
    packages = make_virtualenv(tmp_path / "env") / "lib" / "python3.8" / "site-packages"
    drafts = []
    for _ in range(2):
        drafts.append(Draft({"project": {"directory": str(tmp_path)}}, is_import=is_import))
        find_parts(drafts[-1], tmp_path, {})
        (packages / "flower").mkdir(exist_ok=True)
        (packages / "flower" / "__init__.py").touch()
    assert [draft.has_flower for draft in drafts] == [False, not is_import]


def test_virtualenv_with_celery_is_preferred(tmp_path: Path) -> None:
    make_project(tmp_path, "")
    make_virtualenv(tmp_path / "docs-env", celery=False)
    virtualenv = make_virtualenv(tmp_path / "env")
    assert find(tmp_path).virtualenv == virtualenv


def test_activated_virtualenv_is_preferred(tmp_path: Path) -> None:
    make_project(tmp_path / "project", "")
    make_virtualenv(tmp_path / "project" / "env")
    activated = make_virtualenv(tmp_path / "x" / "y" / "z")
    assert find(tmp_path / "project", {"VIRTUAL_ENV": str(activated)}).virtualenv == activated
    assert find(tmp_path / "project", {"VIRTUAL_ENV": "/no/such/one"}).virtualenv == tmp_path / "project" / "env"


def test_nearest_virtualenv_is_preferred(tmp_path: Path) -> None:
    make_project(tmp_path / "a" / "src", "")
    make_virtualenv(tmp_path / "b" / "env")
    nearest = make_virtualenv(tmp_path / "a" / "env")
    assert find(tmp_path).virtualenv == nearest


def test_ambiguous_parts_are_named_and_none_is_chosen(tmp_path: Path) -> None:
    one, two = (make_project(tmp_path / name, "", package=name) for name in ("one", "two"))
    first, second = (make_virtualenv(tmp_path / name) for name in ("env1", "env2"))
    found = find(tmp_path)
    assert (found.directory, found.app, found.virtualenv) == (None, None, None)
    assert f"found more than one manage.py that names its settings: {one}, {two}" in found.doubts["directory"]
    assert "one, two" in found.doubts["app"]
    assert f"{first}, {second}" in found.doubts["virtualenv"]


def test_project_with_a_celery_app_is_preferred(tmp_path: Path) -> None:
    make_project(tmp_path / "a", "")
    (tmp_path / "a" / "site1" / "celery.py").unlink()
    with_app = make_project(tmp_path / "b", "", package="shop")
    assert find(tmp_path).directory == with_app


def test_empty_directory_has_no_project(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = find(tmp_path / "a" / "b")
    assert (found.directory, found.settings, found.app, found.virtualenv) == (None, None, None, None)
    assert found.doubts == {
        "directory": "no manage.py and no Celery app found",
        "app": "no Celery app found",
        "virtualenv": "no virtualenv found",
    }


def test_app_in_a_module_of_another_name(tmp_path: Path) -> None:
    make_project(tmp_path, "", package="config")
    (tmp_path / "config" / "celery.py").rename(tmp_path / "config" / "celery_app.py")
    assert find(tmp_path).app == "config.celery_app"


def test_app_of_the_settings_package_is_preferred(tmp_path: Path) -> None:
    make_project(tmp_path, "", package="mysite")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "celery.py").write_text(CELERY)
    assert find(tmp_path).app == "mysite"


def test_module_named_celery_without_an_app_is_ignored(tmp_path: Path) -> None:
    make_project(tmp_path, "", package="mysite")
    (tmp_path / "celery.py").write_text("from mysite.celery import app\n# app = Celery('x')\n")
    assert find(tmp_path).app == "mysite"


def test_project_without_django_is_found_by_its_app(tmp_path: Path) -> None:
    package = tmp_path / "src" / "shop" / "jobs"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "celery.py").write_text("import celery\nqueue: celery.Celery = celery.Celery('shop')\n")
    found = find(tmp_path)
    assert (found.directory, found.settings, found.app) == (tmp_path / "src", None, "shop.jobs")


@pytest.mark.parametrize(
    ("in_app", "in_wsgi", "chosen"),
    [("", "", "Dev"), ("", "Live", "Live"), ("Dev", "", None), ("Dev", "Live", "Live"), ("Live", "Live", None)],
)
def test_class_of_the_settings_is_the_one_for_production(
    tmp_path: Path, in_app: str, in_wsgi: str, chosen: str | None
) -> None:
    """The files are those of django-configurations; an app that sets the variable itself needs no other."""
    make_project(tmp_path, "", package="mysite")
    for name, value in (("manage.py", "Dev"), ("mysite/wsgi.py", in_wsgi), ("mysite/celery.py", in_app)):
        line = f"import os\nos.environ.setdefault('DJANGO_CONFIGURATION', '{value}')\n" if value else ""
        file = tmp_path / name
        file.write_text(line + (file.read_text() if file.exists() else ""))
    assert find(tmp_path).settings_class.name == chosen


@pytest.mark.parametrize(
    "line",
    [
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.b_c.d1")',
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE',\n    'a.b_c.d1')",
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'a.b_c.d1'",
    ],
)
def test_settings_are_read_from_manage_py(tmp_path: Path, line: str) -> None:
    (tmp_path / "manage.py").write_text(line)
    assert find(tmp_path).settings == "a.b_c.d1"


def test_search_stops_at_a_depth_and_at_links(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdefgh"[:DEEPEST])
    make_project(deep / "x", "")
    assert look_below(tmp_path).manage_files == ()
    make_project(deep, "")
    assert look_below(tmp_path).manage_files == (deep / "manage.py",)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert look_below(tmp_path).manage_files == (deep / "manage.py",)


def test_unreadable_files_are_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manage.py")
    (tmp_path / "celery.py").symlink_to(tmp_path / "celery.py")
    (tmp_path / "a" / "manage.py").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "celery.py").write_bytes(b"\xff\xfe\0app = Celery(")
    assert find(tmp_path).app is None


def test_inaccessible_directories_are_ignored() -> None:
    with public_directory() as directory:
        # The search includes the directory beside the project's parent: /tmp may hold virtualenvs of other users.
        top = directory / "top"
        top.mkdir()
        project = make_project(top / "project", "")
        for closed in (top / "closed", project / "closed", top / "project" / ".hidden"):
            closed.mkdir(mode=0o000)
        (project / "celery.py").write_text(CELERY)
        (project / "celery.py").chmod(0o000)
        (project / "env").symlink_to(top / "closed" / "env")

        def check() -> None:
            found = find(project, {"VIRTUAL_ENV": str(top / "closed" / "env")})
            assert (found.directory, found.app, found.virtualenv) == (project, "site1", None)

        as_somebody(check)


def test_search_of_a_huge_tree_ends_with_a_remark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procman.init.look_below.MOST_ENTRIES", 10)
    for number in range(20):
        (tmp_path / f"{number:02}").mkdir()
    make_project(tmp_path / "19", "")
    assert f"(only a part of {tmp_path} was searched, because it is large)" in find(tmp_path).doubts["directory"]


def test_directory_of_many_uploads_does_not_hide_the_app_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procman.init.look_below.MOST_ENTRIES", 30)
    monkeypatch.setattr("procman.init.look_below.MOST_IN_DIRECTORY", 10)
    make_project(tmp_path, "", package="mysite")
    (tmp_path / "media").mkdir()
    for number in range(50):
        (tmp_path / "media" / f"{number}.jpg").touch()
    assert find(tmp_path).app == "mysite"
    assert not look_below(tmp_path).is_complete


@pytest.mark.parametrize(
    ("file", "app"),
    [("mysite/celery.py", "mysite"), ("mysite/tasks.py", "mysite.tasks:app"), ("mysite/__init__.py", "mysite")],
)
def test_settings_that_the_app_names_itself(tmp_path: Path, file: str, app: str) -> None:
    (tmp_path / "mysite").mkdir()
    (tmp_path / file).write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings.base")\n')
    # A manage.py may name other ones.
    (tmp_path / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n')
    assert own_settings(tmp_path, app) == "mysite.settings.base"
    assert own_settings(tmp_path, "other") is None


@pytest.mark.parametrize("variable", ["HOME", "SUDO_USER"])
def test_virtualenv_is_found_in_the_home_of_the_caller_also_with_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    home, other = tmp_path / "x" / "home", tmp_path / "x" / "other"
    accounts = {"anna": SimpleNamespace(pw_dir=str(home))}
    monkeypatch.setattr("procman.init.scan_project.pwd.getpwnam", accounts.__getitem__)
    project = make_project(tmp_path / "y" / "z" / "shop", "")
    own = make_virtualenv(home / ".virtualenvs" / "shop")
    (own / ".project").write_text(str(project))
    environment = {"HOME": str(home)} if variable == "HOME" else {"HOME": str(other), "SUDO_USER": "anna"}
    assert find(project, environment).virtualenv == own
