"""The unit of procman's own supervisord, and its verification before an install."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer
from procman.backends.supervisor.systemd_unit import UNIT
from procman.backends.supervisor.verify import verify
from procman.config.load import load
from procman.host.unit_names import unit_at
from procman.project import Project, RenderedFile, Rendering
from tests.backends.supervisor.projects import embedded, reference, rendered, with_programs
from tests.backends.systemd.projects import directives_of

HOME = Path("/home/anna")
BIN = Path(sys.executable).parent
SUPERVISORD = f'supervisord = "{BIN}/supervisord"\n'


def units(project: Project) -> dict[Path, RenderedFile]:
    return {file.path: file for file in renderer.render(project).files if unit_at(file.path)}


def system(tmp_path: Path, text: str = "") -> Project:
    """Return a project in system scope with procman's own supervisord."""
    path = tmp_path / "procman.toml"
    path.write_text(
        '[project]\nname = "demo"\napp = "mysite"\nuser = "www-data"\ndirectory = "/srv/demo"\nvirtualenv = "/e"\n'
        f'after = ["rabbitmq-server.service"]\n[worker.celery]\n[supervisor]\nmode = "embedded"\n{text or SUPERVISORD}'
    )
    return load(path, {})


def test_without_the_key_there_is_no_unit(tmp_path: Path) -> None:
    assert units(embedded(tmp_path, HOME)) == {}


def test_unit_starts_the_configured_supervisord_and_stops_programs_in_parallel(tmp_path: Path) -> None:
    unit = directives_of(units(system(tmp_path))[Path("/etc/systemd/system", UNIT)].content)
    configuration = "-c /etc/procman/supervisor/supervisord.conf"
    assert unit["ExecStart"] == [f"{BIN}/supervisord --nodaemon {configuration}"]
    assert unit["ExecStop"] == [f"-{BIN}/supervisorctl {configuration} stop all"]
    # If supervisord is killed, any other mode kills its programs and their tasks.
    assert unit["KillMode"] == ["process"]
    assert unit["Restart"] == ["always"]
    assert unit["OOMPolicy"] == ["continue"]
    assert unit["WantedBy"] == ["multi-user.target"]
    assert "User" not in unit


def test_user_unit_depends_on_no_unit_of_the_host(tmp_path: Path) -> None:
    project = embedded(tmp_path, HOME, SUPERVISORD)
    project = replace(project, after=("rabbitmq-server.service",))
    found = units(project)
    assert {path.parent.name for path in found} == {"user", f"{UNIT}.d"}
    text = "".join(file.content for file in found.values())
    assert "After=" not in text
    assert directives_of(text)["WantedBy"] == ["default.target"]


def test_unit_is_shared_and_the_longest_stop_timeout_applies(tmp_path: Path) -> None:
    short = system(tmp_path)
    long = with_programs(replace(short, name="archive", after=("redis.service",)), stop_timeout_seconds=86_400)
    one, other = units(short), units(long)
    [shared] = set(one) & set(other)
    assert one[shared] == other[shared]
    assert one[shared].shared
    # Drop-ins are read in the order of their names, whatever directory they are in (systemd.unit(5)).
    in_order = sorted((one | other).items(), key=lambda entry: entry[0].name)
    printed = [directives_of(file.content) for path, file in in_order if path != shared]
    assert [each["TimeoutStopSec"] for each in printed] == [["630"], ["86430"]]
    assert [each["After"] for each in printed] == [["rabbitmq-server.service"], ["redis.service"]]
    assert not any({"Wants", "Requires"} & set(each) for each in printed)


ORDER = Path("/etc/systemd/system/supervisor.service.d/procman-catmaid.conf")


def ordered(**changes: object) -> Project:
    """Return a project that orders Debian's supervisord after a database, with `changes` to its supervisord."""
    project = reference(after=("postgresql.service",))
    settings = replace(project.supervisor, extend_stop_timeout=True)
    return replace(project, supervisor=replace(settings, **changes))  # type: ignore[arg-type]


def test_existing_supervisord_is_ordered_after_the_units_of_the_project() -> None:
    [found] = units(ordered()).values()
    assert (found.path, found.restarts, found.section, found.programs) == (ORDER, False, True, ())
    assert directives_of(found.content) == {"After": ["postgresql.service"]}


def test_unit_of_an_existing_supervisord_is_changed_only_on_request() -> None:
    assert units(ordered(extend_stop_timeout=False)) == {}
    assert units(ordered(configuration=Path("/srv/supervisord.conf"))) == {}
    assert units(replace(ordered(), after=())) == {}


def test_changed_unit_reloads_systemd_and_restarts_no_program(tmp_path: Path) -> None:
    assert {(file.restarts, file.section, file.programs) for file in units(system(tmp_path)).values()} == {
        (False, True, ())
    }


def test_supervisords_files_include_no_unit(tmp_path: Path) -> None:
    project = embedded(tmp_path, HOME, SUPERVISORD)
    assert verify(project, renderer.render(project)) == []


@pytest.mark.parametrize("key", ["/nonexistent/supervisord", "/bin/true"])
def test_missing_supervisord_or_supervisorctl_is_refused(tmp_path: Path, key: str) -> None:
    project = embedded(tmp_path, HOME, f'supervisord = "{key}"\n')
    problems = verify(project, renderer.render(project))
    assert any("is not an executable file" in problem and "supervisor.supervisord" in problem for problem in problems)


@pytest.mark.root("distinguishes root's directories from a user's")
def test_root_runs_no_file_that_other_users_can_change(tmp_path: Path) -> None:
    place, theirs = tmp_path / "bin", tmp_path / "theirs"
    for directory in (place, theirs):
        directory.mkdir()
    python = theirs / "python"
    python.symlink_to(sys.executable)
    for name in ("supervisord", "supervisorctl"):
        (place / name).write_text(f"#!{python}\n")
        (place / name).chmod(0o755)
    project = system(tmp_path, f'supervisord = "{place}/supervisord"\n')

    def reported() -> list[str]:
        return [each for each in verify(project, renderer.render(project)) if "other users can change it" in each]

    before = set(reported())
    theirs.chmod(0o777)
    assert {each for each in reported() if str(theirs) in each} - before
    theirs.chmod(0o755)
    (place / "supervisorctl").chmod(0o777)
    assert {each for each in reported() if "supervisorctl" in each} - before


def test_template_with_a_line_that_systemd_ignores_is_refused(tmp_path: Path) -> None:
    project = system(tmp_path)
    rendering = renderer.render(project)
    assert not [each for each in verify(project, rendering) if UNIT in each]
    broken = [
        replace(file, content=file.content.replace("KillMode=process", "KillMode=proces"))
        if file.path.name == UNIT
        else file
        for file in rendering.files
    ]
    [problem] = [each for each in verify(project, Rendering(rendering.directories, tuple(broken))) if UNIT in each]
    assert problem.startswith(f"/etc/systemd/system/{UNIT}:")
    assert "proces" in problem


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (f"/etc/systemd/system/{UNIT}", UNIT),
        ("/etc/systemd/system/supervisor.service.d/procman.conf", "supervisor.service"),
        ("/etc/supervisor/conf.d/catmaid-celery.conf", None),
    ],
)
def test_units_are_distinguished_from_sections(path: str, unit: str | None) -> None:
    assert unit_at(Path(path)) == unit


def test_every_file_has_an_owner_and_a_directory(tmp_path: Path) -> None:
    project = system(tmp_path)
    for path, file in units(project).items():
        assert (file.owner, file.group, file.mode) == ("root", "root", 0o644)
        assert path in {Path(each) for each in rendered(project)}
