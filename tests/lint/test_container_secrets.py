"""Secrets in compose files, Dockerfiles and Kubernetes manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.lint.lint import lint

COMPOSE = """\
services:
  worker:
    command: celery -A site worker
    stop_grace_period: 1h
    environment:
      PRICE: 5
"""

DOCKERFILE = """\
FROM python:3 AS base
ENV PRICE=5
FROM base
CMD ["celery", "-A", "site", "worker"]
"""

MANIFEST = """\
kind: StatefulSet
apiVersion: apps/v1
metadata: {name: beat}
spec:
  template:
    spec:
      containers:
        - name: beat
          command: [celery, -A, site, beat]
          env:
            - {name: PRICE, value: "5"}
"""


def found(file: Path, text: str, mode: int = 0o644) -> list[tuple[str, int]]:
    file.write_text(text)
    file.chmod(mode)
    report = lint([file])
    assert "s3cr3t" not in str(report.findings)
    return [(each.code, each.line) for each in report.findings]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("PRICE: 5", "CELERY_BROKER_URL: amqp://site:s3cr3t@rabbit/"), [("PM922", 6)]),
        (("PRICE: 5", '- "SECRET_KEY=s3cr3t"'), [("PM922", 6)]),
        (("PRICE: 5", "SECRET_KEY: ${KEY}\n      BROKER_URL: amqp://site:${PASSWORD:-x}@rabbit/"), []),
        (("site worker", "site worker -b redis://:s3cr3t@redis/0"), [("PM921", 3)]),
        (("site worker", "site worker -b redis://:$PASSWORD@redis/0"), [("PM921", 3)]),
        (("site worker", "site worker -b $BROKER"), []),
        (("PRICE: 5", "A: 5\n  slow:\n    extends: worker\n    environment: {DB_PASSWORD: s3cr3t}"), [("PM922", 9)]),
    ],
)
def test_compose(tmp_path: Path, change: tuple[str, str], expected: list[tuple[str, int]]) -> None:
    assert found(tmp_path / "compose.yaml", COMPOSE.replace(*change)) == expected


def test_compose_file_that_only_its_owner_can_read_may_hold_secrets(tmp_path: Path) -> None:
    text = COMPOSE.replace("PRICE: 5", "SECRET_KEY: s3cr3t")
    assert found(tmp_path / "compose.yaml", text, 0o640) == []


def test_secret_of_an_override_has_the_line_in_the_override(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text("services:\n  worker:\n    environment: [SECRET_KEY=s3cr3t]\n")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    assert [(each.code, each.file, each.line) for each in lint([tmp_path]).findings] == [("PM922", override, 3)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("PRICE=5", "SECRET_KEY=s3cr3t"), [("PM922", 2)]),
        (("PRICE=5", "SECRET_KEY s3cr3t"), [("PM922", 2)]),
        (("FROM base\n", "FROM base\nENV A=1 CELERY_BROKER_URL=amqp://site:s3cr3t@rabbit/\n"), [("PM922", 4)]),
        (("FROM base\n", "FROM base\nENV SECRET_KEY=$KEY BROKER_URL=amqp://site:${PASSWORD}@rabbit/\n"), []),
        (("PRICE=5\nFROM base", "SECRET_KEY=s3cr3t\nFROM python:3"), []),
        (('"worker"', '"worker", "-b", "redis://:s3cr3t@redis/0"'), [("PM921", 4)]),
    ],
)
def test_dockerfile(tmp_path: Path, change: tuple[str, str], expected: list[tuple[str, int]]) -> None:
    assert found(tmp_path / "Dockerfile", DOCKERFILE.replace(*change), 0o600) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('{name: PRICE, value: "5"}', "{name: DB_PASSWORD, value: s3cr3t}"), [("PM922", 11)]),
        (('{name: PRICE, value: "5"}', "{name: BROKER_URL, value: amqp://site:$(PASSWORD)@rabbit/}"), []),
        (('{name: PRICE, value: "5"}', "{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: site, key: db}}}"), []),
        (("site, beat", "site, beat, -b, amqp://site:s3cr3t@rabbit/"), [("PM921", 9)]),
        (
            ("      cont", "      initContainers: [{name: wait, env: [{name: API_KEY, value: s3cr3t}]}]\n      cont"),
            [("PM922", 7)],
        ),
    ],
)
def test_manifest(tmp_path: Path, change: tuple[str, str], expected: list[tuple[str, int]]) -> None:
    assert found(tmp_path / "beat.yaml", MANIFEST.replace(*change), 0o600) == expected


def test_config_map_is_judged_and_secret_is_not(tmp_path: Path) -> None:
    data = "apiVersion: v1\nkind: {}\nmetadata: {{name: site}}\n{}:\n  DB_PASSWORD: s3cr3t\n  PRICE: '5'\n"
    file = "  settings.py: |\n    PASSWORD = 's3cr3t'\n    DEBUG = False\n"
    text = f"{data.format('ConfigMap', 'data')}{file}---\n{MANIFEST}---\n{data.format('Secret', 'stringData')}"
    assert found(tmp_path / "site.yaml", text) == [("PM922", 5)]
