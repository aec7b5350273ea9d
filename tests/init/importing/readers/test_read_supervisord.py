"""The programs of supervisord's files are read as supervisord would run them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from supervisor import options

from procman.backends.supervisor.configuration.supervisor_parser import Process, Source
from procman.backends.supervisor.configuration.supervisor_parser import read as read_by_supervisor
from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Remark, Stop
from procman.init.importing.readers.read_supervisord import read
from procman.init.importing.understand import understood
from procman.model import Kind
from procman.quoting.supervisor import supervisor_command
from procman.sources import Source as Adoptable
from tests.backends.supervisor.real_supervisord import eventually
from tests.hostile import HOSTILE
from tests.init.deployments import deployments, put_on_disk

NO_HOST = Path("/nonexistent")
WORKER = "/env/bin/celery -A mysite worker -l info"


def place(directory: Path, text: str, name: str = "old.conf") -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def read_text(directory: Path, text: str, **environment: str) -> Reading:
    return read([place(directory, text)], environment, NO_HOST)


def program(options: str = "", command: str = WORKER, name: str = "catmaid-celery") -> str:
    return f"[program:{name}]\ncommand = {command}\nuser = www-data\ndirectory = /srv\n{options}\n"


def one(directory: Path, options: str = "", command: str = WORKER, **environment: str) -> Existing:
    [found] = read_text(directory, program(options, command), **environment).programs
    return found


def consequences(found: Existing) -> dict[str, str]:
    return {remark.what: remark.consequence for remark in found.remarks}


# The effective values -------------------------------------------------------------------------------------------------

VARIABLES = """\
[supervisord]
environment = SITE="/srv/site"

[program:quick]
environment = LINE="/srv/site/venv/bin/celery -A site worker -n quick.%%h -Q quick",LEVEL="3"
command = nice -n %(ENV_LEVEL)s %(ENV_LINE)s --concurrency=4
directory = %(ENV_SITE)s/code
user = www-data
stopwaitsecs = 2

