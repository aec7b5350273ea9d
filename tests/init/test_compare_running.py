"""`procman init --compare` reads old programs that really run, with a real Celery, from /proc."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.accounts import user_name
from procman.celery_cli.canonical import canonical
from procman.cli.main import run
from procman.config.load import load
from procman.host import process
from procman.host.process_tree import children_finder, tree_of
from procman.init.comparing.compare import Comparison, compare, identity
from procman.init.comparing.known import known_of
from procman.init.comparing.running import running_process
from procman.init.init import init
from procman.model import Scope
from procman.subprocesses import SYSTEM_PATH
from tests.backends.supervisor.real_supervisord import Supervisord, eventually
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product

WORKER = "-A mysite worker -P solo -Q {queue} -n crop@%h -l warning"


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    # Of a developer's own directories, procman would have none.
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    environment = environment_of(CELERY_5_7)
    assert environment
    found = Product(environment)
    found.data.mkdir()
    yield found
    found.close()


def compare_by_command(
    product: Product, capsys: pytest.CaptureFixture[str], *sources: Path
) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of a comparison, and its programs."""
    words = [word for source in sources for word in ("--from", str(source))]
    status = run(
        ["init", str(product.code), *words, "--scope", "user", "--compare", "--json", "--output", "/nonexistent/p.toml"]
    )
    output = capsys.readouterr()
    assert output.out, output.err
    [project] = json.loads(output.out)["projects"]
    return status, project["programs"]


def celery_in(pid: int) -> int:
    """Return `pid` once it executes Celery; before that it is a copy of what runs it."""
    return pid if pid and canonical(process.arguments(pid)) else 0


