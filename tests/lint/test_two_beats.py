"""Two beats of one project in the given files, and what makes them those of two projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.lint.lint import lint
from procman.model import Level
from tests.lint.valid_files import VALID_SECTION, VALID_UNIT

SECTION = VALID_SECTION.replace("site-worker", "site-beat").replace("site worker", "site beat")
UNIT = VALID_UNIT.replace("site worker", "site beat") + "[Install]\nWantedBy=multi-user.target\n"

SERVICE = """\
  {name}:
    image: site
    command: celery -A site beat
    environment: {{BROKER: $STAGE}}
"""

STATEFUL_SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: beat
          image: site:1
          command: [celery, -A, site, beat]
          env: [{name: BROKER, value: $(REDIS)}, {name: KEY, valueFrom: {secretKeyRef: {name: site, key: key}}}]
"""


def found(*files: Path) -> list[tuple[str, Level, str, int]]:
    findings = lint(files).findings
    return [(each.file.name, each.level, each.program, each.line) for each in findings if each.code == "PM965"]


def two_sections(directory: Path, old: str = "", new: str = "") -> list[tuple[str, Level, str, int]]:
    second = SECTION.replace("site-beat", "again").replace(old, new)
    file = directory / "site.conf"
    file.write_text(f"{SECTION}{second}")
    return found(file)


def test_second_beat_of_supervisord_is_critical(tmp_path: Path) -> None:
    assert two_sections(tmp_path) == [("site.conf", Level.CRITICAL, "program:again", 12)]
    [finding] = [each for each in lint([tmp_path / "site.conf"]).findings if each.code == "PM965"]
    assert f"program:site-beat ({tmp_path}/site.conf:2)" in finding.why


@pytest.mark.parametrize(
    "change",
    [
        ("site beat", "site.celery:app beat"),
        ("site beat", "site beat -s /var/lib/site/schedule"),
        ("site beat", "site worker -B"),
        ("user=", 'environment=PYTHONUNBUFFERED="1"\nuser='),
    ],
)
def test_second_beat_is_found_however_it_is_written(tmp_path: Path, change: tuple[str, str]) -> None:
    assert len(two_sections(tmp_path, *change)) == 1


@pytest.mark.parametrize(
    "change",
    [
        ("site beat", "shop beat"),
        ("site beat", "site:shop beat"),
        ("site beat", "site worker"),
        ("site beat", "site beat -b redis://other/0"),
        ("site beat", "site --config=staging beat"),
        ("site beat", "site beat -S redbeat.RedBeatScheduler"),
        ("/opt/site", "/opt/staging"),
        ("/opt/env", "/opt/staging"),
        ("user=", 'environment=DJANGO_SETTINGS_MODULE="staging"\nuser='),
        ("user=", 'environment=BROKER="%(ENV_STAGING)s"\nuser='),
        ("user=", "autostart=false\nuser="),
    ],
)
def test_beat_of_another_project_is_no_fault(tmp_path: Path, change: tuple[str, str]) -> None:
    assert two_sections(tmp_path, *change) == []


def test_value_that_supervisord_fills_in_is_compared_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    first = SECTION.replace("user=", 'environment=BROKER="%(ENV_ONE)s"\nuser=')
    file.write_text(first + first.replace("site-beat", "again").replace("ENV_ONE", "ENV_TWO"))
    assert found(file) == []
    file.write_text(first + first.replace("site-beat", "again"))
    assert len(found(file)) == 1