[program:by_host]
command = %(ENV_SITE)s/venv/bin/celery -A site worker -n by_host@%(host_node_name)s
user = www-data
"""


def test_variables_of_the_section_and_of_supervisord_are_expanded(tmp_path: Path) -> None:
    file = place(tmp_path, VARIABLES)
    quick, by_host = read([file], {}, NO_HOST).programs
    assert quick.words == (
        *("/srv/site/venv/bin/celery", "-A", "site", "worker"),
        *("-n", "quick.%h", "-Q", "quick", "--concurrency=4"),
    )
    assert quick.command is not None
    assert quick.values["nice"] == 3
    assert (quick.label, quick.name, quick.file, quick.line) == ("[program:quick]", "quick", file, 4)
    assert (quick.user, quick.directory) == ("www-data", Path("/srv/site/code"))
    assert quick.environment == {
        "SITE": "/srv/site",
        "LINE": "/srv/site/venv/bin/celery -A site worker -n quick.%h -Q quick",
        "LEVEL": "3",
    }
    assert quick.stop == Stop("TERM", 2, "main", "on-failure")
    assert quick.source == Adoptable("supervisor", str(file), "quick")
    note = "supervisord killed running tasks after 2 s; procman waits 600 s"
    assert quick.remarks == (Remark(f"{file}:9", "stopwaitsecs = 2", note, changed=True),)
    # What Celery makes of %h; the import is for any host.
    assert by_host.words[-1] == "by_host@%h"


def test_host_is_only_left_open_where_the_file_leaves_it_open(tmp_path: Path) -> None:
    host = os.uname().nodename
    for option in (f"-n x@{host}", f"-n %%h.x@{host} -X %(program_name)s"):
        assert f"@{host}" in " ".join(one(tmp_path, "", f"{WORKER} {option}").words)
    for option in ("-nx@%(host_node_name)s", "--hostname=x@%(host_node_name)s"):
        assert one(tmp_path, "", f"{WORKER} {option}").words[-1].endswith("x@%h")
    assert one(tmp_path, "", f"{WORKER} -Q x@%(host_node_name)s").words[-1] == f"x@{host}"


@pytest.mark.parametrize("deployment", [each.name for each in deployments() if "supervisord" in each.form])
def test_effective_values_are_those_of_supervisors_own_parser(
    deployment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_disk(deployment, tmp_path)
    monkeypatch.setattr(options, "name_to_uid", lambda name: name)
    for name in ("CELERY_EXTRA_OPTIONS", "WEBLATE_CMD_OPTIONS"):
        monkeypatch.setenv(name, "--without-gossip")
    files = sorted(path for path in tmp_path.rglob("*.conf") if "[program:" in path.read_text())
    found = {each.name: each for each in read(files, os.environ, NO_HOST).programs}
    expected = {each.name: each for each in parsed(files, tmp_path)}
    assert found.keys() == expected.keys()
    for name, process in expected.items():
        assert as_supervisor_has_it(found[name]) == as_understood(process), name


def test_any_argument_that_procman_writes_is_read_back(tmp_path: Path) -> None:
    values = [value for value in HOSTILE if len(value) < 5000]
    commands = [supervisor_command(("/env/bin/celery", "-A", "x", "worker", "--", value)) for value in values]
    text = "".join(f"[program:p{at}]\ncommand = {command}\n" for at, command in enumerate(commands))
    assert [each.words[-1] for each in read_text(tmp_path, text).programs] == values


SYNTAX = {
    "variables": VARIABLES,
    "group": "[program:a]\ncommand=/bin/celery -A x worker -n %(group_name)s.%(program_name)s@%%h\n"
    "[program:b]\ncommand=/bin/b %(group_name)s\n[group:g]\nprograms=a, b\n",
    "repeated": "[DEFAULT]\nstopwaitsecs=7\n[program:a]\ncommand=/bin/a\nstopsignal=2\n[program:b]\ncommand=/bin/b\n"
    "stopwaitsecs=8\n[program:a]\ncommand=/bin/c ; a comment\n  and a second line\nstopasgroup=yes\n",
    "processes": "[program:a]\ncommand=/bin/celery worker -n %(process_num)02d.%(numprocs)s -Q %(ENV_N)s\n"
    "numprocs=2\nnumprocs_start=3\n"
    'process_name=%(program_name)s_%(process_num)s\nenvironment=N="n%(process_num)s"\ndirectory=/%(ENV_N)s\n',
    "quotes": "[program:a]\ncommand=/bin/a 'x y' \"z\\\"\" \\;\nenvironment=A='x,y',B=\"%%h\",C=d.e-f(g):h,D=''\n",
    "here": "[program:a]\ncommand=/bin/a %(here)s %(here).0s; x%%(here).0s\ndirectory=%(here)s\n",
    "own": '[supervisord]\nenvironment=A="1",B="2"\n[program:a]\ncommand=/bin/a %(ENV_A)s%(ENV_B)s%(ENV_OUTER)s\n'
    'environment=B="%(ENV_A)s3"\n[eventlistener:e]\ncommand=/bin/e\nevents=TICK_5\n'
    "[fcgi-program:f]\nsocket=tcp://localhost:9\ncommand=/bin/f\n",
}


@pytest.mark.parametrize("text", SYNTAX.values(), ids=SYNTAX)
def test_any_syntax_has_the_meaning_of_supervisors_own_parser(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "name_to_uid", lambda name: name)
    monkeypatch.setenv("OUTER", "outer")
    file = place(tmp_path, text)
    found = {each.name: as_supervisor_has_it(each) for each in read([file], os.environ, NO_HOST).programs}
    assert found == {each.name: as_understood(each) for each in parsed([file], tmp_path)}


def parsed(files: list[Path], directory: Path) -> tuple[Process, ...]:
    """Return the processes of `files` as supervisor itself reads them."""
    main = place(directory, "[supervisord]\n", "main.conf")
    logs = [line.partition("=")[2].strip() for file in files for line in file.read_text().split("\n") if "log" in line]
    directories = [Path(log).parent for log in logs]
    return read_by_supervisor(Source(main, None), [Source(file, None) for file in files], directories).processes


def as_understood(process: Process) -> tuple[object, ...]:
    fields = process.fields
    directory = Path(fields["directory"]) if fields["directory"] else None
    words = [word.replace(f"by_host@{os.uname().nodename}", "by_host@%h") for word in shlex.split(fields["command"])]
    found = understood(words, process.environment, directory, place="")
    stop = (fields["stopsignal"], fields["stopwaitsecs"], fields["stopasgroup"])
    return (found.words, found.command, found.environment, found.directory, found.user or fields["uid"], *stop)


def as_supervisor_has_it(found: Existing) -> tuple[object, ...]:
    stop = (signal.Signals[f"SIG{found.stop.signal}"], found.stop.seconds, found.stop.reaches == "group")
    return (found.words, found.command, found.environment, found.directory, found.user, *stop)


def test_unknown_variable_costs_only_its_word(tmp_path: Path) -> None:
    command = "/env/bin/celery -A mysite worker -Q mail -c %(ENV_SLOTS)s %(ENV_MORE)s --pool=%(ENV_POOL)s"
    found = one(tmp_path, 'environment = A="1",B="x%(ENV_B)s"', command)
    assert found.command is not None
    assert found.words == ("/env/bin/celery", "-A", "mysite", "worker", "-Q", "mail")
    assert found.environment == {"A": "1"}
    unknown = {remark.what: remark.place for remark in found.remarks if remark.doubtful}
    assert unknown == {
        "-c %(ENV_SLOTS)s": f"{tmp_path}/old.conf:2",
        "%(ENV_MORE)s": f"{tmp_path}/old.conf:2",
        "--pool=%(ENV_POOL)s": f"{tmp_path}/old.conf:2",
        "environment B": f"{tmp_path}/old.conf:5",
    }
    assert consequences(found)["%(ENV_MORE)s"] == "MORE comes from supervisord's environment, which is unknown here"
    known = one(tmp_path, "", command, SLOTS="4", MORE="-E", POOL="threads")
    assert known.command is not None
    assert known.command.values == {"queues": ["mail"], "concurrency": 4, "events": True, "pool": "threads"}


def test_variable_from_the_callers_environment_is_reported(tmp_path: Path) -> None:
    text = program('environment = OWN="1"', "%(ENV_VENV)s/celery -A x worker -Q %(ENV_OWN)s %(ENV_NONE)s")
    reading = read_text(
        tmp_path, text + program("", "%(ENV_OTHER)s", "web"), VENV="/env/bin", OTHER="/bin/web", OWN="2"
    )
    assert reading.programs[0].words == ("/env/bin/celery", "-A", "x", "worker", "-Q", "1")
    [remark] = reading.remarks
    assert (remark.place, remark.what, remark.doubtful) == (f"{tmp_path}/old.conf:2", "%(ENV_VENV)s", True)


EMBEDDED = """\
[supervisord]
pidfile = {directory}/supervisord.pid
logfile = {directory}/supervisord.log
childlogdir = {directory}

