"""The alert rules and the dashboard, on metrics recorded from real faults (record.py), as promtool evaluates them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

RECORDED = Path(__file__).parent / "recorded"
DOCS = Path(__file__).parents[2] / "docs/prometheus"
RULES, DASHBOARD = DOCS / "procman.rules.yml", DOCS / "procman-dashboard.json"
MINUTES = 120
FRESH = {'node_textfile_mtime_seconds{file="/var/lib/procman-catmaid.prom",instance="one"}': "0+60x120"}
"""The collector's own metric: the file was written just now, at every minute."""

ALERTS = 'sum by (alertname, program, queue) (ALERTS{alertstate="firing"})'
CRITICAL, DOWN, PROJECT = "CeleryProgramCritical", "CeleryProgramDown", "CeleryProjectCritical"

EXPECTED: dict[str, set[tuple[str, str]]] = {
    "healthy": set(),
    "stopped on purpose": set(),
    "frozen worker": {(CRITICAL, "catmaid-crop")},
    "crash loop": {
        (CRITICAL, "catmaid-relay"),
        (DOWN, "catmaid-relay"),
        ("CeleryProgramRestarts", "catmaid-relay"),
    },
    "queue without a worker": {("CeleryQueueWithoutConsumer", ""), ("CeleryWarning", "")},
    "killed worker": {("CeleryWarning", "")},
    "dead supervisord": {(PROJECT, "")},
    "broker down": {("CeleryBrokerDown", ""), ("CeleryWarning", "")},
}
"""The alerts, each with its program, that fire if the recorded condition lasts."""


def promtool(*words: str, directory: Path | None = None) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool")
    done = subprocess.run([program, *words], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(name: str) -> Iterator[tuple[str, str]]:
    """Yield each series of a recording with its value at every minute."""
    text = (RECORDED / f"{name}.prom").read_text()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {**sample.labels, "instance": "one"}
            shown = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
            yield f"{sample.name}{{{shown}}}", f"{sample.value:.15g}x{MINUTES}"


def condition(
    name: str, values: Mapping[str, str], expected: Sequence[Mapping[str, Any]], *minutes: int
) -> dict[str, Any]:
    """Return a test of promtool that compares the alerts at each of `minutes` with the `expected` samples."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": name, "values": each} for name, each in values.items()],
        "promql_expr_test": [
            {"expr": ALERTS, "eval_time": f"{minute}m", "exp_samples": list(expected)} for minute in minutes
        ],
    }


def evaluate(directory: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Let promtool carry out all `tests` at once, because it starts slowly; YAML includes JSON."""
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(tests)}
    (directory / "test.yml").write_text(json.dumps(document))
    promtool("test", "rules", "test.yml", directory=directory)


def firing(alerts: set[tuple[str, str]]) -> list[dict[str, Any]]:
    labels = [
        f'{{alertname="{alert}"' + (f',program="{program}"' if program else "") + "}" for alert, program in alerts
    ]
    return [{"labels": each, "value": 1} for each in labels]


def test_rules_are_valid() -> None:
    assert "10 rules found" in promtool("check", "rules", str(RULES))


def test_every_recording_is_expected_and_every_alert_is_seen() -> None:
    assert {path.stem for path in RECORDED.glob("*.prom")} == set(EXPECTED)
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    tested = {alert for expected in EXPECTED.values() for alert, _ in expected}
    assert alerts - tested == {"ProcmanMetricsStale", "CeleryQueueGrows", "CeleryHealthUnknown"}


def test_condition_that_lasts_raises_its_alerts_and_no_other(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        [
            condition(name, {**dict(series(name)), **FRESH}, firing(expected), 100)
            for name, expected in EXPECTED.items()
        ],
    )


def test_condition_that_takes_time_raises_its_alert(tmp_path: Path) -> None:
    conditions = [
        (
            "the file gets old",
            {'node_textfile_mtime_seconds{file="/var/lib/procman-catmaid.prom"}': "0+0x120"},
            '"ProcmanMetricsStale"',
        ),
        (
            "a queue grows",
            {'procman_queue_messages{project="catmaid",queue="crop"}': "100+10x120"},
            '"CeleryQueueGrows",queue="crop"',
        ),
        (
            "the health is unknown",
            {'procman_program_level{program="catmaid-crop"}': "3x120"},
            '"CeleryHealthUnknown",program="catmaid-crop"',
        ),
    ]
    evaluate(
        tmp_path,
        [
            condition(name, values, [{"labels": f"{{alertname={labels}}}", "value": 1}], 110)
            for name, values, labels in conditions
        ],
    )


def test_normal_operation_raises_no_alert(tmp_path: Path) -> None:
    conditions = {
        # The workers keep up with a full queue.
        "a queue shrinks": {'procman_queue_messages{project="catmaid",queue="crop"}': "500-1x120"},
        "a queue is short": {'procman_queue_messages{project="catmaid",queue="crop"}': "0+0.5x120"},
        # A deploy takes a minute.
        "a moment": {'procman_program_level{program="catmaid-crop"}': "0x60 2x1 0x60"},
    }
    evaluate(tmp_path, [condition(name, values, [], 62, 65, 110) for name, values in conditions.items()])


def families() -> set[str]:
    """Return the names of all metrics that procman has been seen to export."""
    text = "".join(path.read_text() for path in RECORDED.glob("*.prom"))
    return set(re.findall(r"^# TYPE (\w+) gauge", text, re.MULTILINE))


def used(text: str) -> set[str]:
    return set(re.findall(r"\bprocman_\w+", text))


def test_rules_and_dashboard_use_only_metrics_that_procman_exports(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert used(re.sub(r"#.*", "", RULES.read_text())) <= families()
    assert used(" ".join(expressions)) <= families()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    # promtool reads each expression of the dashboard as that of a rule.
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", "rules.yml", directory=tmp_path)
