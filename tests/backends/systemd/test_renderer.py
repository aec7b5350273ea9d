"""The rendering of a project for systemd."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from procman.agent import BESIDE_LAUNCHER
from procman.agent.sd_notify import READY_AFTER_SECONDS
from procman.backends import backend_named
from procman.backends.systemd.renderer import log_path, render
from procman.config.systemd_directives import KNOWN
from procman.errors import ProcmanError
from procman.launch import launch_of
from procman.model import MARKER, BackendName
from procman.project import OLDEST_SYSTEMD
from tests.backends.systemd.projects import SYSTEM_SCOPE, USER_SCOPE, directives_of, project, quoted, toml, units_of
from tests.hostile import HOSTILE
from tests.read_by_systemd import command_of, read_units
from tests.tables import for_each

VERSIONS = (OLDEST_SYSTEMD, 245, 249, 250, 252, 254, 257)
SERVICES = ["catmaid-celery.service", "catmaid-flower.service", "catmaid-celery-beat.service"]


def test_backend_is_found_by_its_name() -> None:
    assert backend_named(BackendName.SYSTEMD).render(project()) == render(project())


def test_every_program_has_a_unit_and_the_project_a_target() -> None:
    files = {file.path: file for file in render(project()).files}
    assert [path.name for path in files] == [*BESIDE_LAUNCHER, "launcher.py", *SERVICES, "catmaid.target"]
    for name in SERVICES:
        file = files[Path("/etc/systemd/system", name)]
        assert (file.mode, file.owner, file.group) == (0o644, "root", "root")
        assert file.programs == (name.removesuffix(".service"),)
        assert file.section
        assert file.restarts
        assert MARKER in file.content.splitlines()[0]


def test_target_names_every_program_and_restarts_none() -> None:
    target = next(file for file in render(project()).files if file.path.suffix == ".target")
    assert target.section
    assert not target.restarts
    assert target.programs == ("catmaid-celery", "catmaid-flower", "catmaid-celery-beat")
    unit = directives_of(target.content)
    assert unit["WantedBy"] == ["multi-user.target"]
    assert unit["Wants"] == SERVICES


def test_program_without_autostart_is_not_in_the_target_and_has_the_same_unit() -> None:
    before, after = units_of(project()), units_of(project("autostart = false"))
    assert directives_of(after["catmaid.target"])["Wants"] == SERVICES[1:]
    assert before[SERVICES[0]] == after[SERVICES[0]]


def test_new_worker_does_not_change_the_units_of_other_programs() -> None:
    before, after = units_of(project()), units_of(project(rest="[worker.crop]\n"))
    assert {name: after[name] for name in SERVICES} == {name: before[name] for name in SERVICES}


def test_beat_starts_last_and_stops_first() -> None:
    units = {name: directives_of(text) for name, text in units_of(project()).items()}
    assert units["catmaid-celery.service"]["Before"] == ["catmaid-celery-beat.service"]
    assert units["catmaid-flower.service"]["Before"] == ["catmaid-celery-beat.service"]
    assert "Before" not in units["catmaid-celery-beat.service"]


def test_every_unit_stops_gracefully_and_has_no_start_limit() -> None:
    desired = project("stop_timeout_seconds = 3600")
    for name in SERVICES:
        unit = directives_of(units_of(desired)[name])
        assert unit["KillMode"] == ["mixed"]
        assert unit["Restart"] == ["always"]
        assert unit["RestartSec"] == ["10"]
        assert unit["StartLimitIntervalSec"] == ["0"]
        assert unit["OOMPolicy"] == ["continue"]
        assert unit["SystemCallErrorNumber"] == ["EPERM"]
        assert unit["PartOf"] == ["catmaid.target"]
        assert "WantedBy" not in unit
        # The same as TimeoutStopSec=, from a drop-in as well, and not the host's DefaultTimeoutAbortSec=.
        assert unit["TimeoutAbortSec"] == [""]
    assert int(directives_of(units_of(desired)[SERVICES[0]])["TimeoutStopSec"][0]) > 3600


def test_worker_and_beat_notify_systemd_and_have_a_watchdog() -> None:
    units = units_of(project(rest="[health]\nwatchdog_seconds = 44\n"))
    worker, command, beat = (directives_of(units[name]) for name in SERVICES)
    for unit in (worker, beat):
        assert (unit["Type"], unit["NotifyAccess"], unit["WatchdogSec"]) == (["notify"], ["main"], ["44"])
        # Not ABRT, which would dump core although a graceful stop may be possible.
        assert unit["WatchdogSignal"] == ["SIGTERM"]
    assert command["Type"] == ["exec"]
    assert not {"NotifyAccess", "WatchdogSec"} & set(command)


def test_start_has_a_time_limit_whatever_the_default_of_the_host() -> None:
    units = (*units_of(project()).items(), *units_of(project("launcher = false")).items())
    for name, text in units:
        if name in SERVICES:
            [seconds] = directives_of(text)["TimeoutStartSec"]
            assert int(seconds) >= 2 * READY_AFTER_SECONDS


def test_program_without_launcher_or_without_healing_has_no_watchdog() -> None:
    plain = directives_of(units_of(project("launcher = false"))[SERVICES[0]])
    assert (plain["Type"], "WatchdogSec" in plain) == (["exec"], False)
    unhealed = directives_of(units_of(project("heal = false"))[SERVICES[0]])
    assert (unhealed["Type"], "WatchdogSec" in unhealed) == (["notify"], False)


def test_start_limit_is_in_the_unit_section() -> None:
    for name in SERVICES:
        head, _, rest = units_of(project())[name].partition("[Service]")
        assert "StartLimitIntervalSec" in head
        assert "StartLimit" not in rest


def test_broker_is_ordered_and_never_started_or_required() -> None:
    text = units_of(project(more='after = ["rabbitmq-server.service"]'))[SERVICES[0]]
    unit = directives_of(text)
    assert unit["After"] == ["network-online.target rabbitmq-server.service"]
    assert unit["Wants"] == ["network-online.target"]
    assert not {"Requires", "Requisite", "BindsTo", "Upholds"} & set(unit)


def test_run_directory_is_the_same_as_under_supervisor() -> None:
    desired = project()
    for name in SERVICES:
        unit, program = directives_of(units_of(desired)[name]), name.removesuffix(".service")
        place = f"/var/lib/procman/catmaid/run/{program}"
        assert f"PROCMAN_RUN_DIRECTORY={place}" in unit["Environment"]
        assert unit["StateDirectory"] == [place.removeprefix("/var/lib/")]
        assert unit["RuntimeDirectory"] == [f"catmaid/{program}"]
        assert unit["RuntimeDirectoryPreserve"] == ["restart"]
        assert unit["LogsDirectory"] == [f"catmaid/{program}"]


def test_only_a_programs_own_directories_are_given_to_its_user() -> None:
    # systemd changes the owner of an existing StateDirectory= and its content to User=, and changes its mode.
    for text in units_of(project()).values():
        unit = directives_of(text)
        for name in ("StateDirectory", "LogsDirectory", "RuntimeDirectory", "CacheDirectory"):
            assert all(value.rsplit("/", 1)[-1].startswith("catmaid-") for value in unit.get(name, []))


def test_secrets_are_passed_to_the_launcher_as_a_credential() -> None:
    unit = directives_of(units_of(project(more='environment_file = "/etc/catmaid/celery.env"'))[SERVICES[0]])
    assert unit["LoadCredential"] == ["environment:/etc/catmaid/celery.env"]
    assert "PROCMAN_ENVIRONMENT_CREDENTIAL=environment" in unit["Environment"]
    assert "PROCMAN_ENVIRONMENT_FILE=/etc/catmaid/celery.env" in unit["Environment"]
    assert "EnvironmentFile" not in unit


@pytest.mark.parametrize(("worker", "systemd"), [("launcher = false", ""), ("", "minimum_version = 246")])
def test_environment_file_is_read_by_systemd_if_credentials_are_not_possible(worker: str, systemd: str) -> None:
    desired = project(worker, systemd, more='environment_file = "/etc/catmaid/celery.env"')
    unit = directives_of(units_of(desired)[SERVICES[0]])
    assert unit["EnvironmentFile"] == ["/etc/catmaid/celery.env"]
    assert "LoadCredential" not in unit
    assert not any(value.startswith("PROCMAN_ENVIRONMENT") for value in unit["Environment"])


def test_program_without_launcher_runs_celery_of_the_virtualenv() -> None:
    unit = directives_of(units_of(project("launcher = false"))[SERVICES[0]])
    assert unit["ExecStart"][0].startswith("/opt/catmaid/django/env/bin/celery -A mysite worker")
    assert not any(value.startswith("PROCMAN_") for value in unit["Environment"])


@pytest.mark.parametrize(
    ("argv", "started"),
    [
        ('["flower", "-p", "1"]', "/usr/bin/env flower -p 1"),
        ('["./manage.py", "x"]', "/usr/bin/env ./manage.py x"),
        ('["/bin/true"]', "/bin/true"),
    ],
)
def test_command_without_launcher_is_looked_up_in_the_path_of_the_unit(argv: str, started: str) -> None:
    desired = project(rest=f"[command.other]\nlauncher = false\nargv = {argv}\n")
    assert directives_of(units_of(desired)["catmaid-other.service"])["ExecStart"] == [started]


def test_wrapper_of_a_worker_without_launcher_is_looked_up_in_the_path_of_the_unit() -> None:
    unit = directives_of(units_of(project('launcher = false\nwrapper = ["ddtrace-run"]'))[SERVICES[0]])
    assert unit["ExecStart"][0].startswith("/usr/bin/env ddtrace-run celery -A ")


def test_unit_notifies_and_has_a_watchdog_under_a_wrapper_too() -> None:
    text = units_of(project('wrapper = ["ddtrace-run", "a b"]'))[SERVICES[0]]
    unit = directives_of(text)
    assert unit["Type"] == ["notify"]
    assert r'"PROCMAN_WRAPPER=[\"ddtrace-run\", \"a b\"]"' in text
    assert unit["ExecStart"] == directives_of(units_of(project())[SERVICES[0]])["ExecStart"]


@pytest.mark.parametrize("first", ["A=b", "-x"])
def test_command_that_env_would_misread_is_refused(first: str) -> None:
    with pytest.raises(ProcmanError, match=r"command\.other\.argv"):
        render(project(rest=f'[command.other]\nlauncher = false\nargv = ["{first}"]\n'))


def test_only_configured_limits_are_rendered() -> None:
    limits = "memory_high_mib = 900\nmemory_max_mib = 1000\ncpu_weight = 50\ntasks_max = 400\nnice = -5"
    unit = directives_of(units_of(project(limits))[SERVICES[0]])
    assert unit["MemoryHigh"] == ["900M"]
    assert unit["MemoryMax"] == ["1000M"]
    assert unit["CPUWeight"] == ["50"]
    assert unit["TasksMax"] == ["400"]
    assert unit["Nice"] == ["-5"]
    plain = directives_of(units_of(project())[SERVICES[0]])
    assert not {"MemoryHigh", "MemoryMax", "CPUWeight", "TasksMax", "Nice"} & set(plain)


def test_log_is_in_the_journal_by_default() -> None:
    assert log_path(project(), "catmaid-celery") is None
    unit = directives_of(units_of(project())[SERVICES[0]])
    assert "StandardOutput" not in unit
    assert unit["SyslogIdentifier"] == ["catmaid-celery"]


def test_log_files_are_in_a_directory_of_root_and_rotated() -> None:
    desired = project("log_max_mib = 7\nlog_backups = 3", 'log = "file"')
    assert log_path(desired, "catmaid-celery") == Path("/var/log/catmaid/catmaid-celery.log")
    unit = directives_of(units_of(desired)[SERVICES[0]])
    assert unit["StandardOutput"] == ["append:/var/log/catmaid/catmaid-celery.log"]
    rendering = render(desired)
    [directory] = [each for each in rendering.directories if each.path == Path("/var/log/catmaid")]
    assert directory.owner == "root"
    [rotation] = [file for file in rendering.files if file.path == Path("/etc/logrotate.d/procman-catmaid")]
    assert "/var/log/catmaid/catmaid-celery.log {\n    size 7M\n    rotate 3\n" in rotation.content
    assert not rotation.restarts


def test_parents_come_before_children_and_programs_own_their_directories() -> None:
    directories = render(project(systemd='log = "file"')).directories
    paths = [directory.path for directory in directories]
    assert all(parent not in paths[paths.index(path) :] for path in paths for parent in path.parents)
    owned = {str(each.path): each.owner for each in directories}
    assert owned["/var/lib/procman/catmaid/run/catmaid-celery"] == "www-data"
    assert owned["/var/log/catmaid/catmaid-celery"] == "www-data"
    assert owned["/var/lib/catmaid"] == "www-data"
    assert {
        owned[path] for path in ("/var/lib/procman/catmaid", "/var/log/catmaid", "/var/lib/procman/catmaid/run")
    } == {"root"}


def test_user_units_omit_directives_of_the_host() -> None:
    desired = project(scope=USER_SCOPE, more='after = ["rabbitmq-server.service"]')
    rendering = render(desired)
    [unit] = [file for file in rendering.files if file.path.name == SERVICES[0]]
    assert unit.path.parent == Path("/home/anna/.config/systemd/user")
    assert unit.owner is None
    directives = directives_of(unit.content)
    assert not {"User", "Group", "After", "Wants", "StateDirectory", "LogsDirectory", "ReadWritePaths"} & set(
        directives
    )
    assert directives["RuntimeDirectory"] == ["catmaid/catmaid-celery"]
    assert directives_of(units_of(desired)["catmaid.target"])["WantedBy"] == ["default.target"]
    assert Path("/home/anna/.config/systemd/user") in [each.path for each in rendering.directories if each.shared]


@for_each("version", VERSIONS)
@for_each("scope", [SYSTEM_SCOPE, USER_SCOPE])
@for_each("sandbox", ["default", "strict", "off"])
def test_only_directives_of_the_minimum_version_are_rendered(version: int, scope: str, sandbox: str) -> None:
    limits = "memory_high_mib = 9\nmemory_max_mib = 10\ncpu_weight = 5\ntasks_max = 40"
    settings = f'minimum_version = {version}\nsandbox = "{sandbox}"\nlog = "file"'
    for text in units_of(project(limits, settings, scope, 'environment_file = "/etc/x.env"')).values():
        for name in directives_of(text):
            directive = KNOWN[name]
            assert directive.since <= version
            assert directive.user or scope == SYSTEM_SCOPE


def test_restart_delay_grows_if_systemd_supports_it() -> None:
    unit = directives_of(units_of(project(systemd="minimum_version = 254"))[SERVICES[0]])
    assert unit["RestartSec"] == ["10"]
    assert unit["RestartSteps"] == ["5"]
    assert unit["RestartMaxDelaySec"] == ["60"]


def test_hostile_values_are_read_back_by_systemd_and_add_no_directive() -> None:
    # A command cannot have supervisord's name for the number of the instance.
    unfit = ("://", "%(process_num)")
    values = [value for value in HOSTILE if value and len(value) < 200 and not any(each in value for each in unfit)]
    desired = project(
        more='writable_paths = ["/srv/a b", "/srv/%h \\"x\\"", "/srv/a\\\\nb"]\npython_path = ["/srv/100% $HOME"]',
        rest=f"[command.other]\nargv = {quoted(['x', *values])}\n"
        f"[command.other.environment]\n{toml({f'V{number}': value for number, value in enumerate(values)})}\n",
    )
    launch = launch_of(desired, next(each for each in desired.programs if each.name == "catmaid-other"))
    unit = read_units(units_of(desired))["catmaid-other.service"]
    assert command_of(unit) == list(launch.argv)
    assert unit["Environment"] == [f"{name}={value}" for name, value in launch.environment.items()]
    assert unit["ReadWritePaths"] == ['/srv/%h "x" /srv/a b /srv/a\\nb']
    assert unit["User"] == ["www-data"]
    assert unit["KillMode"] == ["mixed"]


def test_rendering_depends_on_nothing_but_procman_toml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = render(project(scope=USER_SCOPE))
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert render(project(scope=USER_SCOPE)) == before


COMMAND = """
[command.web]
argv = ["uwsgi"]
stop_signal = "INT"
directory = "/srv/web"
user = "web"
group = "nginx"
environment_file = "/etc/web/env"
stdout = "/var/log/web/access.log"
stderr = "/var/log/web/error.log"
"""


def test_command_has_its_own_user_directory_secrets_signal_and_logs() -> None:
    unit = directives_of(units_of(project(rest=COMMAND))["catmaid-web.service"])
    assert {name: unit[name] for name in ("User", "Group", "WorkingDirectory", "KillSignal", "KillMode")} == {
        "User": ["web"],
        "Group": ["nginx"],
        "WorkingDirectory": ["/srv/web"],
        "KillSignal": ["SIGINT"],
        "KillMode": ["mixed"],
    }
    assert unit["LoadCredential"] == ["environment:/etc/web/env"]
    assert unit["StandardOutput"] == ["append:/var/log/web/access.log"]
    assert unit["StandardError"] == ["append:/var/log/web/error.log"]
    assert "PROCMAN_STOP_SIGNAL=INT" in str(unit["Environment"])


def test_directories_of_a_command_belong_to_its_own_user_and_its_logs_are_rotated() -> None:
    rendering = render(project(rest=COMMAND))
    own = {each.path.name: (each.owner, each.group) for each in rendering.directories if "catmaid-" in str(each.path)}
    assert own["catmaid-web"] == ("web", "nginx")
    assert own["catmaid-celery"] == ("www-data", None)
    [rotation] = [file for file in rendering.files if file.path.parent == Path("/etc/logrotate.d")]
    assert rotation.programs == ("catmaid-web",)
    assert [line.split()[0] for line in rotation.content.splitlines() if line.startswith("/")] == [
        "/var/log/web/access.log",
        "/var/log/web/error.log",
    ]


def test_unit_of_a_command_does_not_mention_what_only_a_worker_has() -> None:
    text = units_of(project(systemd='sandbox = "off"', rest=COMMAND))["catmaid-web.service"]
    assert not re.search("Celery|pool|worker|tasks", text.partition("# Beat starts last")[0])
    assert "pool" not in text
    assert "TERM" not in text


def test_command_may_notify_systemd_and_get_its_signal_in_all_processes() -> None:
    rest = f"{COMMAND}[command.web.systemd]\nType = 'notify'\nKillMode = 'control-group'\nOOMPolicy = 'stop'\n"
    unit = directives_of(units_of(project(rest=rest))["catmaid-web.service"])
    assert (unit["Type"], unit["KillMode"], unit["OOMPolicy"]) == (["notify"], ["control-group"], ["stop"])


@pytest.mark.parametrize(
    ("key", "reload"),
    [
        ("reload_signal = 'HUP'", r'/bin/sh -c "kill -s HUP \"$$MAINPID\""'),
        ("reload_command = ['touch', '/run/web/100%']", '/usr/bin/env touch "/run/web/100%%"'),
        ("reload_command = ['/srv/we*/reload']", '/usr/bin/env "/srv/we*/reload"'),
    ],
    ids=["signal", "command", "command with a path that systemd would not run"],
)
def test_command_that_can_reload_has_the_words_for_systemctl_reload(key: str, reload: str) -> None:
    units = units_of(project(rest=COMMAND + key))
    assert directives_of(units["catmaid-web.service"])["ExecReload"] == [reload]
    assert "ExecReload" not in units["catmaid-celery.service"]


def test_environment_file_reaches_a_reload_command_which_no_credential_does() -> None:
    rest = f"{COMMAND}\nreload_command = ['touch', '/run/web/reload']"
    unit = directives_of(units_of(project(rest=rest))["catmaid-web.service"])
    assert "LoadCredential" not in unit
    assert unit["EnvironmentFile"] == ["/etc/web/env"]
