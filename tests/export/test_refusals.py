"""What an engine cannot do is refused, with the key, the line and the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from procman.errors import ConfigurationError
from procman.export import TARGETS
from procman.export.kubernetes.rules import LONGEST_LINE
from tests.export.projects import FULL, export, objects, project, readme
from tests.tables import for_each


def refused(text: str, target: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        export(text, target)
    return [problem.partition("procman.toml:")[2] for problem in raised.value.problems]


RUNS = [
    ("concurrency = 4", "", "worker.slow.concurrency: missing: Celery would start a process for each processor"),
    (
        '"celery", "-A", "shop", "flower", "--port=$(PORT)"',
        '"celery", "-A", "shop", "beat"',
        "command.flower.argv: it starts a beat",
    ),
    (
        '"celery", "-A", "shop", "flower", "--port=$(PORT)"',
        '"celery", "-A", "shop", "worker", "-B"',
        "command.flower.argv: it starts a beat",
    ),
    ("concurrency = 4", "concurrency = 4\nnice = 5", "worker.slow.nice: no engine sets it"),
    ("concurrency = 4", 'concurrency = 4\numask = "077"', "worker.slow.umask: no engine sets it"),
    ("concurrency = 4", "concurrency = 4\ncpu_weight = 5", "worker.slow.cpu_weight: only systemd has it"),
    ("[beat]", "[beat]\nmemory_high_mib = 500", "beat.memory_high_mib: only systemd slows a program down"),
    ("[command.flower]", '[command.flower]\nstdout = "/var/log/x.log"', "command.flower.stdout: the engine keeps"),
]
"""How a program runs, which a Dockerfile does not describe."""


@for_each("target", ["compose", "kubernetes"])
@for_each(("old", "new", "reason"), RUNS)
def test_no_engine_runs_a_program_so(target: str, old: str, new: str, reason: str) -> None:
    assert old in FULL
    [problem] = refused(FULL.replace(old, new), target)
    assert f": {reason}" in f": {problem}"
    assert problem[0].isdigit(), "the line"


def test_dockerfile_is_the_same_however_a_program_runs() -> None:
    text = FULL
    for old, new, _ in RUNS[3:]:
        text = text.replace(old, new)
    assert export(text, "dockerfile") == export(FULL, "dockerfile")


@for_each("target", TARGETS)
@for_each(
    ("old", "new", "reason"),
    [
        ("concurrency = 4", "concurrency = 4\nlauncher = false", "worker.slow.launcher: without launcher.py"),
        ('user = "www-data"', 'scope = "user"', "project.scope: an image has the paths of a host"),
        ('"/srv/shop"', '"srv/shop"', "project.directory: expected an absolute path"),
        ('"/srv/env"', '"./env"', "project.virtualenv: expected an absolute path"),
        ('"/etc/shop/secrets.env"', '"secrets.env"', "project.environment_file: expected an absolute path"),
        ('["/srv/media", ', '["media", ', "project.writable_paths: expected an absolute path"),
        ("[environment]", 'python_path = ["lib"]\n[environment]', "project.python_path: expected an absolute path"),
        ("[beat]", '[beat]\nschedule_file = "schedule"', "beat.schedule_file: expected an absolute path"),
        ("[command.flower]", '[command.flower]\ndirectory = "web"', "command.flower.directory: expected an absolute"),
    ],
)
def test_no_container_can_do_it(target: str, old: str, new: str, reason: str) -> None:
    assert old in FULL
    [problem] = refused(FULL.replace(old, new), target)
    assert f": {reason}" in f": {problem}"
    assert problem[0].isdigit(), "the line"


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("max_memory_per_child_kib = 300_000", "pool processes of 300000 KiB and the main process need 1464 MiB"),
        ("memory_restart_mib = 700", "worker.slow.memory_restart_mib: 700 is not below the memory of the container"),
    ],
)
def test_memory_of_the_container_is_enough(target: str, setting: str, reason: str) -> None:
    text = FULL.replace("max_memory_per_child_kib = 100_000", f"memory_max_mib = 700\n{setting}")
    [problem] = refused(text.replace("memory_mib = 1024\n", ""), target)
    assert reason in problem


def test_variable_that_kustomize_would_drop_is_refused() -> None:
    long = "é" * (LONGEST_LINE // 2)
    [problem] = refused(FULL.replace('SAME = "x"', f'SAME = "x"\nLONG = "{long}"'), "kubernetes")
    assert f"environment.LONG: {LONGEST_LINE + 5} bytes: Kustomize would drop" in problem
    [problem] = refused(FULL.replace('SAME = "other"', f'SAME = "{long}"'), "kubernetes")
    assert "worker.slow.environment.SAME" in problem


@for_each(
    ("old", "new", "reason"),
    [
        ("instances = 3", 'instances = 3\nhostname = "w@fixed"', "worker.celery.hostname: a rollout runs two pods"),
        ("concurrency = 4", 'concurrency = 4\nhostname = "w@%d"', "worker.slow.hostname: a rollout runs two pods"),
        ("[kubernetes]", '[kubernetes]\nplatform = "fargate"', "worker.slow.stop_timeout_seconds: fargate kills"),
        (
            "max_memory_per_child_kib = 100_000",
            "max_memory_per_child_kib = 300_000",
            "need 1464 MiB, and the container",
        ),
        ('keda_broker = "rabbitmq"', 'keda_broker = "redis"', "worker.slow.prefetch_multiplier: KEDA counts"),
        ("[command.flower]", '[command.flower]\nstop_signal = "INT"', "command.flower.stop_signal: Kubernetes sends"),
        ("[command.flower]", '[command.flower]\nuser = "web"', "command.flower.user: every container runs as user_id"),
        ('keda_broker = "rabbitmq"', "", "worker.slow.kubernetes.max_replicas: only KEDA scales"),
        ("[beat]", "[beat.kubernetes]\nmax_replicas = 2", "beat.kubernetes.max_replicas: only a worker with the key"),
        ('queues = ["slow", "slower"]', "", "worker.slow.kubernetes.max_replicas: only a worker with the key queues"),
        ("[kubernetes]", '[kubernetes]\nversion = "1.10"', "expected a version of Kubernetes from 1.19 on, in quotes"),
        ('argv = ["celery",', 'command = ["celery",', "command.flower.command: unknown key; did you mean argv?"),
        ("concurrency = 2", "concurrency = 1\nmax_memory_per_child_kib = 400_000", ": 1 pool process of 400000 KiB"),
        ("[beat]", "[beat]\ntasks_max = 5", "beat.tasks_max: the kubelet limits processes"),
        ('name = "shop"', 'name = "shop-"', "project.name: it ends with -"),
        ("secrets.env", "secrets of us", "project.environment_file: the key of a Secret"),
        ('name = "shop"', f'name = "{"s" * 45}"', "project.name: the name"),
    ],
)
def test_kubernetes_cannot_do_it(old: str, new: str, reason: str) -> None:
    assert old in FULL
    assert any(reason in each for each in refused(FULL.replace(old, new), "kubernetes"))


@for_each("target", TARGETS)
@for_each(
    ("path", "reason"),
    [
        ("/", "would hide the directory of the project"),
        ("/srv", "would hide the directory of the project"),
        ("/srv/shop", "would hide the directory of the project"),
        ("/srv/shop/shop", "would hide the code of shop.app"),
        ("/srv/shop/shop/app", "would hide the code of shop.app"),
        ("/srv/lib", "would hide a directory of python_path"),
        ("/srv/env", "would hide the virtualenv"),
        ("/srv/env/lib", "would hide the virtualenv"),
        ("/srv/env/bin/x", "would be inside the virtualenv"),
        ("/usr/local/lib/procman/shop", "would hide the launcher"),
        ("/usr/local/lib/procman/shop/x", "would be inside the launcher"),
        ("/var/lib/procman/shop", "would hide the directory of lock and heartbeat"),
        ("/var/lib/procman/shop/run/shop-slow", "would hide the directory of lock and heartbeat"),
        ("/dev", "would hide files of the kernel"),
        ("/proc", "would hide files of the kernel"),
        ("/sys/x", "would hide files of the kernel"),
        ("/srv/me:dia", "cannot be mounted, because of the colon"),
    ],
)
def test_volume_hides_nothing_that_the_container_needs(target: str, path: str, reason: str) -> None:
    text = FULL.replace('app = "shop"', 'app = "shop.app:app"\npython_path = ["/srv/lib"]')
    [problem] = refused(text.replace('"/srv/media"', f'"{path}"'), target)
    assert f"project.writable_paths: a volume at {path} {reason}" in problem
    assert problem[0].isdigit(), "the line"
    [problem] = refused(text.replace("[beat]", f'[beat]\nschedule_file = "{Path(path) / "schedule"}"'), target)
    assert f"beat.schedule_file: a volume at {path} {reason}" in problem


@pytest.mark.parametrize("target", TARGETS)
def test_schedule_has_a_directory_of_its_own(target: str) -> None:
    [problem] = refused(FULL.replace("[beat]", '[beat]\nschedule_file = "/tmp/schedule"'), target)
    assert "beat.schedule_file: a volume at /tmp would keep the temporary files of beat" in problem


@pytest.mark.parametrize("path", ["/srv/shop/media", "/srv/shop/shop/media", "/srv/env/var", "/tmp", "/dev/shm"])
def test_volume_below_the_code_hides_nothing(path: str) -> None:
    found = objects(export(FULL.replace('"/srv/media"', f'"{path}"'), "kubernetes"))
    [container] = found["Deployment", "shop-slow"]["spec"]["template"]["spec"]["containers"]
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert paths.count(path) == 1


def test_all_problems_are_reported_in_one_run() -> None:
    text = readme().replace("concurrency = 1\n", "").replace("concurrency = 2\n", "nice = 3\n")
    assert len(refused(text, "kubernetes")) == 3


BEATS = (
    ["sh", "-c", "exec celery -A mysite beat"],
    ["sh", "-c", "celery -A mysite worker -B"],
    ["bash", "-ec", "cd /srv; export A=b; exec sh -c 'celery -A mysite beat -l info'"],
    ["python", "manage.py", "celery", "beat"],
    ["sh", "-c", "sleep 1; python manage.py celery worker --beat"],
    ["python", "-m", "celery", "-A", "mysite", "beat"],
)


@pytest.mark.parametrize("argv", BEATS, ids=" ".join)
def test_beat_is_found_behind_a_shell(argv: list[str]) -> None:
    text = FULL.replace('["celery", "-A", "shop", "flower", "--port=$(PORT)"]', json.dumps(argv))
    assert any("command.flower.argv: it starts a beat" in each for each in refused(text, "kubernetes"))


def test_workers_that_detach_are_found() -> None:
    for argv in (["celery", "multi", "start", "2"], ["sh", "-c", "celery multi start 2 -A mysite"]):
        text = FULL.replace('["celery", "-A", "shop", "flower", "--port=$(PORT)"]', json.dumps(argv))
        assert any("command.flower.argv: celery multi detaches" in each for each in refused(text, "compose"))


@pytest.mark.parametrize(
    "argv", [["sh", "-c", "exec gunicorn mysite.wsgi"], ["python", "manage.py", "beat"], ["sh", "start.sh"]]
)
def test_other_commands_are_accepted(argv: list[str]) -> None:
    text = FULL.replace('["celery", "-A", "shop", "flower", "--port=$(PORT)"]', json.dumps(argv))
    assert export(text, "compose")


def test_templates_are_on_this_host(tmp_path: Path) -> None:
    text = FULL.replace("[environment]", 'templates = "own"\n[environment]')
    assert project(tmp_path, text, "compose").templates == tmp_path / "own"


def test_invalid_value_is_reported_once() -> None:
    [problem] = refused(FULL.replace("concurrency = 4", 'concurrency = "four"'), "kubernetes")
    assert "worker.slow.concurrency: expected a whole number" in problem


def test_settings_of_hosts_are_no_reason() -> None:
    # The supervisord, the watcher and the units belong to a host; the same file serves both.
    text = readme() + '[worker.crop.supervisor]\nexitcodes = "0"\n[systemd.directives]\nProtectHome = "no"\n'
    assert export(text, "kubernetes")
    assert export(
        text.replace("[worker.crop]", '[worker.crop]\nconcurrency = "auto"').replace("concurrency = 2\n", ""),
        "compose",
    )
