"""Lines that look wrong, but lose no task: `check --lint` does not report them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from procman.model import Level
from tests.lint.valid_files import VALID_SECTION, VALID_UNIT, codes, judged

TRAPS = """\
#!/bin/bash
drain() { kill -TERM "$child"; exit 0; }
trap drain TERM
"$@" &
child=$!
wait "$child"
"""


@pytest.mark.parametrize(
    ("signal", "pool", "expected"),
    [("TERM", "prefork", ["PM901"]), ("INT", "prefork", []), ("SIGINT", "prefork", []), ("TERM", "gevent", [])],
)
def test_signal_to_the_group_is_critical_only_if_it_ends_pool_processes(
    tmp_path: Path, signal: str, pool: str, expected: list[str]
) -> None:
    text = VALID_SECTION.replace("-l info", f"-P {pool}").replace(
        "killasgroup", f"stopsignal={signal}\nstopasgroup=true\nkillasgroup"
    )
    assert codes(judged(tmp_path, text)) == expected
    unit = VALID_UNIT.replace("-l info", f"-P {pool}").replace(
        "KillMode=mixed", f"KillMode=control-group\nKillSignal={signal}"
    )
    assert codes(judged(tmp_path, unit, "site.service")) == [code.replace("1", "6") for code in expected]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("site.conf", VALID_SECTION.replace("startretries=1000", "startretries=%(ENV_RETRIES)s")),
        ("site.conf", VALID_SECTION.replace("startsecs=10", f"startsecs={'9' * 5000}")),
        ("site.service", VALID_UNIT.replace("=15min", "=1.2.3")),
        ("site.service", VALID_UNIT.replace("=15min", "=0")),
        ("site.service", VALID_UNIT.replace("=15min", "=5\nTimeoutSec=15min")),
    ],
    ids=["a variable", "thousands of digits", "no number", "no limit for systemd", "a later line"],
)
def test_number_that_limits_nothing_is_no_fault(tmp_path: Path, name: str, text: str) -> None:
    assert judged(tmp_path, text, name) == []


def test_worker_without_pool_processes_leaves_none_behind(tmp_path: Path) -> None:
    text = VALID_SECTION.replace("-l info", "--pool=threads").replace("killasgroup=true\n", "")
    assert codes(judged(tmp_path, text)) == []


@pytest.mark.parametrize(("what", "expected"), [("worker", ["PM906"]), ("beat", [])])
def test_beat_has_no_pool_processes(tmp_path: Path, what: str, expected: list[str]) -> None:
    unit = VALID_UNIT.replace("worker", what).replace("KillMode=mixed", "KillMode=process")
    assert codes(judged(tmp_path, unit, "site.service")) == expected


def behind(script: Path, content: str, text: str = VALID_SECTION) -> str:
    script.write_text(content)
    return text.replace("/opt/env", f"{script} /opt/env")


SHELL = '#!/bin/sh\n"$@"\n'


def test_timeout_is_not_reported_beside_a_shell_that_ends_a_stop_at_once(tmp_path: Path) -> None:
    short = VALID_SECTION.replace("stopwaitsecs=900\n", "").replace("killasgroup=true\n", "")
    [found] = judged(tmp_path, behind(tmp_path / "start", SHELL, short))
    assert found.code == "PM905"
    assert (
        found.remedy
        == "begin the last command with exec; then also stopwaitsecs=600, or as long as the longest task takes"
    )
    assert codes(judged(tmp_path, behind(tmp_path / "start", '#!/bin/sh\nexec "$@"\n', short))) == ["PM902", "PM903"]


@pytest.mark.parametrize(
    ("options", "expected", "why"),
    [
        ("", "PM905", "keeps running as an orphan"),
        ("stopsignal=INT\n", "PM905", "after stopwaitsecs both are killed"),
        ("stopasgroup=true\n", "PM905", "while the first still stops"),
        ("stopasgroup=true\nstopsignal=INT\n", "", ""),
    ],
)
def test_signal_to_the_group_reaches_celery_behind_a_shell(
    tmp_path: Path, options: str, expected: str, why: str
) -> None:
    found = [each for each in judged(tmp_path, behind(tmp_path / "start", SHELL) + options) if each.code == "PM905"]
    assert codes(found) == [expected] * bool(expected)
    assert all(why in each.why for each in found)


def test_script_that_handles_the_signal_itself_is_a_warning(tmp_path: Path) -> None:
    [found] = judged(tmp_path, behind(tmp_path / "start", TRAPS, VALID_SECTION.replace("=900", "=60")))
    assert (found.code, found.level) == ("PM905", Level.WARNING)
    assert "passes the signal on and waits" in found.why


CHILD = """\
import os, signal, sys, time
def stop(*_):
    time.sleep(0.05)
    sys.exit(open(sys.argv[1], "w").write(str(os.getppid())) and 0)
signal.signal(signal.SIGINT, stop)
print(flush=True)
signal.pause()
"""


@pytest.mark.parametrize("name", ["sh", "bash"])
def test_shell_acts_on_int_only_once_its_child_has_exited(tmp_path: Path, name: str) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    script = f"{sys.executable} -I {tmp_path}/child.py {tmp_path}/parent\n:"
    shell = subprocess.Popen([name, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert shell.stdout
    with shell:
        shell.stdout.read(1)
        os.killpg(shell.pid, signal.SIGINT)
    assert (tmp_path / "parent").read_text() == str(shell.pid)


@pytest.mark.root("only root can give a directory away")
def test_log_that_supervisord_ignores_is_not_judged(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    shutil.chown(logs, "nobody")
    text = VALID_SECTION.replace("stdout_logfile=/var/log/site.log", f"stderr_logfile={logs}/site.log")
    assert codes(judged(tmp_path, text)) == ["PM924"]
    assert codes(judged(tmp_path, f"{text}redirect_stderr=true\n")) == []


def test_supervisord_ignores_the_file_of_a_stream_that_it_joins(tmp_path: Path) -> None:
    file = tmp_path / "supervisord.conf"
    file.write_text(
        f"[supervisord]\n[program:a]\ncommand=/bin/true\nstderr_logfile={tmp_path}/a.log\nredirect_stderr=true\n"
    )
    options = ServerOptions()
    options.realize(["-c", str(file)])
    [group] = options.process_group_configs
    assert group.process_configs[0].stderr_logfile is None


@pytest.mark.root("only root can give a directory away")
def test_log_is_judged_by_the_user_of_supervisord(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    shutil.chown(logs, "nobody")
    text = VALID_SECTION.replace("/var/log/site.log", f"{logs}/site.log")
    assert codes(judged(tmp_path, f"[supervisord]\nuser=nobody\n{text}")) == []


def test_group_is_not_taken_for_another_option(tmp_path: Path) -> None:
    [found] = judged(tmp_path, f"{VALID_SECTION}group=www-data\n")
    assert (found.code, found.remedy) == ("PM941", "remove the line: a program gets the groups of its user")
    [found] = judged(tmp_path, f"{VALID_SECTION}stopasgrup=false\n")
    assert found.remedy == "did you mean stopasgroup?"
