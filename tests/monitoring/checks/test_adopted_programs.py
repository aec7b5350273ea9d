"""PM115 against real processes: an adopted program that its old supervisord runs again, beside ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from procman.host.runner import Runner
from procman.model import Adopted, Kind, Level, State
from procman.monitoring.checks.adopted_programs import Other, _stop, check, runs, with_returned
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.sources import source_in
from tests.backends.supervisor.real_supervisord import Supervisord
from tests.monitoring.checks.records import (
    MANIFEST,
    NAME,
    family,
    heartbeat,
    program,
    reported,
    running,
    snapshot,
    state,
)
from tests.tables import for_each


@pytest.fixture
def old(supervisord: Supervisord) -> tuple[Adopted, int]:
    """Run an adopted program, which has neither Celery's name nor its words; return it with its pid."""
    file = supervisord.section("old", "sleep 1000")
    supervisord.start()
    pid = supervisord.client.call("getProcessInfo", "old")["pid"]
    return Adopted(f"supervisor:{file}:old", NAME, True, True, str(supervisord.configuration)), pid


def own(pid: int, **changed: Any) -> ProgramSnapshot:
    """Return the worker of the project, or another program, with the main process `pid`."""
    return snapshot(heartbeat(), state=state(pid=pid), **changed)


def test_adopted_program_that_runs_again_is_reported_with_the_command_that_stops_it(old: tuple[Adopted, int]) -> None:
    adopted, pid = old
    with family(0) as main:
        [result] = check(running(own(main), adopted=(adopted,)))
        beat = own(main, program=program(Kind.BEAT, name=NAME))
        assert "every periodic task is sent twice" in reported(check(running(beat, adopted=(adopted,))))[1]
        stopped = own(main)._replace(state=state(State.STOPPED))
        assert reported(check(running(stopped, adopted=(adopted,))))[0] is Level.WARNING
    assert (result.code, result.program, result.level) == ("PM115", NAME, Level.CRITICAL)
    assert f"{adopted.source}, which {NAME} replaced, runs again as process {pid}, beside process {main}" in (
        result.detail
    )
    assert result.hint.splitlines()[0] == f"supervisorctl -c {adopted.manager} stop old"


def test_own_program_that_has_its_name_is_not_reported(old: tuple[Adopted, int]) -> None:
    adopted, pid = old
    assert reported(check(running(own(pid), adopted=(adopted,)))) == (Level.OK, "")


def test_program_of_its_name_under_another_supervisord_is_not_reported(old: tuple[Adopted, int]) -> None:
    adopted, _ = old
    with family(0) as main:
        elsewhere = replace(adopted, manager="/etc/supervisor/supervisord.conf")
        assert reported(check(running(own(main), adopted=(elsewhere,)))) == (Level.OK, "")


def test_programs_that_adopted_nothing_have_no_result(old: tuple[Adopted, int]) -> None:
    adopted, _ = old
    with family(0) as main:
        other = own(main, program=program(name="demo-other"))
        assert list(check(running(other, adopted=(adopted,)))) == []
        assert list(check(running(own(main)))) == []


def test_status_shows_it_in_place_of_what_is_less_severe(old: tuple[Adopted, int]) -> None:
    adopted, _ = old
    manifest = running(adopted=(adopted,)).manifest
    with family(0) as main:
        [healthy] = check(running(own(main), adopted=(Adopted("systemd:no-such.service", NAME, True, True),)))
        shown = with_returned(manifest, [own(main)], [healthy._replace(code="PM200", values={"children": 2.0})])
    assert [(each.code, each.level, each.values) for each in shown] == [("PM115", Level.CRITICAL, {"children": 2.0})]
    assert MANIFEST.adopted == ()


@pytest.mark.parametrize(
    ("runner", "command"),
    [
        (Runner(unit="celery.service"), "systemctl disable --now celery.service"),
        (Runner(unit="celery.service", is_of_user=True), "systemctl --user disable --now celery.service"),
        (Runner(program="a:b", manager=7), "supervisorctl -c /etc/a.conf stop a:b"),
        (Runner(program="$(id):b", manager=7), "supervisorctl -c /etc/a.conf stop '$(id):b'"),
        (Runner(program="web.1", manager=7, is_honcho=True), "kill -TERM 7"),
        (Runner(), "kill -TERM 5"),
    ],
)
def test_command_that_stops_it_is_that_of_what_runs_it(runner: Runner, command: str) -> None:
    adopted = Adopted("supervisor:/etc/a.d/b.conf:b", NAME, True, True, "/etc/a.conf")
    assert _stop(adopted, Other(5, (), "", runner)) == command


@for_each(
    ("source", "runner", "node", "is_the_same"),
    [
        ("systemd:celery.service", Runner(unit="celery.service"), "w1@h", True),
        ("systemd:celery", Runner(unit="celery.service"), "", True),
        ("systemd:celery.service:w1", Runner(unit="celery.service"), "w1@h", True),
        ("systemd:celery.service:w2", Runner(unit="celery.service"), "w1@h", False),
        ("systemd:celery.service", Runner(unit="celerybeat.service"), "", False),
        ("init.d:celeryd", Runner(unit="celeryd.service"), "w1@h", True),
        ("supervisor:/etc/a.conf:celery", Runner(program="celery", manager=1), "", True),
        ("supervisor:/etc/a.conf:celery", Runner(program="site:celery", manager=1), "", True),
        ("supervisor:/etc/a.conf:celery", Runner(program="celery:celery_00", manager=1), "", True),
        ("supervisor:/etc/a.conf:celery", Runner(program="celery:other", manager=1), "", False),
        ("supervisor:/etc/a.conf:celery", Runner(program="celery.1", manager=1, is_honcho=True), "", False),
        ("procfile:/srv/Procfile:worker", Runner(program="worker.1", manager=1, is_honcho=True), "", True),
        ("systemd:celery.service", Runner(), "w1@h", False),
    ],
)
def test_source_is_recognised_by_what_runs_a_process(source: str, runner: Runner, node: str, is_the_same: bool) -> None:
    meant = source_in(source)
    assert meant
    assert runs(runner, meant, node) is is_the_same
