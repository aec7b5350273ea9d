"""R2: a second install changes nothing; after an interruption one more run ends with the same files and programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.product import DEMO, Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PROGRAMS = "[worker.celery]\nconcurrency = 1\n[beat]"


def everything_below(directory: Path) -> dict[Path, tuple[int, int, bytes]]:
    """Return inode, time of change and content of procman's files, without logs and the files of programs."""
    return {
        path: (path.lstat().st_ino, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in directory.rglob("*")
        if not {"log", "run", "data", "supervisor"} & set(path.relative_to(directory).parts[:-1])
        and path.name not in ("supervisor", "lock")
    }


def test_second_install_writes_nothing_and_restarts_nothing(product: Product) -> None:
    product.configure(PROGRAMS)
    product.procman("install", "--wait", "60")
    files = everything_below(product.directory / "s/procman") | everything_below(product.directory / "c")
    pids = {name: each["pid"] for name, each in product.status().items()}
    again = product.procman("install")
    assert again.stdout == "catmaid: nothing changed (generation 1)\n"
    assert everything_below(product.directory / "s/procman") | everything_below(product.directory / "c") == files
    assert {name: each["pid"] for name, each in product.status().items()} == pids


def test_install_killed_while_a_task_finishes_is_completed_by_the_next(product: Product) -> None:
    product.configure(PROGRAMS)
    product.procman("install", "--wait", "60")
    before = {name: each["pid"] for name, each in product.status().items()}
    # It runs longer than the install takes to begin.
    product.send("hold", 1, 15)
    eventually(lambda: product.counted("started") == {1: 1}, "the task has started")
    product.configure(PROGRAMS.replace("concurrency = 1", "concurrency = 2"))
    command = [sys.executable, "-m", "procman", "--config", str(product.configuration), "install", "--no-check"]
    with subprocess.Popen(command, env=product.environment, cwd=product.directory) as install:
        eventually(lambda: product.status()["catmaid-celery"]["state"] == "STOPPING", "the worker finishes its task")
        install.send_signal(signal.SIGKILL)
    assert "restart catmaid-celery" in product.procman("status", check=False).stdout
    product.procman("install", "--wait", "60")
    assert product.counted("finished") == {1: 1}
    after = product.status()
    assert after["catmaid-celery"]["children"] == 2
    assert after["catmaid-celery-beat"]["pid"] == before["catmaid-celery-beat"]
    assert "in sync" in product.procman("status").stdout


def test_only_a_program_whose_files_changed_is_restarted(product: Product) -> None:
    """R5."""
    product.configure(PROGRAMS + "\n[worker.crop]\nqueues = ['crop']\nconcurrency = 1")
    product.procman("install", "--wait", "60")
    before = {name: each["pid"] for name, each in product.status().items()}
    product.configure(PROGRAMS + "\n[worker.crop]\nqueues = ['crop', 'tiles']\nconcurrency = 1")
    product.procman("install", "--wait", "60")
    after = {name: each["pid"] for name, each in product.status().items()}
    assert [name for name in before if before[name] != after[name]] == ["catmaid-crop"]


def test_changed_comments_are_written_and_restart_nothing(product: Product) -> None:
    """R5."""
    templates = product.directory / "templates" / "supervisor"
    templates.mkdir(parents=True)
    for name in ("program.conf.j2", "start.sh.j2"):
        shutil.copy(DEMO.parent / "templates" / "supervisor" / name, templates)
    project = f'templates = "{templates.parent}"'
    product.configure(PROGRAMS, project=project)
    product.procman("install", "--wait", "60")
    before = {name: each["pid"] for name, each in product.status().items()}
    for template in templates.iterdir():
        template.write_text(
            template.read_text().replace("# {{ marker", "# Our own.\n# {{ marker").replace("; {{", "; #\n; {{")
        )
    assert "+# Our own." in product.procman("diff", "-v").stdout
    product.procman("install")
    assert {name: each["pid"] for name, each in product.status().items()} == before
    assert product.procman("install").stdout == "catmaid: nothing changed (generation 2)\n"
    assert "in sync" in product.procman("status").stdout


def test_changed_environment_file_makes_a_restart_due_and_restarts_nothing(product: Product) -> None:
    """R5."""
    secrets = product.directory / "celery.env"
    secrets.write_text("SOME_PASSWORD=old\n")
    product.configure("[worker.celery]\nconcurrency = 1")
    text = product.configuration.read_text()
    product.configuration.write_text(text.replace("[environment]", f'environment_file = "{secrets}"\n[environment]', 1))
    product.procman("install", "--wait", "60")
    [before] = product.status().values()
    assert before["restart_due"] is None
    secrets.write_text("SOME_PASSWORD=new\n")
    later = before["since"] + 2
    os.utime(secrets, (later, later))
    product.procman("install")
    [due] = product.status().values()
    assert (due["pid"], due["restart_due"]) == (before["pid"], "the environment file is newer")
    product.procman("restart")
    [after] = product.status().values()
    assert psutil.Process(after["pid"]).environ()["SOME_PASSWORD"] == "new"


def test_program_that_is_no_longer_configured_finishes_its_task_and_is_removed(product: Product) -> None:
    product.configure(PROGRAMS + "\n[worker.crop]\nqueues = ['crop']\nconcurrency = 1")
    product.procman("install", "--wait", "60")
    product.send("hold", 1, 4, queue="crop")
    eventually(lambda: product.counted("started") == {1: 1}, "the task has started")
    product.configure(PROGRAMS)
    removed = product.procman("install")
    assert "catmaid-crop: stopped and unloaded" in removed.stdout
    assert product.counted("finished") == {1: 1}
    assert "catmaid-crop" not in product.status()
    assert not [path for path in product.directory.rglob("catmaid-crop.*") if path.suffix in (".conf", ".sh")]


def test_program_stopped_on_purpose_is_not_started_by_an_install(product: Product) -> None:
    """R11."""
    product.configure("[worker.celery]\nconcurrency = 1\n[worker.crop]\nqueues = ['crop']\nconcurrency = 1")
    product.procman("install", "--wait", "60")
    product.supervisorctl("stop", "catmaid-crop")
    log = product.directory / "s/procman/catmaid/log/catmaid-crop.log"
    starts = log.read_text().count(" ready.")
    product.configure("[worker.celery]\nconcurrency = 1\n[worker.crop]\nqueues = ['crop', 'more']\nconcurrency = 1")
    changed = product.procman("install", "--wait", "60")
    assert "catmaid-crop: left stopped" in changed.stdout
    assert product.status()["catmaid-crop"]["state"] == "STOPPED"
    assert not product.main_processes("catmaid-crop@")
    assert log.read_text().count(" ready.") == starts
    product.procman("start", "crop")
    eventually(lambda: bool(product.main_processes("catmaid-crop@")), "it runs")
    [pid] = product.main_processes("catmaid-crop@")
    assert "crop,more" in psutil.Process(pid).cmdline()
