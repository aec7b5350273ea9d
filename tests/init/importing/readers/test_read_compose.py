"""The services of a compose file are read as far as they do not depend on their image."""

from __future__ import annotations

import builtins
import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Stop
from procman.init.importing.readers.read_compose import read
from procman.model import Kind

COMPOSE = """\
x-shop: &shop
  image: example/shop:${TAG:-latest}
  restart: unless-stopped
  env_file: common.env
  networks: [inside]
  depends_on: [redis]
  environment: &variables
    DJANGO_SETTINGS_MODULE: shop.settings
    DEBUG: false
    WORKERS: 4

services:
  web:
    <<: *shop
    command: gunicorn shop.wsgi
  worker:
    <<: *shop
    entrypoint: ["/usr/bin/env"]
    command: ["/venv/bin/celery", "-A", "shop.celery:app", "worker", "-c", "${CONCURRENCY:-2}", "-Q", "$QUEUES", "-E"]
    user: www-data
    stop_grace_period: 15m30s
    stop_signal: SIGINT
    deploy: {replicas: 3}
    environment:
      <<: *variables
      CELERY_BROKER_URL: redis://:hunter22@redis:6379/0
      PRICE: $$5
      REGION:
  beat:
    <<: *shop
    entrypoint: []
    command: celery -A shop beat -s /data/schedule
  redis:
    image: redis
"""


def compose(directory: Path, text: str, **files: str) -> Reading:
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    (directory / "compose.yaml").write_text(text)
    return read([directory / "compose.yaml"], {"CONCURRENCY": "9"})


def one(directory: Path, lines: str, **files: str) -> Existing:
    indented = "".join(f"    {line}\n" for line in lines.split("\n"))
    [found] = compose(directory, f"services:\n  worker:\n{indented}", **files).programs
    return found


def values(program: Existing) -> dict[str, object]:
    assert program.command
    return program.command.values


def remarks(program: Existing) -> dict[str, str]:
    return {each.what: each.consequence for each in program.remarks}


def test_services_are_read_with_merge_keys_and_variables(tmp_path: Path) -> None:
    found = compose(tmp_path, COMPOSE, common_env="SECRET_KEY='hunter23'\n", _env="QUEUES=mail,images\nREGION=eu\n")
    web, worker, beat, redis = found.programs
    assert [each.command is None and not each.problem for each in found.programs] == [True, False, False, True]
    assert (web.name, redis.words) == ("web", ())
    assert values(worker) == {"concurrency": 2, "queues": ["mail", "images"], "events": True}
    assert worker.command
    assert worker.command.project == {"app": "shop.celery:app"}, "no path of the container"
    assert worker.environment == {
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "DEBUG": "false",
        "WORKERS": "4",
        "CELERY_BROKER_URL": "redis://:hunter22@redis:6379/0",
        "PRICE": "$5",
        "REGION": "eu",
    }
    assert worker.environment_files == (tmp_path / "common.env",)
    assert (worker.user, worker.directory, worker.source) == ("www-data", None, None)
    assert worker.values == {"stop_timeout_seconds": 930, "instances": 3}
    assert worker.stop == Stop("INT", 930, "main", "always")
    assert (worker.label, worker.place) == (
        f"service worker of {tmp_path}/compose.yaml",
        f"{tmp_path}/compose.yaml:{COMPOSE[: COMPOSE.index('  worker:')].count(chr(10)) + 1}",
    )
    assert beat.command
    assert (beat.command.kind, beat.command.schedule_file, beat.stop.seconds) == (Kind.BEAT, None, 10)
    assert found.files == (tmp_path / "compose.yaml", tmp_path / "common.env")
    assert "hunter2" not in repr(found)


