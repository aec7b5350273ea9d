"""Processes that procman spawns."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.subprocesses import CLEAN_ENVIRONMENT, MAX_BYTES, Completed, capture, stream


def lines(script: str) -> list[str]:
    return list(stream(["sh", "-c", script], environment=CLEAN_ENVIRONMENT))


def test_stream_yields_lines_unchanged() -> None:
    assert lines("printf 'one\\ntwo \\374\\nthree'") == ["one\n", "two \\xfc\n", "three"]


def test_stream_yields_a_line_before_the_process_ends() -> None:
    running = stream(["sh", "-c", "echo first; sleep 60"], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "first\n"
    running.close()


def test_closed_stream_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; echo ready; wait"
    running = stream(["sh", "-c", script], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "ready\n"
    running.close()
    for pid in map(int, pids.read_text().split()):
        assert any(_is_gone(pid) for _ in itertools.repeat(None, 100))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    time.sleep(0.05)
    return state == "Z"


def test_stream_of_a_failed_process_raises_its_last_lines() -> None:
    running = stream(["sh", "-c", "echo out; echo because >&2; exit 3"], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "out\n"
    with pytest.raises(ProcmanError, match="exited with status 3") as raised:
        next(running)
    assert raised.value.hint == "because"


def test_process_that_a_signal_killed_is_reported_with_the_signal() -> None:
    with pytest.raises(ProcmanError, match=r"kill -9 \$\$ was killed by signal 9$"):
        capture(["sh", "-c", "kill -9 $$"], environment=CLEAN_ENVIRONMENT, timeout=30).checked()


def test_stream_of_a_missing_command_is_an_error() -> None:
    with pytest.raises(ProcmanError, match="cannot run"):
        list(stream(["/nowhere"], environment={}))


def test_signal_to_the_caller_does_not_reach_the_stream() -> None:
    running = stream(["sh", "-c", "echo $$; sleep 60"], environment=CLEAN_ENVIRONMENT)
    pid = int(next(running))
    assert os.getpgid(pid) != os.getpgid(0)
    running.close()


def run_shell(script: str, *, stdin: str = "", timeout: float = 30) -> Completed:
    return capture(["sh", "-c", script], environment=CLEAN_ENVIRONMENT, stdin=stdin, timeout=timeout)


def test_capture_returns_both_streams_and_the_status() -> None:
    done = run_shell("cat; printf 'because \\374' >&2; exit 3", stdin="täst" * 50_000)
    assert (done.status, done.stdout, done.stderr) == (3, "täst" * 50_000, "because \\xfc")


@pytest.mark.root("only root can become another user")
def test_root_enters_no_directory_that_is_closed_to_the_user(tmp_path: Path) -> None:
    inner = tmp_path / "closed/inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    for directory, output in ((inner, ""), (Path("/usr"), "/usr a b\n")):
        done = capture(
            ["sh", "-c", 'echo "$PWD $*"', "sh", "a b"],
            environment=CLEAN_ENVIRONMENT,
            directory=directory,
            user="nobody",
            timeout=5,
        )
        assert (done.stdout, done.status == 0) == (output, output != "")


def test_capture_of_a_process_that_ignores_stdin_and_prints_much_ends() -> None:
    done = run_shell("exec <&-; head -c 1000000 /dev/zero | tr '\\0' x", stdin="y" * 1_000_000)
    assert done.stdout == "x" * 1_000_000


@pytest.mark.parametrize("stream", [1, 2])
def test_process_that_prints_too_much_is_killed(tmp_path: Path, stream: int) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ProcmanError, match="printed more than 8 MiB and was killed"):
        run_shell(f"echo $$ > {pid}; exec yes >&{stream}")
    assert any(_is_gone(int(pid.read_text())) for _ in itertools.repeat(None, 100))
    assert MAX_BYTES == 8 * 1024**2


def test_output_is_complete_although_a_process_that_was_left_behind_has_it_open() -> None:
    done = run_shell("sleep 60 & echo $!; exit 3", timeout=20)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.status == 3


@pytest.mark.parametrize("script", ["sleep 60", "exec >&- 2>&-; sleep 60", "yes | cat > /dev/null"])
def test_process_that_exceeds_the_timeout_is_killed(script: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ProcmanError, match=r"did not finish within 0\.5 s and was killed"):
        run_shell(script, timeout=0.5)
    assert time.monotonic() - begun < 20


def test_error_of_a_command_shows_no_password_and_no_endless_line() -> None:
    script = "echo amqp://me:hunter22@h >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3"
    with pytest.raises(ProcmanError) as error:
        capture(["sh", "-c", script, "--token", "hunter22"], environment=CLEAN_ENVIRONMENT, timeout=30).checked()
    assert "hunter22" not in error.value.message + error.value.hint
    assert "amqp://me:***@h" in error.value.hint
    assert len(error.value.hint) < 3000
