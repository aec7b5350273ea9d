"""Lint of the process files of public deployments: the table in docs/check.md has all findings, each one reviewed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from procman.errors import ConfigurationError
from procman.lint.inputs import LintReport
from procman.lint.lint import lint
from procman.model import Kind, Level
from tests.init.deployments import Deployment, deployments, put_on_disk

DOCUMENT = Path(__file__).parents[2] / "docs/check.md"

Reports = dict[str, LintReport | None]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Return the report of each deployment; None for a format that is not linted."""
    root = tmp_path_factory.mktemp("deployments")
    return {each.name: _linted(each, root / each.name) for each in deployments()}


def _linted(deployment: Deployment, root: Path) -> LintReport | None:
    put_on_disk(deployment.name, root)
    try:
        return lint([root / source for source in deployment.sources], root=root)
    except ConfigurationError:
        return None


def test_every_worker_and_beat_is_recognised(reports: Reports) -> None:
    for deployment in deployments():
        report = reports[deployment.name]
        # One program with celery multi starts several workers.
        if report and "multi" not in deployment.form:
            workers = [each for each in report.programs if each.celery is Kind.WORKER]
            expected = [each for each in deployment.programs if " beat" not in each["celery"]]
            assert len(workers) == len(expected), deployment.name


def test_stop_timeout_of_a_second_is_found_behind_variables(reports: Reports) -> None:
    mayan = reports["mayan"]
    assert mayan
    found = [each for each in mayan.findings if each.code == "PM902"]
    assert [(each.level, each.line) for each in found] == [(Level.CRITICAL, line) for line in (26, 39, 52, 65)]
    assert all("waits 1 s" in each.why for each in found)


def test_docs_have_the_findings_of_all_deployments(reports: Reports) -> None:
    rows = [f"| {each.title} | {_judged(reports[each.name])} |" for each in deployments()]
    table = "\n".join(["| deployment | programs | findings |", "|---|---|---|", *rows])
    assert table in DOCUMENT.read_text(encoding="utf-8")


def _judged(report: LintReport | None) -> str:
    if report is None:
        return "not read | a format that is not linted: `procman init --from` imports it"
    kinds = Counter(each.celery for each in report.programs)
    workers = f"{kinds[Kind.WORKER]} {'worker' if kinds[Kind.WORKER] == 1 else 'workers'}"
    programs = ", ".join(filter(None, (workers if kinds[Kind.WORKER] else "", "beat" if kinds[Kind.BEAT] else "")))
    codes = Counter((each.code, each.level) for each in report.findings)
    found = [_counted(code, level, count) for (code, level), count in sorted(codes.items())]
    return f"{programs} | {', '.join(found) or 'none'}"


def _counted(code: str, level: Level, count: int) -> str:
    shown = f"**{code}**" if level is Level.CRITICAL else code
    return f"{shown} ×{count}" if count > 1 else shown