def test_what_stays_behind_is_reported(tmp_path: Path) -> None:
    found = compose(tmp_path, COMPOSE, common_env="A=1\n", _env="QUEUES=a\nREGION=eu\n")
    [remark] = found.remarks
    assert (remark.place, remark.what, remark.doubtful) == (
        f"{tmp_path}/compose.yaml",
        "the paths in the containers",
        True,
    )
    assert remark.consequence == "they do not exist on this host: directory and virtualenv have to be filled in"
    assert remarks(found.programs[1]) == {
        "${CONCURRENCY:-2}": "it is '2', because nothing sets this variable here",
        "networks": (
            "there is no network of containers: this host must reach the broker and the database under their own "
            "addresses"
        ),
        "depends_on": "procman starts Celery at once, which waits for its broker",
        "CELERY_BROKER_URL": "redis is a container, whose name this host does not know: write its address",
    }


def test_unknown_variables_are_left_out_alone(tmp_path: Path) -> None:
    lines = (
        "entrypoint: celery -A x\ncommand: worker -c ${N} -l debug\nenvironment: [A=$B, C, D=1]\nenv_file: [gone.env]"
    )
    found = one(tmp_path, lines)
    assert (values(found), found.environment) == ({"loglevel": "debug"}, {"D": "1"})
    unknown = "comes from the environment of compose, which is unknown here"
    assert remarks(found) == {
        "-c ${N}": f"N {unknown}",
        "environment A": f"B {unknown}",
        "environment C": f"C {unknown}",
        "env_file gone.env": "it cannot be read, and its variables are unknown",
    }


def test_image_is_unknown(tmp_path: Path) -> None:
    text = "services:\n  a:\n    command: celery worker\n  b:\n    command: celery beat\n  celery:\n    image: x\n"
    first, second, third = compose(tmp_path, text).programs
    assert first.remarks == second.remarks, "printed once"
    assert remarks(first) == {
        "ENTRYPOINT and ENV of the images": "unknown here: what they set, or run before Celery, is not imported"
    }
    assert third.problem == "its command is that of its image, which is unknown here"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("/app/celery-worker.sh", "its command /app/celery-worker.sh is in its image, which cannot be read here"),
        ("celery-worker", "its command celery-worker is in its image, which cannot be read here"),
        ("gunicorn app --worker-class gthread", ""),
    ],
)
def test_scripts_of_the_image_are_not_those_of_this_host(tmp_path: Path, command: str, problem: str) -> None:
    assert one(tmp_path, f"command: {command}").problem == problem


def test_limits_of_a_container_are_reported(tmp_path: Path) -> None:
    found = one(tmp_path, "command: celery -A shop worker\ndeploy: {resources: {limits: {memory: 512M}}}")
    assert "MemoryMax" in remarks(found)["deploy.resources"]


def test_other_command_of_celery_is_left_alone(tmp_path: Path) -> None:
    found = one(tmp_path, "command: celery -A shop flower")
    assert (found.command, found.problem) == (None, "")


