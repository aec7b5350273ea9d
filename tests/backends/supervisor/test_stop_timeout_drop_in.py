"""The stop timeout of a whole supervisord, including unmanaged programs, and the drop-in that sets it.

All projects with the key share the drop-in, and the last one removes it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer, stop_timeout_drop_in
from procman.backends.supervisor.stop_timeout_drop_in import (
    drop_in,
    drop_in_path,
    is_edited,
    stop_seconds,
    with_shared_files,
)
from procman.errors import ProcmanError
from procman.install.plan.apply import change_files
from procman.install.plan.describe import describe
from procman.install.plan.plan import Plan, make_plan
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, Installation
from procman.install.state.manifest import Manifest
from procman.model import SupervisorMode, SupervisorSettings
from procman.project import ChangeKind, Rendering
from tests.backends.supervisor import projects
from tests.backends.supervisor.projects import reference

PATH = Path("/etc/systemd/system/supervisor.service.d/procman.conf")
NOTHING = Rendering((), ())


@pytest.fixture
def settings(tmp_path: Path) -> SupervisorSettings:
    """A supervisord with unmanaged files: a program with the default of 10 s, a group of two, and three processes."""
    sections = tmp_path / "conf.d"
    sections.mkdir()
    main = tmp_path / "supervisord.conf"
    main.write_text(
        f"[unix_http_server]\nfile=/run/s\n[supervisord]\n[program:plain]\ncommand=x\n[include]\nfiles={sections}/*.conf\n"
    )
    (sections / "a.conf").write_text(
        "[program:one]\ncommand=x\nstopwaitsecs=100\n[program:two]\ncommand=x\nstopwaitsecs=300\n"
        "[group:both]\nprograms=one,two\n"
    )
    (sections / "b.conf").write_text(
        "[program:many]\ncommand=x\nnumprocs=3\nprocess_name=%(process_num)s\nstopwaitsecs=1000\n"
    )
    return SupervisorSettings(SupervisorMode.EXISTING, main, f"{sections}/*.conf")


def test_stop_timeouts_of_groups_add_up_and_of_members_do_not(settings: SupervisorSettings) -> None:
    assert stop_seconds(settings, NOTHING) == 10 + 300 + 1000


def test_installed_programs_count_and_removed_ones_do_not(settings: SupervisorSettings, tmp_path: Path) -> None:
    base = projects.reference()
    places = replace(base.directories, logs=tmp_path)
    rendering = renderer.render(replace(base, supervisor=settings, user=None, directories=places))
    assert stop_seconds(settings, rendering) == 1310 + 3600 + 60
    assert stop_seconds(settings, NOTHING, removed=[tmp_path / "conf.d/b.conf"]) == 310


def test_unreadable_configuration_is_an_error(settings: SupervisorSettings) -> None:
    (settings.configuration.parent / "conf.d/c.conf").write_text("[program:x]\ncommand=x\nstopwaitsecs=soon\n")
    with pytest.raises(ProcmanError, match="soon"):
        stop_seconds(settings, NOTHING)


def test_unit_is_known_only_for_the_distributions_supervisord() -> None:
    debian = projects.reference().supervisor
    assert drop_in_path(debian, PATH.parents[1]) == PATH
    assert drop_in_path(replace(debian, configuration=Path("/srv/supervisord.conf")), PATH.parents[1]) is None
    assert drop_in_path(replace(debian, mode=SupervisorMode.EMBEDDED), PATH.parents[1]) is None


def test_edited_drop_in_is_distinguished_from_another_timeout() -> None:
    content = drop_in(PATH, 600).content.encode()
    assert b"\nTimeoutStopSec=630\n" in content
    assert not is_edited(PATH, content)
    assert not is_edited(PATH, content.replace(b"630", b"86430"))
    assert is_edited(PATH, content + b"Nice=5\n")
    assert is_edited(PATH, content + b"# raised for the import of 2026\n")
    assert is_edited(PATH, content.replace(b"=630", b"=infinity"))


class Place:
    """The path of the drop-in, and how long a stop takes."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "supervisor.service.d/procman.conf"
        self.seconds = 600

    def plan(self, desired: Manifest | None, *others: Manifest, current: Manifest | None = None) -> Plan:
        """Return the plan for the drop-in."""
        generation = Generation(1, current) if current else None
        installation = Installation(generation, generation, (1,), (), None, others, (), ())
        base = desired or current
        assert base
        with Tree() as tree:
            empty = make_plan(NOTHING, replace(base, programs=(), log_files=()), installation, tree)
            return with_shared_files(replace(empty, nothing_to_do=True), tree, installation, desired)

    def carry_out(self, plan: Plan) -> None:
        """Apply the file changes of `plan`."""
        self.path.parent.mkdir(exist_ok=True)
        with Tree() as tree:
            change_files(tree, plan)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place for one test, with files that belong to the user who runs it."""
    made = Place(tmp_path)
    monkeypatch.setattr(stop_timeout_drop_in, "drop_in_path", lambda *_: made.path)
    monkeypatch.setattr(stop_timeout_drop_in, "stop_seconds", lambda *_: made.seconds)
    monkeypatch.setattr(
        stop_timeout_drop_in, "drop_in", lambda path, seconds: replace(drop_in(path, seconds), owner=None, group=None)
    )
    return made


def manifest(name: str, *, desired_states: bool) -> Manifest:
    project = reference(name=name)
    project = replace(project, supervisor=replace(project.supervisor, extend_stop_timeout=desired_states))
    return describe(project, NOTHING, [], procman="0", configuration=b"", templates_digest="")


ONE, OTHER, MODEST = (
    manifest("one", desired_states=True),
    manifest("other", desired_states=True),
    manifest("modest", desired_states=False),
)


def kinds(plan: Plan) -> list[ChangeKind]:
    return [change.kind for change in plan.changes]


EARLIER = b"""\
# Written by procman (extend_stop_timeout in procman.toml); every install and uninstall of a project here sizes it anew.

