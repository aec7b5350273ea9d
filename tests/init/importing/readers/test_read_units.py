"""The services of systemd are read as systemd would run them, with drop-ins, instances and variables."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Remark, Stop
from procman.init.importing.readers.read_units import read
from procman.model import Kind
from procman.sources import Source
from tests.read_by_systemd import command_of, read_units

NO_HOST = Path("/nonexistent")
WORKER = "/srv/site/venv/bin/celery -A site worker -Q mail"
SYSTEM = "etc/systemd/system"


def place(directory: Path, text: str, name: str = "celery.service") -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def service(lines: str = "", command: str = WORKER) -> str:
    return (
        f"[Service]\nKillMode=mixed\nTimeoutStopSec=700\nRestart=always\nUser=www-data\nExecStart={command}\n{lines}\n"
    )


def read_text(directory: Path, text: str) -> Reading:
    return read([place(directory, text)], {}, NO_HOST)


def one(directory: Path, lines: str = "", command: str = WORKER) -> Existing:
    [found] = read_text(directory, service(lines, command)).programs
    return found


def consequences(found: Existing) -> dict[str, str]:
    return {remark.what: remark.consequence for remark in found.remarks}


# The effective values -------------------------------------------------------------------------------------------------

REQUIRES = """\
[Unit]
Description=Background tasks
Requires=valkey.service

[Service]
User=site
WorkingDirectory=/srv/site
ExecStart=/srv/site/venv/bin/celery -A site worker -Q default