[program:celery]
command = /bin/celery -A %(ENV_APP)s worker
autostart = false
"""


@pytest.mark.supervisord
def test_variables_are_those_of_the_running_supervisord(tmp_path: Path) -> None:
    pid_file = tmp_path / "supervisord.pid"
    file = place(tmp_path, EMBEDDED.format(directory=tmp_path))
    words = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)]
    with subprocess.Popen(words, env={"APP": "real"}, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: pid_file.exists() and pid_file.read_text().strip(), "its pid file")
            reading = read([file], {"APP": "of the shell"}, NO_HOST)
        finally:
            process.terminate()
    assert (reading.programs[0].words[2], reading.remarks) == ("real", ())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("%(ENV_VENV)s/bin/celery -A mysite worker", ("celery", "-A", "mysite", "worker")),
        ("nice -n %(ENV_N)s /env/bin/celery -A mysite worker", ("/env/bin/celery", "-A", "mysite", "worker")),
        ("sh -c 'exec /env/bin/celery -A mysite worker %(ENV_X)s'", ("/env/bin/celery", "-A", "mysite", "worker")),
        ("/env/bin/celery -A mysite worker -b amqp://me:hunter22@%(ENV_HOST)s//", None),
    ],
)
def test_unknown_variable_in_any_place_leaves_the_program(
    tmp_path: Path, command: str, words: tuple[str, ...] | None
) -> None:
    found = one(tmp_path, "", command)
    assert found.command is not None
    assert found.words == (words or ("/env/bin/celery", "-A", "mysite", "worker"))
    assert "hunter22" not in repr(found.remarks)
    assert any(remark.doubtful for remark in found.remarks)


def test_unknown_user_and_directory_are_reported(tmp_path: Path) -> None:
    text = f"[program:celery]\ncommand={WORKER}\nuser=%(ENV_ME)s\ndirectory=%(ENV_HOME)s/src\nstopwaitsecs=%(ENV_S)s\n"
    [found] = read_text(tmp_path, text).programs
    assert (found.user, found.directory, found.stop.seconds) == (None, None, 10)
    assert {"user = %(ENV_ME)s", "directory = %(ENV_HOME)s/src", "stopwaitsecs = %(ENV_S)s"} <= consequences(
        found
    ).keys()


def test_program_whose_whole_command_is_unknown_cannot_be_imported(tmp_path: Path) -> None:
    [worker, web] = read_text(tmp_path, program("", "%(ENV_COMMAND)s") + program("", "%(ENV_X)s", "web")).programs
    assert worker.command is None
    assert (
        worker.problem
        == "its command has %(ENV_COMMAND)s, which comes from supervisord's environment, which is unknown here"
    )
    assert web.problem == ""


def test_option_that_supervisord_could_not_read_is_the_problem_of_its_program(tmp_path: Path) -> None:
    [bad, good] = read_text(tmp_path, program("", f"{WORKER} -n w@%h") + program("", WORKER, "shop")).programs
    assert bad.problem.startswith(f"{tmp_path}/old.conf:2: supervisord cannot read it: command is badly formatted")
    assert (bad.command, good.problem) == (None, "")
    [quoted] = read_text(tmp_path, program("", f"{WORKER} 'x")).programs
    assert "No closing quotation" in quoted.problem


def test_values_are_not_in_the_message_about_variables(tmp_path: Path) -> None:
    found = one(tmp_path, "environment = A=hunter22,B")
    assert f"{tmp_path}/old.conf:5" in found.problem
    assert "hunter22" not in found.problem


def test_value_of_supervisords_own_section_reaches_the_programs(tmp_path: Path) -> None:
    text = "[supervisord]\nuser = site\ndirectory = /srv/site\n[program:celery]\ncommand = /env/bin/celery -A x beat\n"
    [found] = read_text(tmp_path, text).programs
    assert (found.user, found.directory) == ("site", Path("/srv/site"))
    [found] = read_text(tmp_path, text.replace("[program", "nodaemon = true\n[program")).programs
    assert found.directory is None


# Several files --------------------------------------------------------------------------------------------------------


def test_main_file_brings_what_it_includes(tmp_path: Path) -> None:
    main = place(
        tmp_path,
        '[supervisord]\nenvironment=A="1"\n[include]\nfiles = %(here)s/conf.d/*.conf more/*.ini x/*\n',
        "supervisord.conf",
    )
    one = place(tmp_path, program("", "%(here)s/celery -A x worker"), "conf.d/one.conf")
    two = place(tmp_path, program("", WORKER, "two"), "more/two.ini")
    place(tmp_path, program("", WORKER, "three"), "conf.d/three.off")
    reading = read([main], {}, NO_HOST)
    assert [(each.name, each.file, each.environment) for each in reading.programs] == [
        ("catmaid-celery", one, {"A": "1"}),
        ("two", two, {"A": "1"}),
    ]
    assert reading.programs[0].words[0] == f"{tmp_path}/conf.d/celery"
    assert reading.files == (main, one, two)
    assert reading.remarks == (Remark(f"{main}:4", "[include] files = x/*", "no file matches it", doubtful=True),)


def test_here_is_only_replaced_after_a_percent_sign_if_files_are_included(tmp_path: Path) -> None:
    text = "[supervisord]\n[program:a]\ncommand=/bin/a %%(here)s %(here)s\n"
    [found] = read_text(tmp_path, text).programs
    assert found.words == ("/bin/a", "%(here)s", str(tmp_path))
    [found] = read_text(tmp_path, f"{text}[include]\nfiles=x/*\n").programs
    assert found.problem.startswith(f"{tmp_path}/old.conf:3: supervisord cannot read it")


def test_file_gets_the_settings_of_the_main_file_that_includes_it(tmp_path: Path) -> None:
    place(tmp_path, '[supervisord]\nenvironment=A="1"\n[include]\nfiles = conf.d/*.conf\n', "supervisord.conf")
    file = place(tmp_path, program("stopwaitsecs = 5"), "conf.d/a.conf")
    place(tmp_path, f"[program:catmaid-celery]\nstopwaitsecs = 700\n{program(name='other')}", "conf.d/b.conf")
    place(tmp_path, "not a line\n", "conf.d/c.conf")
    reading = read([file], {}, NO_HOST)
    [found] = reading.programs
    assert (found.environment, found.values["stop_timeout_seconds"]) == ({"A": "1"}, 700)
    assert (found.file, found.line) == (file, 1)
    assert "has a section of the same name" in consequences(found)["[program:catmaid-celery]"]
    assert [remark.what for remark in reading.remarks] == ["c.conf"]


def test_supervisord_of_the_host_is_found(tmp_path: Path) -> None:
    include = f'[supervisord]\nenvironment=A="%(ENV_B)s"\n[include]\nfiles = {tmp_path}/srv/*.conf\n'
    place(tmp_path, include, "root/etc/supervisor/supervisord.conf")
    file = place(tmp_path, program(), "srv/a.conf")
    [found] = read([file], {"B": "2"}, tmp_path / "root").programs
    assert found.environment == {"A": "2"}


def test_files_of_one_project_are_read_together(tmp_path: Path) -> None:
    one, two = place(tmp_path, program(), "a/1.conf"), place(tmp_path, program(name="two"), "b/2.conf")
    for given in ([one, two], [tmp_path / "a", tmp_path / "b"], [Path(f"{tmp_path}/?/[0-9].conf")], [one, two, one]):
        assert [each.name for each in read(given, {}, NO_HOST).programs] == ["catmaid-celery", "two"]


def test_files_with_one_program_each_keep_their_own_names(tmp_path: Path) -> None:
    options = "directory = /srv/site\nuser = site\n"
    worker = "/srv/site/venv/bin/celery -A site worker -Q mail,celery -c 3 -n %%h"
    beat = "/srv/site/venv/bin/celery -A site beat -s /var/lib/site/schedule"
    one_ = place(
        tmp_path, f"[program:celery]\ncommand = {worker}\n{options}stopwaitsecs=900\nkillasgroup=1\n", "1.conf"
    )
    two = place(tmp_path, f"[program:celerybeat]\ncommand = {beat}\n{options}", "2.conf")
    reading = read([two, one_], {}, NO_HOST)
    celerybeat, celery = reading.programs
    assert celery.command is not None
    assert celerybeat.command is not None
    assert celery == Existing(
        label="[program:celery]",
        name="celery",
        file=one_,
        line=1,
        words=tuple(worker.replace("%%", "%").split()),
        command=celery.command,
        directory=Path("/srv/site"),
        user="site",
        values={"stop_timeout_seconds": 900},
        stop=Stop("TERM", 900, "main", "on-failure"),
        source=Adoptable("supervisor", str(one_), "celery"),
    )
    assert celery.command.values == {"queues": ["mail", "celery"], "concurrency": 3, "hostname": "celery@%h"}
    assert celerybeat == Existing(
        label="[program:celerybeat]",
        name="celerybeat",
        file=two,
        line=1,
        words=tuple(beat.split()),
        command=celerybeat.command,
        directory=Path("/srv/site"),
        user="site",
        stop=Stop("TERM", 10, "main", "on-failure"),
        source=Adoptable("supervisor", str(two), "celerybeat"),
    )
    assert celerybeat.command.schedule_file == "/var/lib/site/schedule"
    assert (reading.remarks, reading.files) == ((), (two, one_))


def test_supervisord_without_include_reads_no_other_file(tmp_path: Path) -> None:
    alone = place(tmp_path, f'[supervisord]\nenvironment=A="1"\n{program()}', "a.conf")
    other = place(tmp_path, program(name="two"), "b.conf")
    assert [each.environment for each in read([alone, other], {}, NO_HOST).programs] == [{"A": "1"}, {}]


def test_given_files_belong_to_the_given_main_file_whose_patterns_match_elsewhere(tmp_path: Path) -> None:
    main = place(tmp_path, '[supervisord]\nenvironment=A="1"\n[include]\nfiles = /nonexistent/*.conf\n', "all.conf")
    other = place(tmp_path, program(name="two"), "b.conf")
    assert [each.environment for each in read([main, other], {}, NO_HOST).programs] == [{"A": "1"}]


def test_unknown_variable_in_include_is_reported(tmp_path: Path) -> None:
    main = place(tmp_path, f"{program()}[include]\nfiles = %(ENV_CONF)s/*.conf\n")
    [remark] = read([main], {}, NO_HOST).remarks
    assert "the value of CONF in supervisord's environment is unknown" in remark.consequence


def test_files_in_a_directory_that_are_not_supervisords_are_passed_over(tmp_path: Path) -> None:
    place(tmp_path, "server {\n listen 80;\n}\n", "nginx.conf")
    with pytest.raises(ProcmanError, match="no file of supervisord found"):
        read([tmp_path], {}, NO_HOST)
    place(tmp_path, program(), "celery.ini")
    assert len(read([tmp_path], {}, NO_HOST).programs) == 1


@pytest.mark.parametrize("kind", ["missing", "fifo", "huge", "binary", "malformed", "pattern", "group"])
def test_file_that_cannot_be_read_is_an_error(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "old.conf"
    messages = {
        "missing": "does not exist",
        "fifo": "not a regular file",
        "huge": "larger than",
        "binary": "NUL byte",
        "malformed": r"old.conf:3: supervisord cannot read it: .* and 1 more like it",
        "pattern": "no file of supervisord found",
        "group": "old.conf:3: supervisord cannot read it",
    }
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "huge":
            file.write_text("#" * (1 << 20) + "\n")
        case "binary":
            file.write_text(program("umask = \0"))
        case "malformed":
            file.write_text("[program:x]\ncommand=x\noops\nworse\n")
        case "group":
            file.write_text("[group:x]\nprograms=a,b\npriority 3\n")
        case "pattern":
            file = tmp_path / "*.conf"
    with pytest.raises(ProcmanError, match=messages[kind]):
        read([file], {}, NO_HOST)


# The options ----------------------------------------------------------------------------------------------------------


def test_options_of_supervisord_become_keys(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        "stopwaitsecs = 1800\nautostart = false\nstartsecs = 20\numask = 027\nstdout_logfile_maxbytes = 20MB\n"
        "stdout_logfile_backups = 3\npriority = 5\nstdout_syslog = true\nautorestart = true\nstopasgroup = false\n",
        f"{WORKER} -Q crop,default -c 2",
    )
    assert found.values == {
        "stop_timeout_seconds": 1800,
        "autostart": False,
        "start_seconds": 20,
        "umask": "027",
        "log_max_mib": 20,
        "log_backups": 3,
    }
    assert found.supervisor_options == {"priority": 5, "stdout_syslog": True}
    assert (found.stop, found.remarks) == (Stop("TERM", 1800, "main", "always"), ())


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("stopasgroup = true", "kills the tasks that they run"),
        ("killasgroup = false", "leaves its pool processes behind"),
        ("autorestart = unexpected", "must be restarted, whatever its exit status"),
        ("stopsignal = QUIT", "procman relies on TERM"),
        ("stopsignal = USR2", "procman relies on TERM"),
        ("stopsignal = SIGINT", "on which Celery finishes its running tasks too"),
        ("stopsignal = 2", "on which Celery finishes its running tasks too"),
        ("startsecs = 1", "would count as started"),
        ("startretries = 3", "so that the broker can recover"),
        ("exitcodes = 0,2", "whatever its exit status"),
        ("group = www-data", "unknown option, which supervisord ignores"),
        ("stdout_logfile_maxbytes = 0", "fills the disk"),
        ("stopwaitsecs = soon", "stop_timeout_seconds cannot have this value"),
        ("stopwaitsecs = 999999999", "stop_timeout_seconds cannot have this value"),
        ("umask = 7", "umask cannot have this value"),
        ("stdout_capture_maxbytes = lots", "expected a number of bytes"),
    ],
)
def test_option_is_not_imported_with_the_reason(tmp_path: Path, option: str, reason: str) -> None:
    found = one(tmp_path, option)
    assert reason in consequences(found)[option]
    assert [remark.place for remark in found.remarks if remark.what == option] == [f"{tmp_path}/old.conf:5"]


@pytest.mark.parametrize("option", ["stopwaitsecs", "startsecs", "priority", "numprocs", "stopsignal", "user"])
def test_number_without_bounds_is_not_imported(tmp_path: Path, option: str) -> None:
    found = one(tmp_path, f"{option} = {'9' * 5000}")
    assert found.command
    assert (found.values, found.supervisor_options) == ({}, {})


def test_stop_that_reaches_the_pool_is_harmless_with_int(tmp_path: Path) -> None:
    found = one(tmp_path, "stopsignal = INT\nstopasgroup = true")
    assert found.stop == Stop("INT", 10, "group", "on-failure")
    assert "the pool processes ignored INT" in consequences(found)["stopasgroup = true"]


@pytest.mark.parametrize(
    ("seconds", "becomes", "is_noted"), [(10, None, True), (599, None, True), (600, 600, False), (1800, 1800, False)]
)
def test_stop_timeout_shorter_than_the_default_is_not_imported(
    tmp_path: Path, seconds: int, becomes: int | None, is_noted: bool
) -> None:
    found = one(tmp_path, f"stopwaitsecs = {seconds}")
    assert found.values.get("stop_timeout_seconds") == becomes
    assert (f"stopwaitsecs = {seconds}" in consequences(found)) == is_noted


@pytest.mark.parametrize(
    ("options", "command", "reaches"),
    [
        ("", "sh -c 'cd /srv; {}'", "shell"),
        ("", "sh -c 'cd /srv; exec {}'", "main"),
        ("", "bash -c 'cd /srv; {}'", "main"),
        ("stopasgroup = true", "sh -c 'cd /srv; {}'", "group"),
    ],
)
def test_stop_reaches_only_a_shell_without_exec(tmp_path: Path, options: str, command: str, reaches: str) -> None:
    found = one(tmp_path, options, command.format(WORKER))
    assert found.stop.reaches == reaches
    assert ("a shell without exec" in consequences(found)) == (reaches == "shell")


def test_celery_multi_under_supervisord_cannot_be_imported(tmp_path: Path) -> None:
    found = one(tmp_path, "", "/env/bin/celery multi start w1 w2 -A mysite")
    assert "where supervisord loses them" in found.problem


def test_logs_of_all_programs_are_reported_once(tmp_path: Path) -> None:
    log = "redirect_stderr = true\nstdout_logfile = /opt/%(program_name)s.log"
    reading = read_text(tmp_path, program(log) + program(f"{log}\nstderr_logfile = /x", WORKER, "two"))
    assert all("logfile" not in remark.what for each in reading.programs for remark in each.remarks)
    [remark] = reading.remarks
    assert remark.what == "stderr_logfile, stdout_logfile"
    assert "root opens the log" in remark.consequence


def test_group_of_celery_programs_is_reported(tmp_path: Path) -> None:
    groups = "[group:catmaid]\nprograms = catmaid-celery,web\n[group:x]\nprograms = web\n"
    web = program("", "/bin/web %(group_name)s", "web")
    reading = read_text(tmp_path, program("", f"{WORKER} -n %(group_name)s@%%h") + web + groups)
    assert [(remark.place, remark.what) for remark in reading.remarks] == [
        (f"{tmp_path}/old.conf:11", "[group:catmaid]")
    ]
    assert reading.programs[0].words[-1] == "catmaid@%h"


def test_other_programs_are_kept_as_such(tmp_path: Path) -> None:
    text = (
        "[fcgi-program:web]\nsocket = tcp://localhost:1\ncommand = /bin/web --fd 0\n"
        "[eventlistener:mail]\ncommand = /bin/mail\nevents = TICK_60\n[program:none]\nuser = x\n[rpcinterface:x]\na=b\n"
    )
    found = read_text(tmp_path, text).programs
    assert [(each.label, each.words) for each in found] == [
        ("[fcgi-program:web]", ("/bin/web", "--fd", "0")),
        ("[eventlistener:mail]", ("/bin/mail",)),
        ("[program:none]", ()),
    ]
    assert [(each.command, each.problem) for each in found] == [(None, "")] * 3


def test_duplicate_section_is_one_program(tmp_path: Path) -> None:
    [found] = read_text(
        tmp_path,
        "[DEFAULT]\numask = 027\n" + program("stopwaitsecs = 5") + "[program:catmaid-celery]\nstopwaitsecs=700\n",
    ).programs
    assert found.values == {"stop_timeout_seconds": 700, "umask": "027"}


# Several processes ----------------------------------------------------------------------------------------------------

NUMBERED = "numprocs = 3\nnumprocs_start = 1\nprocess_name = %(program_name)s_%(process_num)02d"


def test_processes_that_differ_in_their_node_name_become_instances(tmp_path: Path) -> None:
    found = one(tmp_path, NUMBERED, f"{WORKER} -n w%(process_num)s@%%h")
    assert found.values["instances"] == 3
    assert found.command is not None
    assert "hostname" not in found.command.values
    assert "procman numbers the node names" in consequences(found)["-n w1@%h"]
    alike = one(tmp_path, NUMBERED, f"{WORKER} -n w@%%h")
    assert alike.command is not None
    assert alike.command.values["hostname"] == "w@%h"


@pytest.mark.parametrize("option", ['environment = SHARD="%(process_num)d"', "directory = /srv/%(process_num)d"])
def test_processes_that_differ_in_more_become_programs(tmp_path: Path, option: str) -> None:
    text = f"[program:mail]\ncommand = {WORKER}\n{NUMBERED}\n{option}\n"
    found = read_text(tmp_path, text).programs
    assert [each.name for each in found] == ["mail_01", "mail_02", "mail_03"]
    assert all("instances" not in each.values for each in found)
    assert len({(each.environment.get("SHARD"), each.directory) for each in found}) == 3
    assert {each.source for each in found} == {Adoptable("supervisor", f"{tmp_path}/old.conf", "mail")}


def test_more_processes_than_any_host_runs_are_a_problem(tmp_path: Path) -> None:
    found = one(tmp_path, "numprocs = 100000\nprocess_name = x%(process_num)s")
    assert "more than 1000 processes" in found.problem


def test_more_processes_of_all_programs_than_any_host_runs_are_an_error(tmp_path: Path) -> None:
    text = "".join(program("numprocs = 1000\nprocess_name = x%(process_num)s", name=f"p{at}") for at in range(6))
    with pytest.raises(ProcmanError, match="6000 processes of supervisord are more than 5000"):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    "value",
    ["%(ENV_BIG)s" * 5000, "%(program_name)99999999999s", "%(program_name).99999999999s"],
    ids=["repeated", "width", "precision"],
)
def test_value_that_expands_without_bounds_is_a_problem(tmp_path: Path, value: str) -> None:
    found = one(tmp_path, f'environment = BIG="{"x" * 100_000}"', f"/env/bin/celery worker {value}")
    assert "command becomes longer than" in found.problem


def test_beat_has_no_instances(tmp_path: Path) -> None:
    found = one(tmp_path, NUMBERED, "/env/bin/celery -A mysite beat")
    assert found.command is not None
    assert found.command.kind is Kind.BEAT
    assert "instances" not in found.values
    assert consequences(found)["numprocs = 3"] == "a second beat would send every task twice"
    assert "stopwaitsecs" not in consequences(found)