def test_files_of_two_directories_are_those_of_two_hosts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.conf").write_text(SECTION.replace("site-beat", name))
    assert found(tmp_path / "one", tmp_path / "two") == []


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (("", ""), 1),
        (("[Install]", "[Other]"), 0),
        (("[Install]", "Environment=STAGE=test\n[Install]"), 0),
        (("User=", "WorkingDirectory=/opt/other\nUser="), 0),
        (("User=", "EnvironmentFile=/etc/other.env\nUser="), 0),
        (("[Unit]", "[Unit]\nConflicts=beat.service"), 0),
    ],
)
def test_second_unit_of_beat_is_critical_if_both_are_enabled(
    tmp_path: Path, change: tuple[str, str], number: int
) -> None:
    (tmp_path / "beat.service").write_text(UNIT)
    (tmp_path / "celerybeat.service").write_text(UNIT.replace(*change))
    expected = [("celerybeat.service", Level.CRITICAL, "celerybeat.service")]
    assert [each[:3] for each in found(tmp_path)] == expected * number


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("", "", 1),
        ("image: site", "image: other", 0),
        ("BROKER: $STAGE", "BROKER: $OTHER", 0),
        ("image: site", "image: site\n    profiles: [test]", 0),
        ("image: site", "image: site\n    deploy: {replicas: 0}", 0),
        ("image: site", "image: site\n    env_file: other.env", 0),
        ("image: site", "image: site\n    volumes: ['./other:/code']", 0),
        ("image: site", "image: site\n    x: &a [*a]", 1),
        ("image: site", "image: site\n    volumes: &a [*a]", 0),
    ],
)
def test_second_beat_of_a_compose_file(tmp_path: Path, old: str, new: str, number: int) -> None:
    file = tmp_path / "compose.yaml"
    second = SERVICE.format(name="again").replace(old, new)
    file.write_text(f"services:\n{SERVICE.format(name='beat')}{second}")
    assert [each[1:3] for each in found(file)] == [(Level.CRITICAL, "again")] * number


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("NAME", "again", 1),
        ("NAME", "beat", 0),
        ("{name: NAME}", "{name: again, namespace: test}", 0),
        ("replicas: 1", "replicas: 0", 0),
        ("site:1", "other:1", 0),
        ("$(REDIS)", "$(OTHER)", 0),
        ("{name: site, key", "{name: other, key", 0),
        ("    spec:\n", "    spec:\n      volumes: [{name: settings, configMap: {name: other}}]\n", 0),
    ],
)
def test_second_beat_of_a_manifest(tmp_path: Path, old: str, new: str, number: int) -> None:
    file = tmp_path / "beat.yaml"
    second = STATEFUL_SET.replace(old, new).replace("NAME", "again")
    file.write_text(f"{STATEFUL_SET.replace('NAME', 'beat')}---\n{second}")
    assert [each[1:3] for each in found(file)] == [(Level.CRITICAL, "StatefulSet/again/beat")] * number


AUTOSCALER = """\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: beat}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: beat}
  maxReplicas: 3
"""


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "", [19]),
        ("maxReplicas: 3", "maxReplicas: 1", []),
        ("name: beat}\n  max", "name: web}\n  max", []),
        ("HorizontalPodAutoscaler", "ScaledObject", [17]),
        ("HorizontalPodAutoscaler", "[HorizontalPodAutoscaler]", []),
        ("maxReplicas: 3", "maxReplicas: [3]", []),
    ],
)
def test_autoscaler_of_beat_is_critical(tmp_path: Path, old: str, new: str, lines: list[int]) -> None:
    file = tmp_path / "beat.yaml"
    file.write_text(f"{STATEFUL_SET.replace('NAME', 'beat')}{AUTOSCALER.replace(old, new)}")
    assert [each[3] for each in found(file)] == lines


@pytest.mark.parametrize(("policy", "number"), [("", 1), ("  concurrencyPolicy: Forbid\n", 0)])
def test_beat_of_a_cron_job_is_critical_if_its_runs_overlap(tmp_path: Path, policy: str, number: int) -> None:
    file = tmp_path / "beat.yaml"
    pod = STATEFUL_SET.split("  template:\n")[1].replace("\n", "\n        ").rstrip()
    file.write_text(
        f"apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: beat}}\nspec:\n{policy}  schedule: 0 0 * * *\n"
        f"  jobTemplate:\n    spec:\n      template:\n        {pod}\n"
    )
    assert [each[1:3] for each in found(file)] == [(Level.CRITICAL, "CronJob/beat/beat")] * number
    assert [each.name for each in lint([file]).programs] == ["CronJob/beat/beat"]
