"""Each check before an install: it accepts a valid project, and reports its own fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.backends.base import FileLimit, ManagerReport, StopOrder
from procman.model import BackendName, Kind, Level, Result
from procman.monitoring.checks.registry import run
from procman.preflight.inputs import Below, EnvironmentFile, Host, Interpreter, OtherProgram, PreflightFacts, Schedule
from procman.preflight.paths import own_directories_are_safe
from procman.preflight.registry import BEFORE
from procman.probes.app import Judged, ResultBackend, Service, Written
from procman.probes.broker_facts import QueueFacts, QueueState, TriedUrl
from procman.probes.wrapper import Tried
from procman.project import Command, Worker
from tests.preflight.records import SCHEDULE, TOML, asked, broker, facts, missing, place, valid
from tests.tables import for_each

CRITICAL, WARNING = Level.CRITICAL, Level.WARNING

Change = Callable[[PreflightFacts], PreflightFacts]


def complaints(before: PreflightFacts) -> list[Result]:
    return [result for result in run(BEFORE, before) if result.level is not Level.OK]


def app(**changes: Any) -> Change:
    return lambda before: asked(before, app=facts(**changes))


def judged(program: str, **changes: Any) -> Change:
    return lambda before: asked(before, app=facts(judged={**facts().judged, program: Judged(**changes)}))


def backend(trouble: str, detail: str = "", *, starts: bool = True, **changes: Any) -> Change:
    """Return a change to an app whose result backend has this fault."""
    found = ResultBackend("redis://10.0.0.9/1", trouble, detail, starts=starts)
    return app(result_backend=found, **changes)


def database_schedule(trouble: str, error: str) -> Change:
    scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
    fault = {"schedule_trouble": trouble, "schedule_error": error}
    return judged("site-celery-beat", scheduler=scheduler, keeps_file=False, **fault)


def on_broker(**changes: Any) -> Change:
    return lambda before: asked(before, broker=broker(**changes))


def host(**changes: Any) -> Change:
    return lambda before: replace(before, host=Host(**changes))


def manager(**changes: Any) -> Change:
    return host(manager=ManagerReport(**changes))


ORDERED = StopOrder(frozenset({"rabbitmq-server.service"}), uses_after=True)


def local(order: StopOrder | None) -> Change:
    """Return a change to a host with a broker, in `after`, and a database."""
    units = {"rabbitmq-server.service": ("broker",), "postgresql.service": ("database default", "result backend")}

    def change(before: PreflightFacts) -> PreflightFacts:
        project = replace(before.project, after=("rabbitmq-server.service",))
        return replace(before, project=project, host=Host(stop_order=order), local_units=units)

    return change


def at(path: str | Path, found: Any) -> Change:
    return lambda before: replace(before, places={**before.places, Path(path): found})


def below(path: str, *unwritable: str, files: tuple[str, ...] = ()) -> Change:
    found = Below(len(unwritable) + 1, tuple((name, "root") for name in unwritable), files)
    return lambda before: replace(before, below={**before.below, Path(path): found})


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


def options(**changes: Any) -> Change:
    """Return a change to a project whose worker has these options, too."""

    def change(before: PreflightFacts) -> PreflightFacts:
        [own] = [each.options for each in before.project.programs if each.key == "worker.celery"]
        assert isinstance(own, Worker)
        return worker(options=replace(own, **changes))(before)

    return change


def overlapping(state_file: str) -> Change:
    """Return a change to a worker that overlaps and has this state file."""
    known = judged("site-celery", queues=("celery",), state_file=state_file)
    return lambda before: known(options(overlap=True)(before))


def listening(*ports: int) -> Change:
    """Return a change to a worker that overlaps and listens on these ports."""
    return lambda before: host(listening={"site-celery": ports})(options(overlap=True)(before))


def hiding(path: str) -> Change:
    """Return a change to a project under systemd that hides `path` from its worker."""

    def change(before: PreflightFacts) -> PreflightFacts:
        before = worker(systemd_directives={"TemporaryFileSystem": (path,)})(before)
        return replace(before, project=replace(before.project, backend=BackendName.SYSTEMD))

    return change


def open_files(most: int, **changes: Any) -> Change:
    return host(file_limits={"site-celery": FileLimit(most, "Set minfds = {number}", **changes)})


def tried(**outcome: Any) -> Change:
    wrapped = worker(wrapper=("wrap",))
    return lambda before: replace(wrapped(before), wrappers={"site-celery": Tried(**outcome)})


def command(*argv: str) -> Change:
    """Return a change to a project whose command is `argv`."""

    def change(before: PreflightFacts) -> PreflightFacts:
        programs = tuple(
            replace(each, options=Command(argv)) if each.key == "command.flower" else each
            for each in before.project.programs
        )
        return replace(before, project=replace(before.project, programs=programs))

    return change


def both(*changes: Change) -> Change:
    def change(before: PreflightFacts) -> PreflightFacts:
        for each in changes:
            before = each(before)
        return before

    return change


AMQP_LATE = {"accept_content": ["json"], "task_time_limit": 3600, "task_acks_late": True}
OTHER_BEAT = OtherProgram(Kind.BEAT, 17, "anna", "celery -A site1 beat", "site1", "/opt/site")
OLD_WORKER = OtherProgram(
    Kind.WORKER,
    18,
    "www-data",
    "celery -A site1 worker",
    "site1",
    "/opt/site",
    node_name=f"celery@{os.uname().nodename}",
    runner="old.service",
    source="systemd:old.service",
    known_as="old.service",
)
OWN_NODE = f"site-celery@{os.uname().nodename}"


def other_project(**changes: Any) -> Change:
    """Return a change to a project on the brokers 1 and 2, beside the beat of another procman project."""
    beat = replace(OTHER_BEAT, program="other-celery-beat", is_procmans=True, **changes)
    return lambda before: replace(app(brokers=("1", "2"))(before), host=Host(others=(beat,)))


OTHER_MEDIA = app(written=(Written("MEDIA_ROOT", Path("/srv/other"), writable=True),))
OTHER_WORKER = {"program": "mill-celery", "kind": "worker", "brokers": ["1"], "queues": [{"name": "celery"}]}


def old_worker(**changes: Any) -> Change:
    """Return a change to a project beside a worker that procman does not run."""
    return host(others=(replace(OLD_WORKER, **changes),))


def named_like_ours(**changes: Any) -> Change:
    """Return a change to a project on broker 1, beside the worker of another project with the node name of ours."""
    worker = replace(OLD_WORKER, program="mill-celery", is_procmans=True, node_name=OWN_NODE, **changes)
    return lambda before: replace(app(brokers=("1",))(before), host=Host(others=(worker,)))


def second_worker(node: str) -> Change:
    """Return a change to a project with a second worker, which has the node name `node`."""

    def change(before: PreflightFacts) -> PreflightFacts:
        [first] = [each for each in before.project.programs if each.key == "worker.celery"]
        assert isinstance(first.options, Worker)
        options = replace(first.options, node_name=node)
        second = replace(first, name="site-second", key="worker.second", options=options)
        return replace(before, project=replace(before.project, programs=(*before.project.programs, second)))

    return change


def on_rabbitmq(*, late: bool = False, **changes: Any) -> Change:
    """Return a change to a RabbitMQ 4 where the quorum queue celery has this state."""
    state = QueueState(**{"is_quorum": True, "delivery_limit": -1, **changes})
    return on_broker(version="4.0.5", acks_late=late, queues=(QueueFacts("celery", 0, 0, state=state),))


def beside(**changes: Any) -> Change:
    """Return a change to a project on broker 1, beside a worker of another project."""
    consumes = {**facts().judged, "site-celery": Judged(queues=("celery",))}
    return both(app(brokers=("1",), judged=consumes), host(workers=({**OTHER_WORKER, **changes},)))


REFUSED = (
    "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'celery' in vhost '/': "
    "received 'quorum' but current is 'classic'"
)
SLOW_ON_REDIS = both(
    worker(stop_timeout_seconds=9000),
    app(options={"accept_content": ["json"], "task_time_limit": 7200}),
    on_broker(transport="redis", visibility_seconds=3600.0),
)
DENIED = on_broker(version="4.0.5", denied_feature="global_qos", denied_reason="Its use is not permitted")


CASES: list[tuple[str, Level, Change, str]] = [
    ("PM605", WARNING, lambda each: replace(each, project=replace(each.project, accept=("PM773",))), "names PM773"),
    ("PM701", CRITICAL, lambda each: replace(each, interpreter=Interpreter("", "cannot run it"), asked=()), "cannot"),
    ("PM703", WARNING, app(versions={"celery": "5.1.2"}), "CVE-2021-23727"),
    ("PM703", WARNING, manager(supervisor_version="3.3.1"), "CVE-2017-11610"),
    (
        "PM704",
        CRITICAL,
        lambda each: replace(each, commands={"site-flower": None}),
        "www-data cannot run celery: not found",
    ),
    (
        "PM704",
        CRITICAL,
        lambda each: replace(each, unknown_subcommands=("flower",)),
        "the virtualenv's Celery has no command flower, which [command.flower] runs",
    ),
    ("PM705", CRITICAL, file(problems=("/etc/site/celery.env:3: no `=`",)), ":3:"),
    ("PM705", CRITICAL, at("/etc/site/celery.env", place(readable=False)), "www-data cannot read /etc/site/celery.env"),
    ("PM706", WARNING, file(trusted=False, why="anna can"), "anna can"),
    ("PM706", CRITICAL, file(mode=0o662, trusted=False), "every user can change it"),
    ("PM706", WARNING, file(mode=0o644), "every user of this host can read its secrets"),
    ("PM705", CRITICAL, file(refused=("/etc/site/celery.env:2: remove MAINPID: x",)), "celery.env:2: remove MAINPID"),
    ("PM707", WARNING, file(replacing=((4, "PYTHONPATH"),)), "celery.env:4: PYTHONPATH differs from the value"),
    ("PM707", WARNING, file(replacing=((4, "C_FORCE_ROOT"),)), "celery.env:4: C_FORCE_ROOT should not be set"),
    ("PM707", WARNING, file(replacing=((4, "CELERY_WORKER_POOL"),)), "celery.env:4: CELERY_WORKER_POOL: Celery reads"),
    ("PM707", WARNING, worker(environment={"CELERY_WORKER_POOL": "solo"}), "CELERY_WORKER_POOL in [environment]"),
    ("PM708", WARNING, file(ambiguous=((5, "it expands ${NAME}"),)), "celery.env:5: python-dotenv reads another value"),
    ("PM711", CRITICAL, lambda each: asked(each, app=None, error="ImportError: x", broker=None), "ImportError"),
    ("PM713", WARNING, app(settings="other.settings"), "other.settings"),
    ("PM713", WARNING, app(settings=None), "does not use"),
    ("PM714", WARNING, app(problems={"queues": "KeyError: 'x'"}), "queues"),
    ("PM715", WARNING, app(tasks=0), "no tasks"),
    ("PM716", WARNING, app(options={"accept_content": ["json", "pickle"]}), "can run code as www-data"),
    ("PM717", WARNING, app(django={"DEBUG": True}), "site1.settings sets DEBUG"),
    ("PM718", WARNING, app(options={"accept_content": ["json"], "task_always_eager": True}), "no task is sent"),
    ("PM719", WARNING, app(loaded_twice={"/opt/site/src/a.py": ("a", "src.a")}), "as a and src.a:"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="refused", detail="111"), "nothing listens there"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="dns"), "host name cannot be resolved"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="password"), "rejects the user or password"),
    ("PM721", CRITICAL, on_broker(reachable=False, trouble="vhost"), "virtual host"),
    ("PM721", CRITICAL, lambda each: asked(each, broker=None, broker_error="no answer"), "no answer"),
    ("PM722", CRITICAL, both(app(missing_module="redis", transport="redis"), on_broker(trouble="module")), "redis"),
    ("PM723", WARNING, on_broker(default_credentials=True, host="10.0.0.1"), "guest"),
    (
        "PM727",
        WARNING,
        on_broker(default_credentials=True),
        "every user and program of this host can read the messages",
    ),
    ("PM724", WARNING, app(transport="filesystem"), "for development"),
    ("PM724", CRITICAL, app(transport="memory"), "no other process receives"),
    ("PM726", WARNING, app(routed_queues=("crop",)), "crop"),
    (
        "PM728",
        CRITICAL,
        backend("module", "no module named redis", starts=False),
        "no module named redis): a worker exits",
    ),
    (
        "PM728",
        CRITICAL,
        backend("ssl_cert_reqs", starts=False),
        "redis://10.0.0.9/1: a rediss:// URL needs the parameter",
    ),
    ("PM728", WARNING, backend("refused", "111"), "nothing listens there (111): a worker starts, but no result can be"),
    ("PM728", WARNING, backend("tables", "no such table"), "a table cannot be read (no such table)"),
    ("PM731", CRITICAL, judged("site-celery", error="No such option", queues=("celery",)), "No such option"),
    ("PM732", CRITICAL, judged("site-celery", queues_error="no queue crop", queues=("celery",)), "no queue crop"),
    ("PM733", CRITICAL, judged("site-celery", pool_error="No module gevent", queues=("celery",)), "No module gevent"),
    ("PM741", CRITICAL, judged("site-celery-beat", scheduler_error="No module x"), "No module x"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, place(writable=False)), "cannot write"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, place(is_directory=False)), "not a directory"),
    ("PM742", CRITICAL, at(SCHEDULE.parent, replace(missing(), problem="Permission denied")), "cannot reach"),
    ("PM743", WARNING, at(SCHEDULE.parent, place(in_memory=True)), "emptied at boot"),
    (
        "PM744",
        WARNING,
        lambda each: replace(each, schedule=Schedule({SCHEDULE: place(writable=False)}, "")),
        "forget when its tasks last ran",
    ),
    ("PM744", WARNING, lambda each: replace(each, schedule=Schedule({SCHEDULE: place(mode=0o666)}, "")), "pickle"),
    ("PM745", WARNING, lambda each: replace(each, schedule=Schedule({}, "bad magic")), "start a new one"),
    ("PM745", CRITICAL, database_schedule("tables", "no table x"), "a table cannot be read (no table x); it exits"),
    ("PM745", CRITICAL, database_schedule("refused", "111"), "nothing listens there (111)"),
    ("PM746", CRITICAL, host(others=(OTHER_BEAT,)), "if it uses the same broker"),
    ("PM746", WARNING, host(others=(replace(OTHER_BEAT, is_believed=False),)), "if it uses the same broker"),
    ("PM746", CRITICAL, other_project(brokers=("2", "3")), "with the same broker"),
    ("PM746", WARNING, other_project(brokers=("2", "3"), is_believed=False), "with the same broker"),
    ("PM746", CRITICAL, other_project(brokers=()), "if it uses the same broker"),
    ("PM747", WARNING, judged("site-celery-beat", answers_ping=True), "answers celery inspect ping"),
    ("PM748", CRITICAL, host(others=(OLD_WORKER,)), "that consumes celery as site-celery would"),
    ("PM748", CRITICAL, old_worker(queues=None, is_believed=True, node_name=""), "if it uses the same broker, both"),
    ("PM748", CRITICAL, old_worker(queues=("x",), node_name=OWN_NODE), f"has the node name of site-celery, {OWN_NODE}"),
    ("PM748", WARNING, old_worker(is_of_app=False, is_believed=False, node_name=OWN_NODE), "has the node name"),
    ("PM749", CRITICAL, named_like_ours(brokers=("1",)), "mill-celery of another project has the node name of"),
    ("PM749", CRITICAL, named_like_ours(brokers=()), "if it uses the same broker, RabbitMQ"),
    ("PM749", WARNING, named_like_ours(brokers=(), is_starting=True), "if it uses the same broker, RabbitMQ"),
    ("PM749", WARNING, named_like_ours(brokers=(), is_of_own_user=False), "if it uses the same broker, RabbitMQ"),
    ("PM749", WARNING, named_like_ours(brokers=("1",), is_believed=False), "RabbitMQ refuses the mailbox"),
    ("PM749", CRITICAL, second_worker(f"site-celery@{os.uname().nodename}"), "site-celery and site-second both have"),
    (
        "PM749",
        CRITICAL,
        lambda before: second_worker(f"site-celery-b@{os.uname().nodename}")(options(overlap=True)(before)),
        f"both have the node name site-celery-b@{os.uname().nodename}",
    ),
    ("PM751", CRITICAL, at("/opt/site", place(readable=False)), "www-data cannot enter and read /opt/site"),
    ("PM752", CRITICAL, at("/srv/media", missing()), "www-data cannot find /srv/media"),
    ("PM752", CRITICAL, at("/srv/media", place(writable=False)), "cannot write to /srv/media"),
    ("PM752", WARNING, below("/srv/media", "crop", "roi"), "cannot write to crop, roi in /srv/media of writable_paths"),
    (
        "PM753",
        WARNING,
        both(OTHER_MEDIA, below("/srv/other", "crop")),
        "cannot write to crop in /srv/other of MEDIA_ROOT",
    ),
    (
        "PM753",
        WARNING,
        both(app(written=(Written("MEDIA_ROOT", Path("/var"), writable=False),)), below("/var", "log")),
        "cannot write to /var (MEDIA_ROOT of the app)",
    ),
    ("PM753", WARNING, app(written=(Written("cache default", Path("/srv/cache"), writable=False),)), "/srv/cache"),
    ("PM754", WARNING, lambda each: replace(each, forbidden={"site-celery": (Path("/srv/x"),)}), "read-only"),
    (
        "PM754",
        CRITICAL,
        hiding("/usr/local"),
        "hides what the program needs: /usr/local/lib/procman/site, the launcher",
    ),
    ("PM755", WARNING, at("/srv/media", place(free_bytes=400 * 2**20)), "400 MiB"),
    ("PM755", CRITICAL, at("/srv/media", place(free_bytes=40 * 2**20)), "40 MiB"),
    ("PM756", CRITICAL, at("/var/log/site", place()), "with a symbolic link there"),
    ("PM756", CRITICAL, at("/var/lib/procman/site/run/site-celery", place(writable=False)), "lock"),
    (
        "PM761",
        WARNING,
        app(options={"accept_content": ["json"], "task_time_limit": 3600}),
        "a stop kills it after 600 s",
    ),
    (
        "PM761",
        WARNING,
        app(options={"accept_content": ["json"], "task_time_limit": 595, "task_acks_late": True}),
        "a task may take 595 s (its time limit), but a stop ends it and hands it back, to run again, after 590 s",
    ),
    ("PM762", WARNING, both(app(options=AMQP_LATE), worker(stop_timeout_seconds=4000)), "1800 s"),
    ("PM763", WARNING, local(ORDERED), "postgresql.service (database default, result backend) may stop before"),
    (
        "PM764",
        CRITICAL,
        options(concurrency=200),
        "opens about 1219 files for 200 pool processes, of at most 1024: it e",
    ),
    ("PM764", WARNING, options(autoscale=(160, 1)), "of at most 1024: few are left for its tasks"),
    ("PM764", CRITICAL, open_files(10, problem="supervisord cannot start"), "supervisord cannot start"),
    (
        "PM765",
        WARNING,
        worker(memory_max_mib=150),
        "8 pool processes it needs at least 180 MiB (the app alone 100), but",
    ),
    (
        "PM765",
        WARNING,
        worker(memory_restart_mib=150),
        "memory_restart_mib is 150: procman restarts it again and again",
    ),
    (
        "PM765",
        WARNING,
        both(worker(memory_max_mib=1000), options(max_memory_per_child_kib=200 * 1024)),
        "8 pool processes may use 200 MiB each before Celery replaces them (max_memory_per_child_kib), and the app 100",
    ),
    ("PM772", WARNING, manager(problem="supervisord is not running"), "not running"),
    ("PM773", WARNING, host(warnings=("it is killed after 90 s",)), "90 s"),
    ("PM774", WARNING, manager(tcp_without_password="*:9001"), "*:9001"),
    ("PM775", CRITICAL, host(refused=("a.conf is not procman's",)), "a.conf"),
    ("PM781", WARNING, on_rabbitmq(delivery_limit=None), "quorum queue celery has RabbitMQ's default delivery limit"),
    ("PM782", CRITICAL, on_broker(transport="redis", redis_refusal="READONLY You can't write"), "a read-only replica"),
    (
        "PM783",
        CRITICAL,
        on_rabbitmq(refused=REFUSED),
        "celery exists with another value of x-queue-type than the app declares",
    ),
    ("PM784", WARNING, SLOW_ON_REDIS, "delivered again after 3600 s"),
    ("PM785", WARNING, beside(), "mill-celery of another project consumes queue celery of the same broker"),
    ("PM786", WARNING, on_rabbitmq(delivery_limit=50, late=True), "delivery limit of 50 and no dead-letter exchange"),
    ("PM787", CRITICAL, DENIED, "denies the deprecated feature global_qos"),
    ("PM788", CRITICAL, tried(is_found=False, error="Permission denied"), "www-data cannot run the wrapper wrap"),
    ("PM788", CRITICAL, tried(error="wrap: exited with status 2"), "exited with status 2"),
    ("PM788", CRITICAL, tried(replaces_itself=False), "wrap starts the program as its child"),
    ("PM788", CRITICAL, tried(keeps_variables=False), "wrap removes variables"),
    ("PM789", WARNING, command("nautobot-server", "celery", "beat"), "[command.flower] runs a Celery beat"),
    ("PM790", CRITICAL, overlapping("/srv/site/state"), "each of its processes would open the state file"),
    ("PM790", CRITICAL, overlapping("%h.state"), "each of its processes would open the state file %h.state"),
    ("PM791", WARNING, listening(9808), "it listens on port 9808, and its successor may need the port"),
]


@for_each(
    "change",
    [
        on_rabbitmq(),
        on_rabbitmq(delivery_limit=None, delays_natively=True),
        on_rabbitmq(delivery_limit=None, is_quorum=False),
        on_rabbitmq(delivery_limit=50, late=True, has_dead_letters=True),
        on_broker(transport="redis", redis_refusal="", visibility_seconds=3600.0),
        beside(brokers=["2"]),
        beside(brokers=[]),
        beside(queues=[{"name": "mill"}]),
        both(app(options=AMQP_LATE), worker(stop_timeout_seconds=4000), on_broker(server_timeout=4800.0)),
        both(app(transport="mongodb"), options(concurrency=900)),
        options(concurrency=900, pool="gevent"),
        options(concurrency="auto"),
        app(options={"accept_content": [], "worker_concurrency": "auto"}),
        both(app(options={"accept_content": [], "worker_pool": "threads"}), options(concurrency=900)),
        both(app(memory_mib=None), worker(memory_max_mib=10)),
        both(worker(memory_max_mib=1800), options(max_memory_per_child_kib=200 * 1024)),
    ],
)
def test_state_without_a_fault_is_silent(change: Change) -> None:
    assert complaints(change(valid())) == []


def test_timeout_that_is_known_counts_without_acks_late_too() -> None:
    limited = app(options={"accept_content": ["json"], "task_time_limit": 3000})
    change = both(limited, worker(stop_timeout_seconds=4000), on_broker(server_timeout=1800.0))
    assert [each.code for each in complaints(change(valid()))] == ["PM762"]


def test_valid_project_has_no_complaints() -> None:
    assert complaints(valid()) == []
    assert len(run(BEFORE, valid())) > 8


@for_each(("code", "level", "change", "words"), CASES)
def test_one_fault_is_one_complaint(code: str, level: Level, change: Change, words: str) -> None:
    [found] = complaints(change(valid()))
    assert (found.code, found.level) == (code, level)
    assert words in found.detail
    assert found.hint or code in ("PM701", "PM711")


def test_every_check_complains_in_a_test() -> None:
    text = Path(__file__).read_text()
    assert [check.code for check in BEFORE if check.code not in text] == []


def test_queues_without_a_worker_are_named_up_to_a_number() -> None:
    found = complaints(app(routed_queues=tuple(f"q{number:06}" for number in range(100_000)))(valid()))
    assert [each.code for each in found] == ["PM726"] * 21
    assert found[0].detail == "no worker here consumes queue q000000"
    assert found[-1].detail == "no worker here consumes 99980 more queues, such as q099999"


def test_untested_celery_is_a_warning() -> None:
    found = complaints(app(versions={"celery": "4.3.0"})(valid()))
    assert [(each.code, each.level) for each in found] == [("PM702", WARNING), ("PM703", WARNING)]
    assert [each.code for each in complaints(app(versions={"celery": "6.0.0rc1"})(valid()))] == ["PM702"]


def test_slow_import_is_reported_for_each_program() -> None:
    found = complaints(app(import_seconds=12.0)(valid()))
    assert [(each.code, each.program) for each in found] == [("PM712", "site-celery"), ("PM712", "site-celery-beat")]
    assert found[0].hint == "Set start_seconds = 25 in [worker.celery]."


def test_missing_celery_is_reported() -> None:
    before = asked(valid(), app=None, error="site1 cannot be loaded: ModuleNotFoundError: No module named 'celery'")
    assert {result.code for result in complaints(before)} >= {"PM702", "PM711"}


def test_missing_user_is_the_only_complaint() -> None:
    before = PreflightFacts(
        valid().project, {}, Interpreter(""), host=Host(account_problem="user www-data does not exist")
    )
    assert [(each.code, each.level) for each in complaints(before)] == [("PM771", CRITICAL)]


def test_log_that_the_sandbox_makes_read_only_is_critical() -> None:
    path = Path("/srv/log/site.log")
    before = asked(valid(), app=facts(written=(Written("log", path, writable=True),)))
    [found] = complaints(replace(before, forbidden={"site-celery": (path,)}))
    assert (found.code, found.level, found.program) == ("PM754", CRITICAL, "site-celery")
    assert '"/srv/log"' in found.hint


@pytest.mark.parametrize(
    ("version", "opens", "level"),
    [("5.5.3", True, CRITICAL), ("5.5.3", False, WARNING), ("5.6.0", True, WARNING), ("5.10.1", True, WARNING)],
)
def test_schedule_that_opens_but_cannot_be_read_is_critical_before_celery_5_6(
    version: str, opens: bool, level: Level
) -> None:
    before = asked(valid(), app=facts(versions={"celery": version}))
    [found] = complaints(replace(before, schedule=Schedule({}, "bad pickle", opens)))
    assert (found.code, found.level) == ("PM745", level)


def test_unwritable_schedule_in_an_unwritable_directory_is_critical() -> None:
    before = replace(valid(), schedule=Schedule({SCHEDULE: place(writable=False)}, ""))
    found = complaints(at(SCHEDULE.parent, place(writable=False))(before))
    assert [(each.code, each.level) for each in found] == [("PM742", CRITICAL), ("PM744", CRITICAL)]


REMEDIES: list[tuple[Change, str]] = [
    (options(concurrency=200), "Set minfds = 2048; or lower concurrency in [worker.celery]."),
    (options(autoscale=(200, 1)), "Set minfds = 2048; or lower autoscale in [worker.celery]."),
    (open_files(10, problem="supervisord cannot start"), "hard nofile 65536"),
    (worker(memory_max_mib=150), "Set memory_max_mib = 360 in [worker.celery], or lower concurrency."),
    (file(problems=("/etc/site/celery.env:3: no `=`",)), "one NAME=value per line"),
    (file(problems=("cannot read /etc/site/celery.env",), remedy="Create it."), "Create it."),
    (on_broker(reachable=False, trouble="transport"), "before ://"),
    (on_broker(reachable=False, trouble="other"), "Check the broker and the app's broker settings"),
    (manager(problem="it does not answer", remedy="Start it so."), "Start it so.\nUntil then"),
    (host(refused=("a.conf: correct it",)), "Correct the named file or key"),
    # Root follows no link that the programs' user may have put there.
    (at("/srv/media", place(writable=False)), "chown -h www-data /srv/media"),
    (below("/srv/media", "crop", "my roi"), "chown -hR www-data /srv/media/crop '/srv/media/my roi'"),
    (below("/srv/media", *"abcdefgh"), "/srv/media/e\nThe next check shows the others."),
    (at("/var/log/site", place()), "chown root: /var/log/site && chmod 0755 /var/log/site"),
    (
        both(at("/var/log/site", place()), below("/var/log/site", files=("uwsgi.log",))),
        "(uwsgi.log) log elsewhere, such as in:\ninstall -d -o www-data /var/log/site-www-data\nThen restart",
    ),
    (
        lambda each: replace(each, schedule=Schedule({SCHEDULE: place(writable=False)}, "")),
        f"chown -h www-data {SCHEDULE} && runuser -u www-data -- chmod 0600 {SCHEDULE}",
    ),
    (host(refused=("a.conf does not exist",), refused_remedy="Correct the path."), "Correct the path."),
]


@for_each(("change", "remedy"), REMEDIES)
def test_hint_is_the_remedy_for_that_fault(change: Change, remedy: str) -> None:
    [found] = complaints(change(valid()))
    assert remedy in found.hint
    assert "procman logs" not in found.hint


def test_hint_without_systemd_is_not_to_start_it() -> None:
    before = valid('backend = "systemd"')
    missing = host(manager=ManagerReport("no systemd.", "Use X."), refused=("procman.toml: no systemd. Use X.",))
    assert [(each.code, each.hint) for each in complaints(missing(before))] == [
        ("PM772", "Use X."),
        ("PM775", "Use X."),
    ]


def test_renamed_schedule_is_reported() -> None:
    aside = Schedule({}, "", set_aside=((SCHEDULE, Path("/var/lib/site/schedule.corrupt-1")),))
    before = replace(valid(), schedule=aside)
    [reported] = complaints(before)
    assert (reported.code, reported.level) == ("PM745", WARNING)
    assert f"{SCHEDULE} was renamed to /var/lib/site/schedule.corrupt-1" in reported.detail


def test_schedule_in_the_code_or_in_run_is_a_warning() -> None:
    for where, words in (("/opt/site/celerybeat-schedule", "code"), ("/var/run/site/schedule", "emptied")):
        before = valid(text=TOML.replace("/var/lib/site/schedule", where))
        before = replace(before, places={**before.places, Path(where).parent: place()})
        [found] = complaints(before)
        assert (found.code, found.level) == ("PM743", WARNING)
        assert words in found.detail
        assert found.hint.startswith("Remove schedule_file from [beat]; ")


def test_default_directory_that_is_emptied_at_boot_is_not_proposed() -> None:
    usual = Path("/var/lib/site/celerybeat-schedule")
    before = valid(text=TOML.replace("/var/lib/site/schedule", str(usual)))
    before = replace(before, places={**before.places, usual.parent: place(in_memory=True)})
    [found] = complaints(before)
    assert found.hint.startswith('Set schedule_file = "PATH" in [beat]')


def test_missing_schedule_directory_is_a_problem_only_if_the_install_cannot_create_it() -> None:
    assert complaints(at(SCHEDULE.parent, missing())(valid())) == []
    text = TOML.replace('user = "www-data"', 'scope = "user"')
    before = valid(text=f"{text}\n[supervisor]\nmode = 'embedded'\n")
    [found] = complaints(at(SCHEDULE.parent, replace(missing(), above_writable=False))(before))
    assert (found.code, found.level) == ("PM742", CRITICAL)


def test_scheduler_without_a_file_needs_no_writable_directory() -> None:
    before = judged("site-celery-beat", scheduler="django_celery_beat.schedulers:DatabaseScheduler", keeps_file=False)(
        valid()
    )
    unwritable = replace(before, places={**before.places, SCHEDULE.parent: place(writable=False)})
    assert complaints(unwritable) == []


def test_filesystem_broker_is_accepted_in_user_scope() -> None:
    text = TOML.replace('user = "www-data"', 'scope = "user"').replace("writable_paths", "#")
    before = valid(text=f"{text}\n[supervisor]\nmode = 'embedded'\n")
    assert complaints(asked(before, app=facts(transport="filesystem"))) == []


def test_management_interface_is_checked_only_if_configured() -> None:
    silent = on_broker(management_problem="connection refused")
    assert complaints(silent(valid())) == []
    before = silent(valid(text=f'{TOML}\n[health]\nmanagement_url = "http://localhost:15672"\n'))
    [found] = complaints(before)
    assert (found.code, found.level) == ("PM725", WARNING)
    assert "rabbitmq-plugins enable rabbitmq_management" in found.hint
    [found] = complaints(asked(before, broker=broker(management_problem="HTTP status 401: x", user="shop app")))
    assert found.hint == "rabbitmqctl set_user_tags 'shop app' monitoring"
    [found] = complaints(asked(before, broker=broker(alarms=("disk on rabbit@host",))))
    assert "disk on rabbit@host" in found.detail


@pytest.mark.parametrize(
    ("host", "codes"), [("10.0.0.9", ["PM721"]), ("10.0.0.8", ["PM721", "PM728"]), ("", ["PM721", "PM728"])]
)
def test_server_that_is_broker_and_result_backend_is_reported_once(host: str, codes: list[str]) -> None:
    used = [Service("result backend", "redis", "10.0.0.9", None)]
    used += [Service("broker", "redis", host, None)] if host else []
    change = both(backend("refused", services=tuple(used)), on_broker(reachable=False, trouble="refused"))
    assert [each.code for each in complaints(change(valid()))] == codes


def test_project_without_a_worker_stores_no_results() -> None:
    only_beat = valid(text=TOML.replace("[worker.celery]", ""))
    assert complaints(backend("refused", judged={})(only_beat)) == []


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_guest_account_on_this_host_is_accepted_in_user_scope(name: str) -> None:
    guest = on_broker(default_credentials=True, host=name)
    assert [each.code for each in complaints(guest(valid()))] == ["PM727"]
    own = guest(valid('scope = "user"', TOML.replace('user = "www-data"', "")))
    assert "PM727" not in {each.code for each in complaints(own)}


ONE, TWO = TriedUrl("redis://one"), TriedUrl("redis://two", "two", "refused", "111")
THREE = TriedUrl("redis://three", "three", "password", "WRONGPASS")


@pytest.mark.parametrize(
    ("reachable", "tried", "level"), [(True, (ONE, TWO, THREE), WARNING), (False, (TWO, THREE), CRITICAL)]
)
def test_each_url_that_a_worker_could_not_use_is_reported(
    reachable: bool, tried: tuple[TriedUrl, ...], level: Level
) -> None:
    change = on_broker(reachable=reachable, trouble="" if reachable else "refused", transport="redis", tried=tried)
    two, three = complaints(change(valid()))
    assert (two.code, two.level, three.code, three.level) == ("PM721", level, "PM721", level)
    assert two.detail == f"cannot connect to redis://two, one of {len(tried)} brokers: nothing listens there (111)"
    assert "it rejects the user or password (WRONGPASS)" in three.detail
    assert "redis-cli ACL LIST" in three.hint


@pytest.mark.parametrize(("late", "handback", "launcher"), [(False, 10, True), (True, 0, True), (True, 10, False)])
def test_task_has_the_whole_stop_timeout_if_it_is_not_handed_back(late: bool, handback: int, launcher: bool) -> None:
    limited = app(options={"accept_content": ["json"], "task_time_limit": 595, "task_acks_late": late})
    change = both(limited, both(options(handback_seconds=handback), worker(launcher=launcher)))
    assert "PM761" not in [each.code for each in complaints(change(valid()))]


def test_time_limit_of_the_program_overrides_that_of_the_app() -> None:
    options = Worker(node_name="a@%h", loglevel="info", time_limit_seconds=60.0)
    before = worker(options=options)(valid())
    assert complaints(asked(before, app=facts(options={"accept_content": [], "task_time_limit": 9999}))) == []


def test_programs_that_run_as_root_are_a_warning() -> None:
    before = replace(valid(), runs_as_root=True, asked=())
    assert [(each.code, each.level) for each in complaints(before) if each.code == "PM716"] == [("PM716", WARNING)]


def test_ping_of_a_beat_that_procman_does_not_heal_is_no_problem() -> None:
    before = valid(text=TOML.replace("[beat]", "[beat]\nheal = false"))
    assert complaints(judged("site-celery-beat", answers_ping=True)(before)) == []


KEY = 'Set after = ["rabbitmq-server.service", "postgresql.service"] in [project].'
LINES = "and add the lines:\n[Unit]\nAfter=postgresql.service"


def stop_order_of(before: PreflightFacts) -> list[tuple[Level, str]]:
    return [(result.level, result.detail) for result in run(BEFORE, before) if result.code == "PM763"]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({}, KEY),
        ({"uses_after": False, "unit": "user@7.service"}, f"As root, run systemctl edit user@7, {LINES}"),
        (
            {"uses_after": False, "unit": "supervisor.service", "remedy": "Set extend_stop_timeout = true."},
            f"{KEY} Set extend_stop_timeout = true. Or run systemctl edit supervisor, {LINES}",
        ),
    ],
)
def test_hint_has_the_lines_that_order_a_service(changes: dict[str, Any], hint: str) -> None:
    [found] = complaints(local(replace(ORDERED, **changes))(valid()))
    assert found.hint == hint


def test_services_that_stop_after_the_programs_are_fine() -> None:
    all_ordered = replace(ORDERED, units=frozenset({"rabbitmq-server.service", "postgresql.service"}))
    [(level, detail)] = stop_order_of(local(all_ordered)(valid()))
    assert (level, detail) == (Level.OK, "rabbitmq-server.service, postgresql.service stop after the programs")
    assert stop_order_of(local(None)(valid())) == []
    assert stop_order_of(valid()) == []


def test_service_in_a_key_without_effect_is_reported_once() -> None:
    # PM773 reports it.
    nothing = replace(ORDERED, units=frozenset(), uses_after=False, unit="supervisor.service")
    before = local(nothing)(valid())
    after = ("rabbitmq-server.service", "postgresql.service")
    assert stop_order_of(replace(before, project=replace(before.project, after=after))) == []


def test_beat_of_another_project_with_another_broker_or_the_same_lock_is_no_problem() -> None:
    assert complaints(other_project(brokers=("3",))(valid())) == []
    locked = other_project(brokers=("2",), has_lock=True)(valid())
    assert [found.code for found in complaints(locked)] == ["PM746"]
    judged_beat = Judged(scheduler="redbeat.schedulers:RedBeatScheduler", keeps_file=False)
    redbeat = facts(brokers=("1", "2"), judged={**facts().judged, "site-celery-beat": judged_beat})
    assert complaints(asked(locked, app=redbeat)) == []


def test_remedy_for_a_beat_of_another_project_names_its_program() -> None:
    [found] = complaints(other_project(brokers=("2",))(valid()))
    assert found.hint == ("Keep one of the two: remove [beat] here, or stop other-celery-beat; or use another broker.")


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"owner": "root"}, "chown www-data /var/lib/procman/site/run/site-celery"),
        ({"mode": 0o555}, "chmod u+rwx /var/lib/procman/site/run/site-celery"),
        ({}, "findmnt -T /var/lib/procman/site/run/site-celery; dmesg | tail"),
    ],
    ids=["owner", "mode", "read-only file system"],
)
def test_run_directory_has_the_remedy_for_its_cause(changed: dict[str, Any], hint: str) -> None:
    changes = at("/var/lib/procman/site/run/site-celery", place(writable=False, **changed))
    [result] = [each for each in own_directories_are_safe(changes(valid())) if each.level is CRITICAL]
    assert result.hint == hint


@for_each(
    ("argv", "table"),
    [
        (["ddtrace-run", "celery", "-A", "site1", "worker", "-Q", "x"], "worker.flower"),
        (["python", "manage.py", "celery", "worker"], "worker.flower"),
        (["sh", "-c", "cd /srv && exec celery -A site1 beat"], "beat"),
        (["celery", "-A", "site1", "flower"], None),
        (["celery", "-A", "site1", "inspect", "ping", "worker"], None),
        (["sh", "-c", "exec celery 'worker"], None),
        (["sh", "-c"], None),
        (["gunicorn", "worker"], None),
    ],
)
def test_worker_or_beat_as_a_command_is_a_warning(argv: list[str], table: str | None) -> None:
    found = [each for each in complaints(command(*argv)(valid())) if each.code == "PM789"]
    assert [each.hint.split("]")[0] for each in found] == ([f"Write it as [{table}"] if table else [])


@pytest.mark.parametrize(
    "change",
    [
        old_worker(queues=("other",)),
        old_worker(is_of_own_user=False),
        old_worker(is_of_app=False),
        old_worker(is_procmans=True),
        old_worker(is_beside=True, node_name=OWN_NODE),
        named_like_ours(brokers=("2",)),
        host(others=(replace(OTHER_BEAT, is_of_app=False),)),
        host(others=(replace(OTHER_BEAT, is_beside=True),)),
    ],
    ids=[
        "other queues",
        "another user",
        "another app",
        "procman's",
        "named in beside",
        "another broker",
        "beat of another app",
        "beat that is named in beside",
    ],
)
def test_worker_or_beat_that_disturbs_none_of_ours_is_no_problem(change: Change) -> None:
    assert complaints(change(valid())) == []


def test_worker_that_is_named_in_beside_is_ok_and_shown() -> None:
    found = [each for each in run(BEFORE, old_worker(is_beside=True)(valid())) if each.code == "PM748"]
    assert [(each.level, each.detail) for each in found] == [
        (Level.OK, "process 18 of www-data, old.service runs beside it, as `beside` names it")
    ]


def test_remedy_has_the_lines_that_adopt_a_worker_or_let_it_stay() -> None:
    before = valid('beside = ["export@%h"]', TOML.replace("[worker.celery]", '[worker.celery]\nadopts = ["init.d:a"]'))
    [found] = complaints(old_worker()(before))
    assert found.hint.splitlines() == [
        'To replace it, write in [worker.celery]: adopts = ["init.d:a", "systemd:old.service"]',
        'If it is meant to stay, write in [project]: beside = ["export@%h", "old.service"]',
    ]
    [found] = complaints(old_worker(source="", known_as="")(before))
    assert found.hint == "Stop it and prevent its next start."


def test_beat_that_is_known_to_use_the_same_broker_cannot_stay() -> None:
    [found] = complaints(other_project(brokers=("2",), is_beside=True)(valid()))
    assert (found.code, found.level) == ("PM746", CRITICAL)


def test_worker_with_a_beat_in_it_is_a_second_beat_too() -> None:
    assert [each.code for each in complaints(old_worker(with_beat=True)(valid()))] == ["PM746", "PM748"]


@pytest.mark.parametrize("path", ["/srv/site/%n.state", "%p", "/srv/%n/state"])
def test_state_file_of_each_process_is_accepted(path: str) -> None:
    assert complaints(overlapping(path)(valid())) == []
    assert complaints(judged("site-celery", queues=("celery",), state_file="/srv/site/state")(valid())) == []


def test_state_file_of_two_workers_is_reported_once() -> None:
    before = valid()
    [own] = [each for each in before.project.programs if each.key == "worker.celery"]
    assert isinstance(own.options, Worker)
    twin = replace(own, name="site-mail", key="worker.mail", options=replace(own.options, node_name="mail@%h"))
    for path, expected in (("state", [("PM790", WARNING, "site-mail")]), ("%n.state", [])):
        known = {name: Judged(queues=("celery",), state_file=path) for name in ("site-celery", "site-mail")}
        after = asked(before, app=facts(judged={**facts().judged, **known}), programs=(own, twin))
        found = [each for each in complaints(after) if each.code == "PM790"]
        assert [(each.code, each.level, each.program) for each in found] == expected
