"""Every key of every table is read: another value gives another Project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from procman.config import keys
from procman.config.keys import Key
from procman.errors import ConfigurationError
from procman.project import Project
from tests.config.documents import problems, read

OTHER_VALUES: dict[str, Any] = {
    "accept": ["PM773"],
    "adopts": ["systemd:celery.service"],
    "after": ["rabbitmq-server.service"],
    "app": "other",
    "argv": ["celery", "-A", "mysite", "flower"],
    "autoscale": [10, 3],
    "beside": ["legacy.service"],
    "autostart": False,
    "configuration": "/etc/supervisord.conf",
    "cpu_millicores": 500,
    "cpu_weight": 50,
    "concurrency": 3,
    "directory": "/srv/other",
    "egress_ports": [5672],
    "environment_file": "/etc/catmaid/env",
    "events": True,
    "exclude_queues": ["slow"],
    "extend_stop_timeout": True,
    "extra_arguments": ["--statedb=/var/lib/catmaid/state"],
    "group": "staff",
    "group_id": 33,
    "failures": 5,
    "handback_seconds": 30,
    "first_instance": 0,
    "free_space_mib": 100,
    "heal": False,
    "heartbeat_seconds": 2,
    "hostname": "other@%h",
    "include": "/etc/other.d/*.conf",
    "image": "registry.example.org/catmaid:1",
    "instances": 2,
    "interval_seconds": 60,
    "keda_broker": "redis",
    "launcher": False,
    "log": "file",
    "log_backups": 3,
    "log_max_mib": 5,
    "loglevel": "debug",
    "management_url": "http://127.0.0.1:15672",
    "max_interval_seconds": 5,
    "max_memory_per_child_kib": 300_000,
    "max_replicas": 3,
    "max_tasks_per_child": 100,
    "memory_high_mib": 500,
    "memory_max_mib": 600,
    "memory_mib": 512,
    "memory_restart_mib": 700,
    "minimum_version": 255,
    "mode": "embedded",
    "name": "other",
    "nice": 5,
    "on_event": ["/usr/local/bin/page", "admin"],
    "optimization": "fair",
    "overlap": True,
    "overlap_max": 3,
    "platform": "fargate",
    "pool": "solo",
    "prefetch_multiplier": 4,
    "procman": "/opt/procman/bin/procman",
    "public": ["API_TOKEN"],
    "python_path": ["/opt/lib"],
    "queues": ["crop"],
    "reload_command": ["bin/reload"],
    "reload_signal": "HUP",
    "restarts_per_hour": 1,
    "sandbox": "strict",
    "schedule_file": "/var/lib/other/schedule",
    "schedule_mib": 10,
    "backend": "systemd",
    "scope": "user",
    "scheduler": "redbeat.RedBeatScheduler",
    "settings": "mysite.settings",
    "soft_time_limit_seconds": 7.5,
    "stale_seconds": 60,
    "stall_seconds": 60,
    "start_seconds": 20,
    "stderr": "/var/log/catmaid/web.log",
    "stdout": "/var/log/catmaid/web.log",
    "stop_signal": "QUIT",
    "stop_timeout_seconds": 3600,
    "supervisord": "/opt/procman/bin/supervisord",
    "tasks_max": 200,
    "templates": "/etc/procman/templates",
    "time_limit_seconds": 8,
    "umask": "077",
    "user": "catmaid",
    "user_id": 33,
    "version": "1.31",
    "virtualenv": "/srv/env",
    "watchdog_seconds": 60,
    "without_gossip": True,
    "without_heartbeat": True,
    "without_mingle": True,
    "wrapper": ["ddtrace-run"],
    "writable_paths": ["/var/lib/catmaid/media"],
}
"""A value for each key that differs from its default and is valid in `USUAL`."""

USUAL: dict[str, dict[str, Any]] = {
    "project": {
        "name": "catmaid",
        "app": "mysite",
        "directory": "/opt/catmaid",
        "virtualenv": "/opt/env",
        "user": "www-data",
    },
    "worker.celery": {},
    "beat": {},
    "command.flower": {"argv": ["celery", "flower"]},
    "supervisor": {},
    "systemd": {},
    "health": {},
    "kubernetes": {},
    "worker.celery.kubernetes": {},
}

NEEDED: dict[str, dict[str, dict[str, Any]]] = {
    "public": {"environment": {"API_TOKEN": "not so secret"}},
    "scope": {"project": {"user": None}},
    "tasks_max": {"project": {"backend": "systemd"}},
    "group": {"project": {"backend": "systemd"}},
    "cpu_weight": {"project": {"backend": "systemd"}},
    "memory_high_mib": {"project": {"backend": "systemd"}},
    "memory_max_mib": {"project": {"backend": "systemd"}},
    "configuration": {"supervisor": {"include": "/etc/x/*.conf"}},
    "supervisord": {"supervisor": {"mode": "embedded"}},
}
"""The other keys that a key requires; None removes a key."""


def _text(tables: dict[str, dict[str, Any]]) -> str:
    lines = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
    return "\n".join(lines)


def _merged(*documents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for document in documents:
        for table, values in document.items():
            merged[table] = {**merged.get(table, {}), **values}
    return merged


def _tables() -> dict[str, tuple[Key, ...]]:
    singles = {name: found for name, found in keys.SINGLE_TABLES.items() if name != "beat"}
    return {
        **singles,
        "beat": keys.SINGLE_TABLES["beat"],
        "worker.celery": keys.NAMED_TABLES["worker"],
        "command.flower": keys.NAMED_TABLES["command"],
        "worker.celery.kubernetes": keys.KUBERNETES_PROGRAM,
        **{f"defaults.{name}": found for name, found in keys.DEFAULTS_TABLES.items()},
    }


TABLES = _tables()
EACH = pytest.mark.parametrize("table", TABLES)


def _read(directory: Path, *documents: dict[str, dict[str, Any]]) -> Project | None:
    """Return the Project; None if the file is refused."""
    try:
        return read(directory, _text(_merged(*documents)))
    except ConfigurationError:
        return None


@EACH
def test_other_value_gives_another_project(tmp_path: Path, table: str) -> None:
    usual = _read(tmp_path, USUAL)
    for key in TABLES[table]:
        around = _merged(USUAL, NEEDED.get(key.name, {}))
        before = _read(tmp_path, around) if key.name in NEEDED else usual
        after = _read(tmp_path, around, {table: {key.name: OTHER_VALUES[key.name]}})
        assert after is not None, key.name
        assert before != after, key.name


@EACH
def test_explicit_default_changes_nothing(tmp_path: Path, table: str) -> None:
    usual = _read(tmp_path, USUAL)
    assert _read(tmp_path, USUAL, {table: {}}) == usual
    for key in TABLES[table]:
        default = list(key.default) if isinstance(key.default, tuple) else key.default
        if default is not None:
            assert _read(tmp_path, USUAL, {table: {key.name: default}}) == usual, key.name


@EACH
def test_value_of_wrong_type_is_refused_with_its_key(tmp_path: Path, table: str) -> None:
    for key in TABLES[table]:
        wrong = "a text\n" if not isinstance(OTHER_VALUES[key.name], str) else [1979]
        text = _text(_merged(USUAL, {table: {key.name: wrong}}))
        [found] = [each for each in problems(tmp_path, text) if f": {table}.{key.name}: " in each]
        assert f": {table}.{key.name}: expected {key.type.expected}" in found


def test_every_description_ends_with_a_full_stop() -> None:
    for table, found in TABLES.items():
        assert [key.name for key in found if not key.help.endswith(".")] == [], table
