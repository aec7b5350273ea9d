"""Each check before an install: silent about a sound project, and what it says of one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.backends.base import ManagerReport
from procman.backends.supervisor.host_check import examine
from procman.model import Level, Result
from procman.monitoring.checks.registry import run
from procman.preflight.inputs import EnvironmentFile, Host, Interpreter, OtherBeat, PreflightFacts, Schedule
from procman.preflight.registry import BEFORE
from procman.probes.app import Judged, Written
from procman.project import Worker
from tests.preflight.records import SCHEDULE, TOML, asked, broker, facts, missing, place, sound

CRITICAL, WARNING = Level.CRITICAL, Level.WARNING

Change = Callable[[PreflightFacts], PreflightFacts]


def complaints(before: PreflightFacts) -> list[Result]:
    return [result for result in run(BEFORE, before) if result.level is not Level.OK]


def app(**changes: Any) -> Change:
    return lambda before: asked(before, app=facts(**changes))


def judged(program: str, **changes: Any) -> Change:
    return lambda before: asked(before, app=facts(judged={**facts().judged, program: Judged(**changes)}))


def on_broker(**changes: Any) -> Change:
    return lambda before: asked(before, broker=broker(**changes))


def host(**changes: Any) -> Change:
    return lambda before: replace(before, host=Host(**changes))


def manager(**changes: Any) -> Change:
    return host(manager=ManagerReport(**changes))


def at(path: str | Path, found: Any) -> Change:
    return lambda before: replace(before, places={**before.places, Path(path): found})


def file(**changes: Any) -> Change:
    secrets = EnvironmentFile(Path("/etc/site/celery.env"), (), "root", 0o640)
    return lambda before: replace(before, environment_file=replace(secrets, **changes))


def worker(**changes: Any) -> Change:
    def change(before: PreflightFacts) -> PreflightFacts:
        programs = tuple(
            replace(each, **changes) if each.key == "worker.celery" else each for each in before.project.programs
        )
        before = replace(before, project=replace(before.project, programs=programs))
        return asked(before, programs=tuple(each for each in programs if each.key != "command.flower"))

    return change


def both(*changes: Change) -> Change:
    def change(before: PreflightFacts) -> PreflightFacts:
        for each in changes:
            before = each(before)
        return before

    return change


AMQP_LATE = {"accept_content": ["json"], "task_time_limit": 3600, "task_acks_late": True}
OTHER_BEAT = OtherBeat(17, "anna", "celery -A site1 beat", "site1", "/opt/site")

CASES: list[tuple[str, Level, Change, str]] = [
    ("PM701", CRITICAL, lambda each: replace(each, interpreter=Interpreter("", "cannot run it"), asked=()), "cannot"),
    ("PM703", WARNING, app(versions={"celery": "5.1.2"}), "CVE-2021-23727"),
    ("PM703", WARNING, manager(supervisor_version="3.3.1"), "CVE-2017-11610"),
    ("PM704", CRITICAL, lambda each: replace(each, commands={"site-flower": None}), "celery is not found"),
    ("PM705", CRITICAL, file(problems=("/etc/site/celery.env:3: no `=`",)), ":3:"),
    ("PM705", CRITICAL, at("/etc/site/celery.env", place(readable=False)), "www-data cannot read it"),
    ("PM706", WARNING, file(trusted=False, why="anna can"), "anna can"),
    ("PM706", CRITICAL, file(mode=0o662, trusted=False), "everybody can change it"),
    ("PM706", WARNING, file(mode=0o644), "everybody"),
    ("PM711", CRITICAL, lambda each: asked(each, app=None, error="ImportError: x", broker=None), "ImportError"),
    ("PM713", WARNING, app(settings="other.settings"), "other.settings"),
    ("PM713", WARNING, app(settings=None), "does not use"),
    ("PM714", WARNING, app(problems={"queues": "KeyError: 'x'"}), "queues"),
    ("PM715", WARNING, app(tasks=0), "no tasks"),
    ("PM716", WARNING, app(options={"accept_content": ["json", "pickle"]}), "runs code as www-data"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="refused", detail="111"), "nothing listens"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="dns"), "name is not known"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="password"), "user and password"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="vhost"), "virtual host"),
    ("PM721", CRITICAL, lambda each: asked(each, broker=None, broker_error="no answer"), "no answer"),
    ("PM722", CRITICAL, both(app(missing_module="redis", transport="redis"), on_broker(trouble="module")), "redis"),
    ("PM723", WARNING, on_broker(default_credentials=True, host="10.0.0.1"), "guest"),
    ("PM724", WARNING, app(transport="filesystem"), "for development"),
    ("PM724", CRITICAL, app(transport="memory"), "no other one receives"),
    ("PM726", WARNING, app(routed_queues=("crop",)), "crop"),
    ("PM731", CRITICAL, judged("site-celery", error="No such option", queues=("celery",)), "No such option"),
    ("PM732", CRITICAL, judged("site-celery", queues_error="no queue crop", queues=("celery",)), "no queue crop"),
    ("PM733", CRITICAL, judged("site-celery", pool_error="No module gevent", queues=("celery",)), "No module gevent"),
    ("PM741", CRITICAL, judged("site-celery-beat", scheduler_error="No module x"), "No module x"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, place(writable=False)), "cannot write"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, place(is_directory=False)), "no directory"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, replace(missing(), problem="Permission denied")), "cannot reach"),
    ("PM743", WARNING, at(SCHEDULE.parent, place(in_memory=True)), "emptied at boot"),
    (
        "PM744",
        WARNING,
        lambda each: replace(each, schedule=Schedule({SCHEDULE: place(writable=False)}, "")),
        "forgets",
    ),
    ("PM744", WARNING, lambda each: replace(each, schedule=Schedule({SCHEDULE: place(mode=0o666)}, "")), "pickle"),
    ("PM745", WARNING, lambda each: replace(each, schedule=Schedule({}, "bad magic")), "begins a new one"),
    ("PM746", WARNING, host(beats=(OTHER_BEAT,)), "process 17"),
    ("PM751", CRITICAL, at("/opt/site", place(readable=False)), "/opt/site cannot be entered"),
    ("PM752", CRITICAL, at("/srv/media", missing()), "not there"),
    ("PM752", CRITICAL, at("/srv/media", place(writable=False)), "cannot write to /srv/media"),
    ("PM753", WARNING, app(written=(Written("cache default", Path("/srv/cache"), writable=False),)), "/srv/cache"),
    ("PM754", WARNING, lambda each: replace(each, forbidden={"site-celery": (Path("/srv/x"),)}), "read-only"),
    ("PM755", WARNING, at("/srv/media", place(free_bytes=400 * 2**20)), "400 MiB"),
    ("PM755", CRITICAL, at("/srv/media", place(free_bytes=40 * 2**20)), "40 MiB"),
    ("PM756", CRITICAL, at("/var/log/site", place()), "by a link"),
    ("PM756", CRITICAL, at("/var/lib/procman/site/run/site-celery", place(writable=False)), "lock"),
    ("PM761", WARNING, app(options={"accept_content": ["json"], "task_time_limit": 3600}), "3600"),
    ("PM762", WARNING, both(app(options=AMQP_LATE), worker(stop_timeout_seconds=4000)), "1800 s"),
    ("PM772", WARNING, manager(problem="supervisord is not running"), "not running"),
    ("PM773", WARNING, host(warnings=("it is killed after 90 s",)), "90 s"),
    ("PM774", WARNING, manager(tcp_without_password="*:9001"), "*:9001"),
    ("PM775", CRITICAL, host(refused=("a.conf is not procman's",)), "a.conf"),
]


def test_sound_project_has_no_complaints() -> None:
    assert complaints(sound()) == []
    assert len(run(BEFORE, sound())) > 8


@pytest.mark.parametrize(("code", "level", "change", "words"), CASES, ids=lambda value: value if value else "")
def test_one_fault_is_one_complaint(code: str, level: Level, change: Change, words: str) -> None:
    [found] = complaints(change(sound()))
    assert (found.code, found.level) == (code, level)
    assert words in found.detail
    assert found.hint or code in ("PM701", "PM711")


def test_every_check_complains_in_a_test() -> None:
    text = Path(__file__).read_text()
    assert [check.code for check in BEFORE if check.code not in text] == []


def test_celery_older_than_what_procman_knows_is_told() -> None:
    found = complaints(app(versions={"celery": "4.3.0"})(sound()))
    assert [(each.code, each.level) for each in found] == [("PM702", WARNING), ("PM703", WARNING)]
    assert [each.code for each in complaints(app(versions={"celery": "6.0.0rc1"})(sound()))] == ["PM702"]


def test_import_that_takes_longer_than_a_start_is_told_of_each_program() -> None:
    found = complaints(app(import_seconds=12.0)(sound()))
    assert [(each.code, each.program) for each in found] == [("PM712", "site-celery"), ("PM712", "site-celery-beat")]
    assert found[0].hint == "start_seconds = 25 in [worker.celery]"


def test_celery_that_is_missing_is_named() -> None:
    before = asked(sound(), app=None, error="site1 cannot be loaded: ModuleNotFoundError: No module named 'celery'")
    assert {result.code for result in complaints(before)} >= {"PM702", "PM711"}


def test_user_that_is_missing_is_the_only_complaint() -> None:
    before = PreflightFacts(
        sound().project, {}, Interpreter(""), host=Host(account_problem="there is no user www-data")
    )
    assert [(each.code, each.level) for each in complaints(before)] == [("PM771", CRITICAL)]


def test_log_that_the_sandbox_forbids_keeps_the_worker_from_starting() -> None:
    path = Path("/srv/log/site.log")
    before = asked(sound(), app=facts(written=(Written("log", path, writable=True),)))
    [found] = complaints(replace(before, forbidden={"site-celery": (path,)}))
    assert (found.code, found.level, found.program) == ("PM754", CRITICAL, "site-celery")
    assert '"/srv/log"' in found.hint


@pytest.mark.parametrize(
    ("version", "opens", "level"),
    [("5.5.3", True, CRITICAL), ("5.5.3", False, WARNING), ("5.6.0", True, WARNING), ("5.10.1", True, WARNING)],
)
def test_schedule_that_opens_and_cannot_be_read_ends_beat_before_celery_5_6(
    version: str, opens: bool, level: Level
) -> None:
    before = asked(sound(), app=facts(versions={"celery": version}))
    [found] = complaints(replace(before, schedule=Schedule({}, "bad pickle", opens)))
    assert (found.code, found.level) == ("PM745", level)


def test_file_of_others_in_a_directory_of_others_ends_beat() -> None:
    before = replace(sound(), schedule=Schedule({SCHEDULE: place(writable=False)}, ""))
    found = complaints(at(SCHEDULE.parent, place(writable=False))(before))
    assert [(each.code, each.level) for each in found] == [("PM742", CRITICAL), ("PM744", CRITICAL)]


REMEDIES: list[tuple[Change, str]] = [
    (file(problems=("/etc/site/celery.env:3: no `=`",)), "Its syntax"),
    (file(problems=("/etc/site/celery.env is not there",), remedy="Write it."), "Write it."),
    (on_broker(reachable=False, trouble="transport"), "before ://"),
    (on_broker(reachable=False, trouble="other"), "the app's broker settings, then check again"),
    (manager(problem="it does not answer", remedy="Start it so."), "Start it so.\nUntil then"),
    (host(refused=("a.conf: mend it",)), "Mend what it names"),
    (host(refused=("a.conf is not there",), refused_remedy="Mend the path."), "Mend the path."),
]


@pytest.mark.parametrize(("change", "remedy"), REMEDIES)
def test_hint_is_the_remedy_of_that_very_fault(change: Change, remedy: str) -> None:
    [found] = complaints(change(sound()))
    assert remedy in found.hint
    assert "procman logs" not in found.hint


def test_systemd_that_does_not_run_is_not_to_be_started() -> None:
    before = sound('backend = "systemd"')
    missing = host(manager=ManagerReport("no systemd.", "Use X."), refused=("procman.toml: no systemd. Use X.",))
    assert [(each.code, each.hint) for each in complaints(missing(before))] == [
        ("PM772", "Use X."),
        ("PM775", "Use X."),
    ]


def test_other_beat_is_to_be_taken_over_only_of_the_supervisord_that_the_install_speaks_to() -> None:
    for mode, proposed in (("existing", True), ("embedded", False)):
        before = sound(text=f'{TOML}[supervisor]\nmode = "{mode}"\n')
        adoption = examine(before.project).adoption
        [found] = complaints(host(beats=(OTHER_BEAT,), manager=ManagerReport(adoption=adoption))(before))
        assert ("--replace" in found.hint) == proposed


def test_schedule_that_was_set_aside_is_told() -> None:
    aside = Schedule({}, "", set_aside=((SCHEDULE, Path("/var/lib/site/schedule.corrupt-1")),))
    before = replace(sound(), schedule=aside)
    [told] = complaints(before)
    assert (told.code, told.level) == ("PM745", WARNING)
    assert f"{SCHEDULE}, and it was set aside: it is called /var/lib/site/schedule.corrupt-1 now" in told.detail


def test_schedule_among_the_code_or_in_run_is_told() -> None:
    for where, words in (("/opt/site/celerybeat-schedule", "code"), ("/var/run/site/schedule", "emptied")):
        before = sound(text=TOML.replace("/var/lib/site/schedule", where))
        before = replace(before, places={**before.places, Path(where).parent: place()})
        [found] = complaints(before)
        assert (found.code, found.level) == ("PM743", WARNING)
        assert words in found.detail
        assert found.hint.startswith("Leave schedule_file out of [beat]: ")


def test_usual_place_that_is_emptied_at_boot_is_not_told_to_be_the_remedy() -> None:
    usual = Path("/var/lib/site/celerybeat-schedule")
    before = sound(text=TOML.replace("/var/lib/site/schedule", str(usual)))
    before = replace(before, places={**before.places, usual.parent: place(in_memory=True)})
    [found] = complaints(before)
    assert found.hint.startswith('Write schedule_file = "PATH" into [beat]')


def test_directory_of_the_schedule_is_made_by_an_install_where_that_can_be() -> None:
    assert complaints(at(SCHEDULE.parent, missing())(sound())) == []
    text = TOML.replace('user = "www-data"', 'scope = "user"')
    before = sound(text=f"{text}\n[supervisor]\nmode = 'embedded'\n")
    [found] = complaints(at(SCHEDULE.parent, replace(missing(), above_writable=False))(before))
    assert (found.code, found.level) == ("PM742", CRITICAL)


def test_scheduler_without_a_file_needs_no_place_for_it() -> None:
    before = judged("site-celery-beat", scheduler="django_celery_beat.schedulers:DatabaseScheduler", keeps_file=False)(
        sound()
    )
    unwritable = replace(before, places={**before.places, SCHEDULE.parent: place(writable=False)})
    assert complaints(unwritable) == []


def test_filesystem_broker_is_fine_for_a_developer() -> None:
    text = TOML.replace('user = "www-data"', 'scope = "user"').replace("writable_paths", "#")
    before = sound(text=f"{text}\n[supervisor]\nmode = 'embedded'\n")
    assert complaints(asked(before, app=facts(transport="filesystem"))) == []


def test_management_interface_is_told_of_only_where_it_is_configured() -> None:
    silent = on_broker(management_problem="connection refused")
    assert complaints(silent(sound())) == []
    before = silent(sound(text=f'{TOML}\n[health]\nmanagement_url = "http://localhost:15672"\n'))
    [found] = complaints(before)
    assert (found.code, found.level) == ("PM725", WARNING)
    assert "rabbitmq-plugins enable rabbitmq_management" in found.hint
    [found] = complaints(asked(before, broker=broker(alarms=("disk on rabbit@host",))))
    assert "disk on rabbit@host" in found.detail


def test_guest_on_this_host_is_what_everybody_has() -> None:
    for name in ("localhost", "127.0.0.1", "::1"):
        assert complaints(on_broker(default_credentials=True, host=name)(sound())) == []


def test_time_limit_of_the_program_goes_before_that_of_the_app() -> None:
    options = Worker(node_name="a@%h", loglevel="info", time_limit_seconds=60.0)
    before = worker(options=options)(sound())
    assert complaints(asked(before, app=facts(options={"accept_content": [], "task_time_limit": 9999}))) == []


def test_programs_that_run_as_root_are_not_loaded_but_told_of() -> None:
    before = replace(sound(), runs_as_root=True, asked=())
    assert [(each.code, each.level) for each in complaints(before) if each.code == "PM716"] == [("PM716", WARNING)]
