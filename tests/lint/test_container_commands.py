"""The findings about the command, the probes and the beats of containers, by how they are written."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from procman.celery_cli.script_file import ScriptFile
from procman.celery_cli.shell_replaced import replaces_itself
from procman.lint.lint import lint

WORKER = "celery -A site worker"
BEAT = "celery -A site beat"


def found_in(tmp_path: Path, name: str, text: str) -> list[str]:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return [each.code for each in lint([file]).findings]


def of_service(tmp_path: Path, command: object = WORKER, others: str = "") -> list[str]:
    text = f"services:\n  a:\n    command: {json.dumps(command)}\n    stop_grace_period: 1h\n{others}"
    return found_in(tmp_path, "compose.yaml", text)


def of_object(
    tmp_path: Path, command: str, kind: str = "StatefulSet", others: str = "{}", probe: str = ""
) -> list[str]:
    container = {"name": "a", "command": command.split()} | (
        {"livenessProbe": {"exec": {"command": probe.split(",")}}} if probe else {}
    )
    spec = {"terminationGracePeriodSeconds": 900, "containers": [container]}
    document = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "a"},
        "spec": json.loads(others) | {"template": {"spec": spec}},
    }
    return found_in(tmp_path, "manifest.json", json.dumps(document, indent="\t"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["tini", "-p", "SIGTERM", "-g", "--"], ["PM962"]),
        (["tini", "-pSIGTERM", "--"], []),
        (["/sbin/tini", "-vgp", "SIGTERM"], ["PM962"]),
        (["tini", "-e", "143", "-s", "--"], []),
        (["tini", "--unknown", "-g", "--"], ["PM962"]),
        (["dumb-init", "-r", "15:2"], ["PM962"]),
        (["dumb-init", "--rewrite", "15:2", "-c", "--"], []),
        (["dumb-init", "-vc"], []),
        (["dumb-init", "--single-child", "--rewrite=15:2"], []),
        (["catatonit", "--"], []),
    ],
)
def test_options_of_an_init(tmp_path: Path, command: list[str], expected: list[str]) -> None:
    assert of_service(tmp_path, [*command, *WORKER.split()]) == expected
    # The init is known behind a script, too.
    assert of_service(tmp_path, ["/entrypoint.sh", *command, *WORKER.split()]) == expected


REPLACED = ["{}", "cd /; {}", "cd / && {}", "set -e\n{}", "A=b {}", "if true; then cd /; fi; {}"]
KEPT = ["{} | cat", "cd / && {} |& cat", "{} 2>&1", "cd /; {} >&2", "{} || true", "{}; true", "! {}", "time {}", "({})"]


def test_bash_replaces_itself_with_a_last_simple_command(tmp_path: Path) -> None:
    """Each command prints the process that started it: the test itself, if bash replaced itself."""
    script = tmp_path / "celery"
    script.write_text('#!/bin/sh\necho "$PPID" > "$TO"\n')
    script.chmod(0o755)
    replaced = []
    for text in (*REPLACED, *KEPT):
        to = {"TO": str(tmp_path / "parent"), "PATH": os.environ["PATH"]}
        subprocess.run(["bash", "-c", text.format(script)], env=to, capture_output=True, check=False)
        if (tmp_path / "parent").read_text() == f"{os.getpid()}\n":
            replaced.append(text)
        assert replaces_itself(ScriptFile(None, text.format(WORKER), "", shell="bash")) == (text in REPLACED), text
    assert replaced == REPLACED


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (f"bash -c '{WORKER} | tee /log'", ["PM961"]),
        (f"bash -c 'cd /srv && {WORKER} 2>&1 | tee /log'", ["PM961"]),
        (f"bash -c '{WORKER} >> /log'", ["PM961"]),
        (f"bash -c 'cd /srv && {WORKER}'", []),
        (f"bash -c 'exec {WORKER} >> /log'", []),
        (f"sh -c 'exec {WORKER} 2>&1 | tee /log'", ["PM961"]),
        (f"sh -c 'cd /srv || exit 1; exec {WORKER}'", []),
        (f"sh -c 'cat /pw | login; exec {WORKER}'", []),
    ],
)
def test_shell_in_front_of_celery(tmp_path: Path, command: str, expected: list[str]) -> None:
    assert of_service(tmp_path, command) == expected


@pytest.mark.parametrize(
    ("command", "replicas", "expected"),
    [
        (BEAT, '"2"', ["PM965"]),
        (BEAT, "'${BEATS:-2}'", ["PM965"]),
        (BEAT, "1", []),
        (f"{BEAT} -S redbeat.RedBeatScheduler", "3", []),
        (f"{BEAT} --scheduler=site.RedBeatScheduler", "3", []),
        (f"{WORKER} -B", "3", ["PM965"]),
        (f"{WORKER} --beat", "1", []),
        (WORKER, "3", []),
    ],
)
def test_replicas_of_a_beat(tmp_path: Path, command: str, replicas: str, expected: list[str]) -> None:
    assert [
        code for code in of_service(tmp_path, command, f"    deploy: {{replicas: {replicas}}}\n") if code != "PM946"
    ] == expected


@pytest.mark.parametrize(
    ("kind", "others", "command", "expected"),
    [
        ("DaemonSet", "{}", BEAT, ["PM965"]),
        ("Deployment", "{}", BEAT, ["PM965"]),
        ("Deployment", "{}", f"{WORKER} -B", ["PM965"]),
        ("Deployment", '{"strategy": {"type": "Recreate"}}', BEAT, ["PM965"]),
        ("Deployment", '{"replicas": 3}', f"{BEAT} -S redbeat.RedBeatScheduler", []),
        ("StatefulSet", '{"replicas": 3}', f"{WORKER} -B", ["PM965"]),
        ("StatefulSet", '{"replicas": 1}', BEAT, []),
    ],
)
def test_controller_of_a_beat(tmp_path: Path, kind: str, others: str, command: str, expected: list[str]) -> None:
    assert [code for code in of_object(tmp_path, command, kind, others) if code != "PM946"] == expected


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("celery,inspect,ping,-d,celery@$HOSTNAME", ["PM964"]),
        ("timeout,10,celery,inspect,ping,-d,celery@${HOSTNAME}", ["PM964"]),
        ("celery,inspect,ping,-d,celery@$(hostname)", ["PM964"]),
        # Kubernetes replaces it.
        ("celery,inspect,ping,-d,$(NODE)", []),
        ("sh,-c,celery inspect ping -d celery@$HOSTNAME", []),
        ("timeout,10,/bin/bash,-c,celery inspect ping -d celery@$HOSTNAME", []),
        ("python,-c,import os; app.control.ping(destination=[f'celery@{os.environ[\"HOSTNAME\"]}'])", []),
    ],
)
def test_variable_in_a_probe_needs_a_shell(tmp_path: Path, probe: str, expected: list[str]) -> None:
    assert of_object(tmp_path, WORKER, probe=probe) == expected


PING = "celery inspect ping -d celery@$$HOSTNAME"


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (f"{PING} || /usr/bin/true", ["PM963"]),
        (f"{PING} || true  # never restart", ["PM963"]),
        (f"{PING} | tee /tmp/x", ["PM963"]),
        (f"{PING} 2>&1 | tail -n 1", ["PM963"]),
        (f"set -o pipefail; {PING} | tee /tmp/x", []),
        (f"{PING} | tee /tmp/x | grep -q pong", []),
        (f"{PING} | grep -q 'a | tee' || exit 1", []),
        (f"test -e /tmp/x || cat /tmp/y && {PING}", []),
        ("ps aux | grep celery | grep worker", ["PM963"]),
        ("ps aux | grep celery | grep worker || exit 1", ["PM963"]),
        ("ps aux | grep celery | grep -v grep | grep worker", []),
        ("ps aux | grep -i -v grep | grep celery", []),
        ("ps aux | grep '[c]elery' | grep worker", []),
    ],
)
def test_probe_that_always_succeeds(tmp_path: Path, test: str, expected: list[str]) -> None:
    assert of_service(tmp_path, WORKER, f"    healthcheck:\n      test: {json.dumps(test)}\n") == expected


def test_health_check_that_is_switched_off_is_not_judged(tmp_path: Path) -> None:
    check = "    healthcheck:\n      test: 'true'\n"
    assert of_service(tmp_path, WORKER, check) == ["PM963"]
    assert of_service(tmp_path, WORKER, f"{check}      disable: true\n") == []


CMD = f"CMD {json.dumps(WORKER.split())}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FROM a AS base\nENTRYPOINT ["tini", "-g", "--"]\nFROM base\n' + CMD, ["PM962"]),
        ('FROM a AS base\nENTRYPOINT ["tini", "-g", "--"]\nFROM a\n' + CMD, []),
        (f'FROM a AS base\n{CMD}FROM base\nENTRYPOINT ["tini", "-g", "--"]\n', []),
        ('FROM a\nENV DUMB_INIT_SETSID 0\nENTRYPOINT ["dumb-init"]\n' + CMD, []),
        (f"FROM a\nARG S=TERM\nSTOPSIGNAL $S\n{CMD}", []),
        (f"FROM a\nARG S=QUIT\nSTOPSIGNAL SIG${{S}}\n{CMD}", ["PM966"]),
        (f"FROM a\nENV S=QUIT\nSTOPSIGNAL $S\n{CMD}", ["PM966"]),
        (f"FROM a\nARG S\nSTOPSIGNAL $S\n{CMD}", []),
        (f"FROM a\nARG S\nSTOPSIGNAL ${{S:-QUIT}}\n{CMD}", ["PM966"]),
        (f"ARG S=QUIT\nFROM a\nARG S\nSTOPSIGNAL $S\n{CMD}", ["PM966"]),
        (f"ARG S=QUIT\nFROM a\nSTOPSIGNAL $S\n{CMD}", []),
        (
            f'FROM a\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nHEALTHCHECK CMD {PING} | tee /tmp/x\n{CMD}',
            [],
        ),
    ],
)
def test_instructions_of_a_dockerfile(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert found_in(tmp_path, "Dockerfile", text) == expected