[Service]
# As long as a stop of all programs may take that this supervisord has, procman's or not: it ends one after the other, and
# kills by itself what does not end within its stopwaitsecs.
TimeoutStopSec=630
# What a supervisord leaves behind that was killed is ended with it, so that the next one starts no second set beside it.
KillMode=mixed
"""  # noqa: E501
"""What procman 0.1.0 wrote."""


def test_drop_in_of_an_earlier_procman_is_not_taken_for_an_edited_one() -> None:
    assert not is_edited(PATH, EARLIER)
    assert is_edited(PATH, EARLIER.replace(b"mixed", b"process"))


def test_drop_in_is_created_and_systemd_reloaded(place: Place) -> None:
    plan = place.plan(ONE)
    assert kinds(plan) == [ChangeKind.CREATE]
    assert plan.sections == (place.path,)
    assert not plan.nothing_to_do
    assert [directory.path for directory in plan.directories] == [place.path.parent]
    place.carry_out(plan)
    again = place.plan(ONE, current=ONE)
    assert kinds(again) == [ChangeKind.KEEP]
    assert again.nothing_to_do


def test_drop_in_is_not_created_without_the_key(place: Place) -> None:
    assert kinds(place.plan(MODEST)) == []


def test_programs_of_projects_without_the_key_count(place: Place) -> None:
    place.carry_out(place.plan(ONE))
    place.seconds = 1200
    plan = place.plan(MODEST, ONE)
    assert kinds(plan) == [ChangeKind.UPDATE]
    place.carry_out(plan)
    assert "TimeoutStopSec=1230\n" in place.path.read_text()


def test_uninstall_updates_the_drop_in_and_the_last_one_removes_it(place: Place) -> None:
    place.carry_out(place.plan(ONE))
    place.seconds = 300
    plan = place.plan(None, OTHER, current=ONE)
    assert kinds(plan) == [ChangeKind.UPDATE]
    place.carry_out(plan)
    plan = place.plan(None, MODEST, current=OTHER)
    assert kinds(plan) == [ChangeKind.REMOVE]
    place.carry_out(plan)
    assert not place.path.exists()


def test_removing_the_key_removes_the_drop_in(place: Place) -> None:
    place.carry_out(place.plan(ONE))
    assert kinds(place.plan(manifest("one", desired_states=False), current=ONE)) == [ChangeKind.REMOVE]


def test_unmanaged_drop_in_is_refused_and_never_removed(place: Place) -> None:
    place.path.parent.mkdir()
    place.path.write_text("[Service]\nTimeoutStopSec=600\n")
    plan = place.plan(ONE)
    assert "exists, but is not managed by procman" in plan.problems[0]
    assert kinds(place.plan(None, current=ONE)) == []


def test_edited_drop_in_is_backed_up(place: Place) -> None:
    place.carry_out(place.plan(ONE))
    place.path.write_text(place.path.read_text() + "Nice=5\n")
    [change] = place.plan(ONE).changes
    assert (change.kind, change.edited) == (ChangeKind.UPDATE, True)