def test_no_file_of_this_host_is_read_for_a_container(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nexport A=1\nexec celery -A host worker\n")
    assert one(tmp_path, f"command: {script}").command is None
    found = one(
        tmp_path, f'command: sh -c "if [ -f {script} ]; then export B=1; fi; . {script}; exec celery -A x worker"'
    )
    assert found.command
    assert (found.command.project, found.environment) == ({"app": "x"}, {})
    assert {each.consequence for each in found.remarks} >= {"its outcome is unknown, and nothing in it is imported"}


def test_variables_of_a_file_that_procman_reads_differently_are_taken_one_by_one(tmp_path: Path) -> None:
    lines = (
        "entrypoint: []\ncommand: celery worker\nenv_file:\n  - {path: a.env, required: false}\nenvironment: {B: own}"
    )
    found = one(tmp_path, lines, a_env="export A=1 # one\nB=2\n")
    assert (found.environment, found.environment_files) == ({"A": "1", "B": "own"}, ())
    assert found.remarks == ()


def test_override_is_read_as_compose_reads_it(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text(
        "services:\n  a:\n    environment: {B: 3}\n  b:\n    command: celery -A x beat\n"
    )
    text = "services:\n  a:\n    command: celery -A x worker\n    environment: [A=1, B=2]\n"
    found = compose(tmp_path, text)
    assert [(each.name, each.environment) for each in found.programs] == [("a", {"A": "1", "B": "3"}), ("b", {})]
    assert found.files == (tmp_path / "compose.yaml", tmp_path / "compose.override.yaml")
    assert read([*found.files], {}).programs == found.programs, "not a second time"


def test_extended_service_is_followed(tmp_path: Path) -> None:
    base = "services:\n  base:\n    entrypoint: []\n    command: celery -A x worker\n    environment: [A=1, B=2]\n"
    found = one(tmp_path, "extends: {file: base.yml, service: base}\nenvironment: {B: 3}", base_yml=base)
    assert (found.environment, values(found)) == ({"A": "1", "B": "3"}, {})
    with pytest.raises(ProcmanError, match="service worker extends itself"):
        one(tmp_path, "extends: worker")


@pytest.mark.parametrize(
    ("span", "seconds"), [("90", 90), ("1m30s", 90), ("1h", 3600), ("1.5s", 2), ("500ms", 0), ("x", 0)]
)
def test_stop_grace_period(tmp_path: Path, span: str, seconds: int) -> None:
    assert one(tmp_path, f"command: celery worker\nstop_grace_period: {span}").stop.seconds == seconds


@pytest.mark.parametrize(("user", "found"), [("0:0", None), ("root", None), ("65534:1", "nobody"), ("a:b", "a")])
def test_user(tmp_path: Path, user: str, found: str | None) -> None:
    assert one(tmp_path, f'command: celery worker\nuser: "{user}"').user == found


@pytest.mark.parametrize("levels", [1, 2, 40])
def test_merge_keys_cannot_multiply(tmp_path: Path, levels: int) -> None:
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, levels):
        own = ", ".join(f"k{level}x{number}: v" for number in range(9))
        lines.append(f"a{level}: &a{level} {{{own}, <<: [*a{level - 1}, *a{level - 1}]}}")
    # Some versions of PyYAML merge equal keys themselves.
    with suppress(ProcmanError):
        assert compose(tmp_path, "\n".join([*lines, "services: {}"])).programs == ()


def test_mapping_that_contains_itself_is_bounded(tmp_path: Path) -> None:
    with suppress(ProcmanError):
        assert compose(tmp_path, "a: &a {<<: *a}\nservices: {}\n").programs == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [" + "*a," * 600 + "]\n", "more than 500 aliases"),
        ("[" * 2000, "it contains itself, or is nested too deeply"),
        ("x" * 300_000, "larger than"),
        ("services: [a]\n", "it has no services"),
        ("- a\n", "it has no services"),
        ("", "it has no services"),
        ("services:\n  a: [\n", ":3: this is not YAML"),
        ("services: {a: !!python/object:os.system {}}\n", "this is not YAML"),
        ("a: \x01\n", "this is not YAML"),
        ("services: {a: 2026-99-99}\n", "this is not YAML"),
    ],
    ids=itertools.count(),
)
def test_hostile_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProcmanError) as error:
        compose(tmp_path, text)
    assert message in error.value.message


def test_services_of_any_shape_are_accepted(tmp_path: Path) -> None:
    odd = "command: {x: 1}, environment: 5, env_file: {}, deploy: 3, user: [1], extends: [x]"
    text = f"services: {{1: null, a: [], b: {{{odd}}}, c: &c {{x: *c}}}}"
    assert len(compose(tmp_path, text).programs) == 4


def test_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "compose.yaml")
    with pytest.raises(ProcmanError, match="not a regular file"):
        read([tmp_path / "compose.yaml"], {})


def test_missing_library_is_an_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = builtins.__import__

    def without_yaml(name: str, *arguments: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return installed(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    with pytest.raises(ProcmanError) as error:
        compose(tmp_path, COMPOSE)
    assert error.value.hint == "Install it: pip install 'celery-procman[containers]'"