[Install]
WantedBy=multi-user.target
"""
OVERRIDE = "[Service]\nKillMode=mixed\nTimeoutStopSec=15min\nRestart=always\n"


def test_unit_is_read_with_its_drop_in(tmp_path: Path) -> None:
    unit, drop_in = place(tmp_path, REQUIRES), place(tmp_path, OVERRIDE, "celery.service.d/override.conf")
    reading = read([unit], {}, NO_HOST)
    [found] = reading.programs
    assert found.command is not None
    note = "procman's unit starts after valkey.service, but neither starts it nor stops with it"
    assert found == Existing(
        label="celery.service",
        name="celery",
        file=unit,
        line=8,
        words=("/srv/site/venv/bin/celery", "-A", "site", "worker", "-Q", "default"),
        command=found.command,
        directory=Path("/srv/site"),
        user="site",
        values={"stop_timeout_seconds": 900},
        after=("valkey.service",),
        stop=Stop("TERM", 900, "main", "always"),
        source=Source("systemd", "celery.service"),
        remarks=(Remark(f"{unit}:3", "Requires = valkey.service", note, changed=True),),
    )
    assert (found.command.kind, found.command.values) == (Kind.WORKER, {"queues": ["default"]})
    assert reading.files == (unit, drop_in)
    assert reading.remarks == ()


def test_unit_alone_has_systemds_defaults(tmp_path: Path) -> None:
    [found] = read_text(tmp_path, REQUIRES).programs
    assert found.stop == Stop("TERM", 90, "group", "never")
    assert "stop_timeout_seconds" not in found.values
    changed = {remark.what: remark.consequence for remark in found.remarks if remark.changed}
    assert changed["TimeoutStopSec"] == "systemd killed running tasks after 90 s; procman waits 600 s"
    assert "ends the tasks that they run" in changed["KillMode"]
    assert "must be restarted" in changed["Restart"]


PRIORITY = (
    *("site-celery@mail.service", "site-celery@.service", "site-.service"),
    *("site-@mail.service", "site-@.service", "service"),
)
DROP_INS = {
    "site-celery@.service.d/20.conf": "[Service]\nEnvironment=A=20 ONLY=template\n",
    "site-celery@mail.service.d/10.conf": "[Service]\nEnvironment=\nEnvironment=A=10 B=%i\n",
    "site-.service.d/30.conf": "[Service]\nEnvironment=C=30\n",
    "site-@.service.d/35.conf": "[Service]\nEnvironment=D=35\n",
    "site-@mail.service.d/36.conf": "[Service]\nEnvironment=E=36\n",
    "site-celery.service.d/50.conf": "[Service]\nEnvironment=NOT=ours\n",
    **{
        f"{name}.d/same{at}.conf": f"[Service]\nEnvironment=SAME{at}={name}\n"
        for at in range(6)
        for name in PRIORITY[at:]
    },
    "service.d/20.conf": "[Service]\nEnvironment=HIDDEN=1\n",
    "service.d/40.conf": "[Service]\nEnvironment=A=40\nExecStart=\nExecStart=/srv/bin/celery -A site worker -n %p.%i\n",
}


def test_drop_ins_and_specifiers_are_those_of_systemds_own_parser(tmp_path: Path) -> None:
    template = "[Service]\nEnvironment=A=1 'GONE=x y'\nExecStart=/bin/false\n"
    name = "site-celery@mail.service"
    expected = read_units({"site-celery@.service": template}, drop_ins=DROP_INS, instances=[name])[name]
    place(tmp_path, template, "site-celery@.service")
    for path, text in DROP_INS.items():
        place(tmp_path, text, path)
    reading = read([tmp_path / name], {}, NO_HOST)
    [found] = reading.programs
    assert list(found.words) == command_of(expected)
    variables = [line.partition("=")[::2] for line in expected["Environment"]]
    assert found.environment == dict(variables)
    assert [path.parts[-2:] for path in reading.files[1:]] == [
        Path(line).parts[-2:] for line in expected["DropIn Path"]
    ]


def test_drop_in_of_the_host_overrides_the_one_of_the_package(tmp_path: Path) -> None:
    place(tmp_path, service(), "usr/lib/systemd/system/celery.service")
    place(tmp_path, "[Service]\nUser=packaged\n", "usr/lib/systemd/system/celery.service.d/user.conf")
    place(tmp_path, "[Service]\nUser=own\n", f"{SYSTEM}/celery.service.d/user.conf")
    place(tmp_path, "[Service]\nGroup=packaged\n", "usr/lib/systemd/system/celery.service.d/group.conf")
    (tmp_path / SYSTEM / "celery.service.d/group.conf").symlink_to("/dev/null")
    (tmp_path / SYSTEM / "worker.service").symlink_to(tmp_path / "usr/lib/systemd/system/celery.service")
    place(tmp_path, "[Service]\nUMask=027\n", f"{SYSTEM}/worker.service.d/umask.conf")
    for given in ("celery.service", "celery", "worker.service"):
        [found] = read([Path(given)], {}, tmp_path).programs
        assert (found.label, found.user, found.group) == ("celery.service", "own", None)
        assert found.values["umask"] == "027"


def test_variables_and_files_reach_the_command(tmp_path: Path) -> None:
    file = place(tmp_path, "LEVEL=debug\nSECRET_KEY=hunter22\nOPTIONS='-c 3 -E'\n", "celery.env")
    lines = f"Environment=LEVEL=info QUEUE=mail\nEnvironmentFile={file}\nUnsetEnvironment=GONE\nEnvironment=GONE=1"
    found = one(tmp_path, lines, "/venv/bin/celery -A site worker -l ${LEVEL} -Q ${QUEUE},x $OPTIONS $NONE -n w@%%h")
    assert found.words == (
        *("/venv/bin/celery", "-A", "site", "worker", "-l", "debug", "-Q", "mail,x", "-c", "3", "-E", "-n", "w@%h"),
    )
    assert (found.environment, found.environment_files) == ({"QUEUE": "mail"}, (file,))
    assert "hunter22" not in repr(found)


def test_shell_and_user_variables_are_understood(tmp_path: Path) -> None:
    command = "/bin/sh -c 'cd /srv/site && exec ${HOME}/venv/bin/celery -A $APP worker -n $$APP@%%h'"
    found = one(tmp_path, "User=root\nEnvironment=APP=site", command)
    home = pwd.getpwnam("root").pw_dir
    assert found.words == (f"{home}/venv/bin/celery", "-A", "site", "worker", "-n", "site@%h")
    assert found.directory == Path("/srv/site")


def test_shell_gets_the_variables_that_systemd_sets_for_the_user(tmp_path: Path) -> None:
    found = one(tmp_path, "User=root", "/bin/sh -c 'exec $$HOME/venv/bin/celery -A site worker -n $$USER@%%h'")
    home = pwd.getpwnam("root").pw_dir
    assert found.words == (f"{home}/venv/bin/celery", "-A", "site", "worker", "-n", "root@%h")
    assert found.environment == {}


def test_environment_file_that_cannot_be_read_costs_only_its_words(tmp_path: Path) -> None:
    lines = f"EnvironmentFile={tmp_path}/missing\nEnvironment=Q=mail"
    command = "/venv/bin/celery -A site worker -Q ${Q} -c ${SLOTS} $MORE --pool=${POOL}"
    found = one(tmp_path, lines, command)
    assert found.words == ("/venv/bin/celery", "-A", "site", "worker", "-Q", "mail")
    doubtful = [remark.what for remark in found.remarks if remark.doubtful]
    assert doubtful == ["-c ${SLOTS}", "${MORE}", "--pool=${POOL}", f"EnvironmentFile = {tmp_path}/missing"]
    reading = read_text(tmp_path, service(lines, "/bin/sh -c '${BIN} -A site worker'"))
    # A message about what each file has would contradict the remark.
    assert tmp_path / "missing" not in reading.files
    [lost] = reading.programs
    assert (lost.command, lost.problem) == (
        None,
        f"its command has variables of a file that could not be read: {tmp_path}/missing",
    )
    assert [remark.what for remark in lost.remarks] == [f"EnvironmentFile = {tmp_path}/missing"]


def test_environment_file_that_may_be_missing_is_left_out(tmp_path: Path) -> None:
    found = one(tmp_path, f"EnvironmentFile=-{tmp_path}/missing", f"{WORKER} $OPTIONS")
    assert found.environment_files == ()
    assert found.words == tuple(WORKER.split())
    assert "has to exist" in consequences(found)[f"EnvironmentFile = -{tmp_path}/missing"]


def test_lines_of_an_environment_file_that_systemd_passes_over_are_reported(tmp_path: Path) -> None:
    file = place(tmp_path, "A=1\nexport SECRET_KEY=hunter22\nB=2\n", "celery.env")
    found = one(tmp_path, f"EnvironmentFile={file}", f"{WORKER} -c ${{B}}")
    assert found.words[-1] == "2"
    [remark] = found.remarks
    assert (remark.place, remark.doubtful) == (f"{file}:2", True)
    assert "hunter22" not in repr(remark)


def test_files_of_a_pattern_are_read_in_order(tmp_path: Path) -> None:
    two, one_ = place(tmp_path, "C=2\n", "env/2"), place(tmp_path, "C=1\n", "env/1")
    found = one(tmp_path, f"EnvironmentFile={tmp_path}/env/*", f"{WORKER} -c $C")
    assert (found.words[-1], found.environment_files) == ("2", (one_, two))


@pytest.mark.parametrize(
    ("specifier", "value"),
    [
        ("%n", "site-mail@a-b.service"),
        ("%N", "site-mail@a-b"),
        ("%p", "site-mail"),
        ("%j", "mail"),
        ("%i", "a-b"),
        ("%I", "a/b"),
        ("%f", "/a/b"),
        ("%t", "/run"),
        ("%S%C%L%E%T", "/var/lib/var/cache/var/log/etc/tmp"),
        ("%h", "/root"),
        ("%H", os.uname().nodename),
        ("%%h", "%h"),
        ("%?", "%?"),
    ],
)
def test_specifier_has_the_value_that_systemd_gives_it(tmp_path: Path, specifier: str, value: str) -> None:
    place(tmp_path, service(f"Environment=VALUE={specifier}"), "site-mail@.service")
    [found] = read([tmp_path / "site-mail@a-b.service"], {}, NO_HOST).programs
    assert found.environment == {"VALUE": value}


def test_host_in_a_node_name_is_left_open(tmp_path: Path) -> None:
    assert one(tmp_path, "", f"{WORKER} --hostname=x@%H").words[-1] == "--hostname=x@%h"


def test_specifiers_of_a_users_unit_are_the_users(tmp_path: Path) -> None:
    unit = place(tmp_path, service("Environment=A=%h B=%t"), ".config/systemd/user/celery.service")
    [found] = read([unit], {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"}, NO_HOST).programs
    assert found.environment == {"A": "/home/me", "B": "/run/user/7"}


@pytest.mark.parametrize("name", ["TimeoutStopSec", "Nice", "MemoryMax", "UMask", "CPUWeight"])
def test_number_without_bounds_is_not_imported(tmp_path: Path, name: str) -> None:
    found = one(tmp_path, f"{name}={'9' * 5000}")
    assert found.values.keys() <= {"stop_timeout_seconds"}
    assert found.command


@pytest.mark.parametrize(("user", "is_read"), [(0, False), (1000, True)])
def test_unit_of_a_user_is_imported_by_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, is_read: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    unit = place(tmp_path, service(), ".config/systemd/user/celery.service")
    [found] = read([unit], {"HOME": "/home/me"}, NO_HOST).programs
    assert ("as this user, without sudo" in found.problem) is not is_read


def test_user_and_group_may_be_numbers(tmp_path: Path) -> None:
    found = one(tmp_path, "User=33\nGroup=33\nWorkingDirectory=~")
    assert (found.user, found.group) == ("www-data", "www-data")
    assert found.directory == Path(pwd.getpwnam("www-data").pw_dir)
    assert one(tmp_path, f"User={'9' * 5000}").user == "9" * 5000


@pytest.mark.parametrize(
    ("line", "directory"),
    [("/srv/%p", "/srv/celery"), ("-/srv", "/srv"), ("~", pwd.getpwnam("www-data").pw_dir)],
)
def test_working_directory(tmp_path: Path, line: str, directory: str) -> None:
    assert one(tmp_path, f"WorkingDirectory={line}").directory == Path(directory)


def test_home_directory_of_an_unknown_user_is_reported(tmp_path: Path) -> None:
    found = one(tmp_path, "User=no-such-user\nWorkingDirectory=~")
    assert found.directory is None
    assert "does not exist on this host" in consequences(found)["WorkingDirectory = ~"]


def test_privileged_command_ignores_the_user(tmp_path: Path) -> None:
    assert one(tmp_path, "", f"-+{WORKER}").user is None


# Units, names and instances -------------------------------------------------------------------------------------------


def test_enabled_instances_of_a_template_are_read(tmp_path: Path) -> None:
    template = place(tmp_path, service("", f"{WORKER} -n %i@%%h"), f"{SYSTEM}/celery@.service")
    wants = tmp_path / SYSTEM / "multi-user.target.wants"
    wants.mkdir()
    for instance in ("mail", "fast"):
        (wants / f"celery@{instance}.service").symlink_to(template)
    found = read([template], {}, tmp_path).programs
    assert [(each.label, each.name, each.words[-1]) for each in found] == [
        ("celery@fast.service", "celery@fast", "fast@%h"),
        ("celery@mail.service", "celery@mail", "mail@%h"),
    ]
    assert found[0].source == Source("systemd", "celery@fast.service")
    [given] = read([Path("celery@slow.service")], {}, tmp_path).programs
    assert given.words[-1] == "slow@%h"
    linked = read([wants / "celery@mail.service"], {}, tmp_path).programs
    assert [each.label for each in linked] == ["celery@mail.service"]


def test_template_without_an_instance_is_reported(tmp_path: Path) -> None:
    template = place(tmp_path, service(), "celery@.service")
    reading = read([template], {}, NO_HOST)
    assert reading.programs == ()
    assert "name those that you use, such as celery@NAME.service" in reading.remarks[0].consequence
    assert read([template, tmp_path / "celery@a.service"], {}, NO_HOST).remarks == ()


def test_directories_patterns_and_drop_ins_name_units(tmp_path: Path) -> None:
    worker = place(tmp_path, service())
    place(tmp_path, service("", "/venv/bin/celery -A site beat"), "celerybeat.service")
    place(tmp_path, "[Socket]\n", "celery.socket")
    drop_in = place(tmp_path, OVERRIDE, "celery.service.d/override.conf")
    both = ["celery.service", "celerybeat.service"]
    for given in ([tmp_path], [Path(f"{tmp_path}/*.service")], [worker, tmp_path]):
        assert [each.label for each in read(given, {}, NO_HOST).programs] == both
    [found] = read([drop_in, worker], {}, NO_HOST).programs
    assert found.stop.seconds == 900


def test_unit_that_is_not_enabled_does_not_start_at_boot(tmp_path: Path) -> None:
    unit = place(tmp_path, service("[Install]\nWantedBy=multi-user.target"), f"{SYSTEM}/celery.service")
    [found] = read([unit], {}, tmp_path).programs
    assert found.values["autostart"] is False
    wants = tmp_path / SYSTEM / "multi-user.target.wants"
    wants.mkdir()
    (wants / "celery.service").symlink_to(unit)
    [found] = read([unit], {}, tmp_path).programs
    assert "autostart" not in found.values


@pytest.mark.parametrize("kind", ["missing", "nowhere", "masked", "empty", "pattern", "fifo", "binary"])
def test_unit_that_cannot_be_read_is_an_error(tmp_path: Path, kind: str) -> None:
    given = tmp_path / "celery.service"
    match kind:
        case "nowhere":
            given = Path("celery.service")
        case "masked":
            given.symlink_to("/dev/null")
        case "empty":
            given = tmp_path
        case "pattern":
            given = tmp_path / "*.service"
        case "binary":
            place(tmp_path, service("User=\0"))
        case "fifo":
            place(tmp_path, service())
            (tmp_path / "celery.service.d").mkdir()
            os.mkfifo(tmp_path / "celery.service.d/x.conf")
    messages = {
        "masked": "masked",
        "binary": "NUL byte",
        "fifo": "not a regular file",
        "empty": "no systemd service",
        "pattern": "no systemd",
    }
    with pytest.raises(ProcmanError, match=messages.get(kind, "no such unit")):
        read([given], {}, tmp_path)


# The directives -------------------------------------------------------------------------------------------------------


def test_directives_become_keys(tmp_path: Path) -> None:
    lines = (
        "UMask=0027\nNice=5\nMemoryMax=2G\nMemoryHigh=1.5G\nCPUWeight=50\nTasksMax=500\nLimitNOFILE=65536\n"
        "PrivateTmp=yes\nPrivateTmp=no\nReadWritePaths=/srv/%p /var/x\nReadWritePaths=/y\nSystemCallFilter=@a\n"
        "SystemCallFilter=~@b\nCPUQuota=50%"
    )
    found = one(tmp_path, lines)
    assert found.values == {
        "umask": "0027",
        "nice": 5,
        "memory_max_mib": 2048,
        "memory_high_mib": 1536,
        "cpu_weight": 50,
        "tasks_max": 500,
        "stop_timeout_seconds": 700,
    }
    assert found.systemd_directives == {
        "LimitNOFILE": "65536",
        "PrivateTmp": "no",
        "ReadWritePaths": ["/srv/celery", "/var/x", "/y"],
        "SystemCallFilter": ["@a", "~@b"],
        "CPUQuota": "50%",
    }
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("line", "what", "reason"),
    [
        ("KillMode=process", "KillMode = process", "any other than mixed"),
        ("KillSignal=SIGQUIT", "KillSignal = SIGQUIT", "procman relies on TERM"),
        ("TimeoutStopSec=1min", "TimeoutStopSec = 1min", "killed running tasks after 60 s"),
        ("TimeoutSec=5", "TimeoutSec = 5", "killed running tasks after 5 s"),
        ("TimeoutStopSec=infinity", "TimeoutStopSec = infinity", "procman has no stop without a limit"),
        ("TimeoutStopSec=0", "TimeoutStopSec = 0", "procman has no stop without a limit"),
        ("Restart=on-failure", "Restart = on-failure", "whatever its exit status"),
        ("ExecReload=/bin/kill -HUP $MAINPID", "ExecReload = /bin/kill -HUP $MAINPID", "use `procman restart`"),
        ("ExecStartPre=/bin/x", "ExecStartPre = /bin/x", "systemctl edit UNIT"),
        ("ExecStop=/opt/stop.sh", "ExecStop = /opt/stop.sh", "systemd itself sends TERM"),
        ("RuntimeDirectory=celery", "RuntimeDirectory = celery", "every program has its own"),
        ("MemoryMax=50%", "MemoryMax = 50%", "memory_max_mib cannot have this value"),
        ("TasksMax=10%", "TasksMax = 10%", "tasks_max cannot have this value"),
        ("SuccessExitStatus=1", "SuccessExitStatus = 1", "whatever its exit status"),
        ("LimitNOFILE=a\\nb!", "LimitNOFILE = a\\nb!", "expected letters"),
        ("RootDirectory=/x", "RootDirectory = /x", "the host's own root directory"),
        ("Type=oneshot", "Type = oneshot", "follows from the kind"),
        ("PassEnvironment=X", "PassEnvironment = X", "set them in [environment]"),
        ("Unknown=1", "Unknown = 1", "a drop-in can"),
        ("[Unit]\nPartOf=shop.target", "PartOf = shop.target", "a target of the project"),
        ("[Unit]\nBindsTo=redis.service", "BindsTo = redis.service", "nor stops with it"),
        ("[Install]\nWantedBy=shop.target", "WantedBy = shop.target", "a target of the project"),
    ],
)
def test_directive_is_not_imported_with_the_reason(tmp_path: Path, line: str, what: str, reason: str) -> None:
    found = one(tmp_path, line)
    assert reason in consequences(found)[what]
    assert [remark.place for remark in found.remarks if remark.what == what] == [
        f"{tmp_path}/celery.service:{7 + line.count(chr(10))}"
    ]


@pytest.mark.parametrize(
    "line", ["ExecStartPre=/bin/curl -u me:hunter22 https://x", "Environment=A\nExecReload=/bin/x --password hunter22"]
)
def test_no_secret_is_in_a_remark(tmp_path: Path, line: str) -> None:
    found = one(tmp_path, line)
    assert found.remarks
    assert "hunter22" not in repr(found)


@pytest.mark.parametrize(
    ("lines", "stop"),
    [
        ("KillMode=control-group", Stop("TERM", 700, "group", "always")),
        ("KillMode=none\nTimeoutStopSec=infinity", Stop("TERM", None, None, "always")),
        ("KillSignal=2\nTimeoutStopSec=1h", Stop("INT", 3600, "main", "always")),
        ("KillMode=\nExecStop=/venv/bin/celery multi stopwait w1", Stop("TERM", 700, "main", "always")),
        ("KillMode=\nExecStop=/bin/kill -s INT $MAINPID", Stop("INT", 700, "main", "always")),
        ("KillMode=\nExecStop=/bin/kill -TERM ${MAINPID}", Stop("TERM", 700, "main", "always")),
        ("KillMode=\nExecStop=/bin/x", Stop("TERM", 700, "group", "always")),
    ],
)
def test_stop_is_the_effective_one(tmp_path: Path, lines: str, stop: Stop) -> None:
    assert one(tmp_path, lines).stop == stop


@pytest.mark.parametrize(
    ("mode", "command", "reaches"),
    [("mixed", "", "shell"), ("mixed", "exec ", "main"), ("control-group", "", "group")],
)
def test_stop_reaches_only_a_shell_without_exec(tmp_path: Path, mode: str, command: str, reaches: str) -> None:
    found = one(tmp_path, f"KillMode={mode}", f"/bin/sh -c '{command}{WORKER}'")
    assert found.stop.reaches == reaches
    assert ("a shell without exec" in consequences(found)) == (reaches == "shell")


MULTI = """\
[Service]
Type=forking
User=site
Group=site
EnvironmentFile={file}
WorkingDirectory=/srv/site
ExecStart=/bin/sh -c '${{BIN}} -A $APP multi start $NODES \\
    --pidfile=${{PIDS}} $OPTIONS'
