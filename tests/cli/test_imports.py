"""What the command line imports, which takes most of its time: a budget that needs no clock."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

# Runs the command line as the console script does, and prints garbage collections and imports to stderr.
COUNTING = """
import gc, sys
before = sum(generation["collections"] for generation in gc.get_stats())
from procman.__main__ import main
try:
    main()
finally:
    print("collections", sum(generation["collections"] for generation in gc.get_stats()) - before, file=sys.stderr)
    print(*sys.modules, file=sys.stderr)
"""


def imported(statements: str) -> set[str]:
    """Return the modules that Python has imported after `statements`."""
    words = [sys.executable, "-c", f"import sys; {statements}; print(*sys.modules)"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


@cache
def imported_by_click() -> set[str]:
    """Return what Python and Click import themselves, which is more on Python 3.10."""
    return imported("import click")


def run(*arguments: str) -> tuple[set[str], int]:
    """Return the modules that `procman ARGUMENTS` imports, and the number of garbage collections."""
    done = subprocess.run([sys.executable, "-c", COUNTING, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [collections, modules] = done.stderr.splitlines()[-2:]
    return set(modules.split()), int(collections.split()[1])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_little_beside_click(option: str) -> None:
    modules, _ = run(option)
    assert "click" in modules
    heavy = {"jinja2", "psutil", "subprocess", "supervisor", "tomli", "tomllib", "xmlrpc", "procman.model"}
    assert not (modules - imported_by_click()) & heavy


def test_start_collects_no_garbage() -> None:
    # Once at most, before procman sets the threshold.
    assert run("--help")[1] <= 1


LISTED = {
    "status": ("cli.status", "backends.supervisor.controller", "monitoring.checks.quick", "monitoring.program_view"),
    "health": ("cli.health", "monitoring.health", "backends.supervisor.controller", "output.nagios"),
}
"""The commands that monitoring calls every minute, and what each imports, directly or when it is called."""


@pytest.mark.parametrize("command", LISTED)
def test_commands_that_monitoring_calls_import_nothing_slow_that_is_seldom_needed(command: str) -> None:
    statements = [f"import procman.{part}" for part in ("cli.main", *LISTED[command])]
    modules = imported("; ".join(statements))
    assert {"click", "socket", "procman.model"} <= modules
    heavy = {
        "jinja2",
        "psutil",
        "subprocess",
        "supervisor",
        "tomli",
        "tomllib",
        "xmlrpc",
        "http",
        "ssl",
        "urllib.request",
    }
    names = ("project", "launch", "config.load", "config.keys", "templating", "probes.app_script", "probes.broker")
    for_old_heartbeats = ("host.inactivity", "host.write_problem", "monitoring.healing_history")
    for_others = ("monitoring.seen_states", "host.file_locks", "monitoring.every_project", "output.every_project")
    for_some = ("backends.base", "cli.watch", "monitoring.program_page", "output.program_page")
    for_ends = ("backends.run_history", "backends.supervisor.log_records", "backends.reporter")
    ours = {f"procman.{name}" for name in (*names, *for_old_heartbeats, *for_others, *for_some, *for_ends)}
    seldom = {
        "base64",
        "struct",
        "hashlib",
        "secrets",
        "tempfile",
        "configparser",
        "concurrent.futures",
        "urllib.request",
        "queue",
    }
    assert not (modules - imported_by_click()) & (heavy | ours | seldom)