def unexplained(program: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = (each for each in program["values"] if not (each["equal"] or each["reason"]))
    return {each["name"]: (each["old"], each["new"]) for each in found}


@pytest.mark.celery
def test_program_of_supervisord(product: Product, supervisord: Supervisord, capsys: pytest.CaptureFixture[str]) -> None:
    def write(queue: str, more: str = "") -> Path:
        command = f"{product.virtualenv}/bin/celery {WORKER}".format(queue=queue).replace("%", "%%")
        environment = f'DEMO_DATA_DIRECTORY="{product.data}",DJANGO_SETTINGS_MODULE="mysite.settings"{more}'
        return supervisord.section("crop", command, directory=product.code, umask="027", environment=environment)

    file = write("crop")
    supervisord.start()
    pid = eventually(lambda: celery_in(supervisord.client.call("getProcessInfo", "crop")["pid"]))
    status, [program] = compare_by_command(product, capsys, file)
    assert (program["pid"], unexplained(program), status) == (pid, {}, 0)
    # The process has the old file still, and does not get the variable.
    write("other", ',MORE="1"')
    status, [program] = compare_by_command(product, capsys, file)
    assert unexplained(program) == {"--queues": ("crop", "other"), "MORE": (None, "1")}
    assert status == 1


@pytest.mark.celery
def test_init_names_the_running_programs_of_the_app_with_what_imports_them(
    product: Product, supervisord: Supervisord
) -> None:
    command = f"{product.virtualenv}/bin/celery {WORKER}".format(queue="crop").replace("%", "%%")
    environment = f'DEMO_DATA_DIRECTORY="{product.data}",DJANGO_SETTINGS_MODULE="mysite.settings"'
    file = supervisord.section("crop", command, directory=product.code, environment=environment)
    supervisord.start()
    pid = eventually(lambda: celery_in(supervisord.client.call("getProcessInfo", "crop")["pid"]))
    activated = {"PATH": SYSTEM_PATH, "VIRTUAL_ENV": str(product.virtualenv)}
    [project] = init(product.code, scope=Scope.USER, environment=activated, root=product.directory / "host").projects
    [note] = [each for each in project.warnings if "already" in each]
    runs = f"worker (process {pid} of {user_name(os.geteuid())}, crop of supervisord)"
    assert note == f"the app runs on this host already, as {runs}: to import them, type procman init --from {file}"


@pytest.mark.celery
def test_entry_of_a_procfile_that_honcho_runs(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    file, variables = product.directory / "Procfile", product.directory / ".env"
    command = f"{product.virtualenv}/bin/celery {WORKER}"
    file.write_text(f"web: sleep 1000\nworker: cd {product.code} && exec {command.format(queue='crop')}\n")
    variables.write_text(f"DEMO_DATA_DIRECTORY={product.data}\nDJANGO_SETTINGS_MODULE=mysite.settings\n")
    words = [sys.executable, "-m", "honcho", "-f", str(file), "start"]
    clean = {"PATH": SYSTEM_PATH}
    honcho = subprocess.Popen(
        words, env=clean, cwd=product.directory, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        pid = eventually(lambda: next(filter(celery_in, tree_of(honcho.pid, children_finder())), 0))
        status, [program] = compare_by_command(product, capsys, file)
        assert (program["pid"], unexplained(program), status) == (pid, {}, 0)
        variables.write_text(f"{variables.read_text()}MORE=1\n")
        file.write_text(file.read_text().replace("-Q crop", "-Q other"))
        status, [program] = compare_by_command(product, capsys, file)
        assert unexplained(program) == {"--queues": ("crop", "other"), "MORE": (None, "***")}
    finally:
        os.killpg(honcho.pid, signal.SIGKILL)
        honcho.wait()


DEFAULTS = """\
CELERY_BIN="{virtualenv}/bin/celery"
CELERY_APP="mysite"
CELERYD_NODES="fast slow"
CELERYD_CHDIR="{demo}"
CELERYD_OPTS="-P solo -Q:fast fast,mail -Q:slow slow --prefetch-multiplier:fast=4"
CELERYD_LOG_LEVEL="WARNING"
CELERYD_LOG_FILE="{data}/%n.log"
CELERYD_PID_FILE="{data}/%n.pid"
CELERYD_USER="{user}"
DJANGO_SETTINGS_MODULE="mysite.settings"
export DJANGO_SETTINGS_MODULE
DEMO_DATA_DIRECTORY="{data}"
export DEMO_DATA_DIRECTORY
"""

CELERYD = """\
#!/bin/sh -e
### BEGIN INIT INFO
# Provides: celeryd
### END INIT INFO
. {defaults}
CELERYD_MULTI=${{CELERYD_MULTI:-"$CELERY_BIN multi"}}
$CELERYD_MULTI start $CELERYD_NODES --workdir=$CELERYD_CHDIR --loglevel=$CELERYD_LOG_LEVEL --logfile=$CELERYD_LOG_FILE \
    --pidfile=$CELERYD_PID_FILE --app=$CELERY_APP $CELERYD_OPTS
"""
"""As Celery's own script starts its nodes."""


@pytest.mark.celery
def test_nodes_of_celery_multi(product: Product) -> None:
    root = product.directory / "host"
    defaults, script = root / "etc/default/celeryd", root / "etc/init.d/celeryd"
    for path in (defaults, script):
        path.parent.mkdir(parents=True)
    user = user_name(os.geteuid())
    text = DEFAULTS.format(virtualenv=product.virtualenv, demo=product.code, data=product.data, user=user)
    defaults.write_text(text)
    script.write_text(CELERYD.format(defaults=defaults))
    subprocess.run(["/bin/sh", str(script)], env={"PATH": SYSTEM_PATH}, cwd="/", check=True, capture_output=True)
    files = [product.data / f"{node}.pid" for node in ("fast", "slow")]
    eventually(lambda: all(map(_pid_in, files)), "the nodes have started")
    pids = list(map(_pid_in, files))
    try:
        found = [_of_defaults(product, script, pids)]
        defaults.write_text(text.replace("-Q:slow slow", "-Q:slow other"))
        found.append(_of_defaults(product, script, pids))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert [[(each.pid, unexplained_of(each)) for each in both] for both in found] == [
        [(pids[0], {}), (pids[1], {})],
        [(pids[0], {}), (pids[1], {"--queues": ("slow", "other")})],
    ]


def _pid_in(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


def _of_defaults(product: Product, script: Path, pids: list[int]) -> list[Comparison]:
    """Return the comparison of what an import makes of `script`, which runs `pids`.

    Only a script in /etc/init.d is adopted.
    """
    root = product.directory / "host"
    report = init(product.code, sources=[str(script)], scope=Scope.USER, environment={"PATH": SYSTEM_PATH}, root=root)
    [new] = report.projects
    project = load(root / "procman.toml", {"HOME": str(root)}, new.text)
    programs = [each for found in new.programs.values() for each in found]
    places = (project.directory, project.virtualenv)
    seen = {identity(each): running_process(each, pids, places) for each in programs}
    known = known_of(project, [], {}, {})
    running = {name: process for name, process in seen.items() if process}
    return sorted(
        compare(new.programs, project, replace(known, running=running)), key=lambda each: pids.index(each.pid or 0)
    )


def unexplained_of(comparison: Comparison) -> dict[str, tuple[str | None, str | None]]:
    return {each.name: (each.old, each.new) for each in comparison.differences if not each.reason}