ExecStop=/bin/sh -c '${{BIN}} multi stopwait $NODES --pidfile=${{PIDS}}'
ExecReload=/bin/sh -c '${{BIN}} -A $APP multi restart $NODES --pidfile=${{PIDS}} $OPTIONS'
Restart=always

[Install]
WantedBy=multi-user.target
"""
DEFAULTS = """\
BIN="/srv/site/venv/bin/celery"
APP="site"
NODES="quick bulk"
PIDS="/run/celery/%n.pid"
OPTIONS="-Q:quick mail -Q:bulk export,reports -c:quick 6 -c 2"
"""


def test_unit_of_celery_multi_becomes_one_program_per_node(tmp_path: Path) -> None:
    file = place(tmp_path, DEFAULTS, "celery.env")
    unit = place(tmp_path, MULTI.format(file=file))
    reading = read([unit], {}, NO_HOST)
    quick, bulk = reading.programs
    assert (quick.label, quick.name, str(quick.source)) == (
        *("node quick of celery.service", "quick"),
        "systemd:celery.service:quick",
    )
    assert (bulk.name, str(bulk.source)) == ("bulk", "systemd:celery.service:bulk")
    assert quick.command is not None
    assert bulk.command is not None
    assert quick.command.values == {"hostname": "quick@%h", "queues": ["mail"], "concurrency": 6}
    assert bulk.command.values == {"hostname": "bulk@%h", "queues": ["export", "reports"], "concurrency": 2}
    assert quick.command.project == {"virtualenv": "/srv/site/venv", "app": "site"}
    for node in reading.programs:
        assert (node.user, node.group, node.directory) == ("site", "site", Path("/srv/site"))
        assert (node.environment, node.environment_files) == ({}, (file,))
        assert node.stop == Stop("TERM", 90, "main", "always")
        assert {what.partition(" =")[0] for what in consequences(node)} == {"TimeoutStopSec", "ExecReload"}


def test_unit_that_systemd_generates_is_its_init_script(tmp_path: Path) -> None:
    script = "#!/bin/sh\n. /etc/default/celeryd\n$CELERYD_MULTI start $CELERYD_NODES\n"
    place(tmp_path, script, "etc/init.d/celeryd")
    place(tmp_path, 'CELERYD_NODES="a b"\nCELERY_APP=site\n', "etc/default/celeryd")
    generated = "[Unit]\nSourcePath=/etc/init.d/celeryd\n[Service]\nExecStart=/etc/init.d/celeryd start\n"
    place(tmp_path, generated, "run/systemd/generator.late/celeryd.service")
    found = read([Path("celeryd.service")], {}, tmp_path).programs
    assert [str(each.source) for each in found] == ["init.d:celeryd:a", "init.d:celeryd:b"]


def test_order_and_dependencies_become_after(tmp_path: Path) -> None:
    unit = "[Unit]\nAfter=network.target rabbitmq-server.service celerybeat.service\nWants=postgresql.service\n"
    place(tmp_path, unit + service())
    place(tmp_path, service("", "/venv/bin/celery -A site beat"), "celerybeat.service")
    worker, _ = read([tmp_path], {}, NO_HOST).programs
    assert worker.after == ("rabbitmq-server.service", "postgresql.service")


def test_logs_of_all_units_are_reported_once(tmp_path: Path) -> None:
    place(tmp_path, service("StandardOutput=append:/var/log/x"))
    place(tmp_path, service("StandardError=journal"), "other.service")
    [remark] = read([tmp_path], {}, NO_HOST).remarks
    assert remark.what == "StandardError, StandardOutput"


def test_unit_that_runs_something_else_is_kept_as_such(tmp_path: Path) -> None:
    [found] = read_text(tmp_path, service("Nice=5\nStandardOutput=null", "/usr/bin/redis-server")).programs
    assert (found.command, found.problem, found.words) == (None, "", ("/usr/bin/redis-server",))
    assert (found.remarks, found.values) == ((), {})
    [found] = read_text(tmp_path, "[Unit]\nDescription=Nothing\n").programs
    assert (found.command, found.words) == (None, ())


def test_unit_with_several_commands_becomes_several_programs(tmp_path: Path) -> None:
    lines = "Type=oneshot\nExecStart=/bin/prepare\nExecStart=/venv/bin/celery -A site worker -Q b"
    found = read_text(tmp_path, service(lines)).programs
    assert [(each.name, each.words[-1]) for each in found] == [("celery-1", "mail"), ("celery-2", "b")]


def test_line_that_systemd_ignores_is_reported(tmp_path: Path) -> None:
    found = one(tmp_path, "Environment=\"A=1\nEnvironment=B C=2\nExecStart=/bin/x 'y")
    assert [(remark.what, remark.place) for remark in found.remarks] == [
        ("ExecStart", f"{tmp_path}/celery.service:9"),
        ("Environment", f"{tmp_path}/celery.service:7"),
        ("Environment", f"{tmp_path}/celery.service:8"),
    ]
    assert found.environment == {"C": "2"}


@pytest.mark.parametrize("word", ["$BIG", "${BIG}"])
def test_unit_that_repeats_a_long_variable_is_refused(tmp_path: Path, word: str) -> None:
    file = place(tmp_path, f"BIG={'x' * 500_000}\n", "celery.env")
    with pytest.raises(ProcmanError, match="a setting cannot be read: it becomes longer than"):
        one(tmp_path, f"EnvironmentFile={file}\nExecStart=/bin/x {f'{word} ' * 9000}")


def test_directory_of_hundreds_of_units_is_read(tmp_path: Path) -> None:
    for number in range(100):
        place(tmp_path, service("", "/bin/true"), f"site-{number}.service")
    assert len(read([tmp_path], {}, NO_HOST).programs) == 100
