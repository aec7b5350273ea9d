"""Compose files, Dockerfiles and Kubernetes manifests with the faults of public charts, and the findings in each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from procman.deploy.render import write_below
from procman.errors import ConfigurationError
from procman.export import target_named
from procman.lint.inputs import Finding, LintReport
from procman.lint.lint import lint
from procman.model import Kind, Level
from tests.export.projects import FULL, project, readme

FILES = Path(__file__).parent / "containers"
DOCUMENT = Path(__file__).parents[2] / "docs/check.md"

TITLES = {
    "01-program-is-a-string.yaml": "probe whose program is a string to Python, no grace period",
    "02-two-beats-in-a-rollout.yaml": "worker and beat as Deployments, nothing else set",
    "03-any-worker-answers.yaml": "beat with `strategy: Recreate`, `inspect ping` as the probe of both",
    "04-grace-below-the-time-limit.yaml": "grace period of 60 s, `--time-limit=3600`",
    "05-status-is-ignored.yaml": "health checks that end with `\\|\\| true`, or find their own grep",
    "06-compose-of-a-template.yaml": "compose file without `stop_grace_period`, two beats",
    "07-init-signals-the-group.yaml": "`dumb-init`, `tini -g`, and `dumb-init` with `DUMB_INIT_SETSID=0`",
    "08-shell-form.Dockerfile": "`CMD` in shell form, `STOPSIGNAL SIGQUIT`, `HEALTHCHECK CMD exit 0`",
    "09-tini-of-an-image.Dockerfile": "`tini -g` as the entry point, a worker with `-B`",
    "10-shell-of-a-chart.yaml": "`sh -c` without exec, StatefulSet of two beats",
}
"""What each file shows."""


def found_in(name: str) -> LintReport:
    return lint([FILES / name])


def counted(found: tuple[Finding, ...]) -> str:
    codes = Counter((each.code, each.level) for each in found)
    shown = ((f"**{code}**" if level is Level.CRITICAL else code, number) for (code, level), number in codes.items())
    return ", ".join(sorted(f"{code} ×{number}" if number > 1 else code for code, number in shown)) or "none"


def test_docs_have_the_findings_of_every_fault() -> None:
    assert sorted(path.name for path in FILES.iterdir()) == list(TITLES)
    rows = [f"| {title} | {counted(found_in(name).findings)} |" for name, title in TITLES.items()]
    table = "\n".join(["| file with | findings |", "|---|---|", *rows])
    assert table in DOCUMENT.read_text(encoding="utf-8")


def lines(name: str) -> list[tuple[str, int, str]]:
    return [(each.code, each.line, each.program) for each in found_in(name).findings]


def test_findings_have_the_line_and_the_program() -> None:
    assert lines("02-two-beats-in-a-rollout.yaml") == [
        ("PM960", 13, "Deployment/worker/worker"),
        ("PM965", 27, "Deployment/beat/beat"),
    ]
    assert lines("07-init-signals-the-group.yaml") == [("PM962", 4, "worker"), ("PM962", 9, "slow")]
    assert lines("08-shell-form.Dockerfile") == [
        ("PM966", 5, "08-shell-form.Dockerfile"),
        ("PM963", 6, "08-shell-form.Dockerfile"),
        ("PM961", 7, "08-shell-form.Dockerfile"),
    ]
    assert ("PM965", 18, "StatefulSet/beat/beat") in lines("10-shell-of-a-chart.yaml")


def test_programs_are_recognised() -> None:
    report = found_in("07-init-signals-the-group.yaml")
    assert [(each.name, each.celery) for each in report.programs] == [
        (name, Kind.WORKER) for name in ("worker", "slow", "right")
    ]
    assert [each.celery for each in found_in("09-tini-of-an-image.Dockerfile").programs] == [Kind.WORKER]


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
@pytest.mark.parametrize("text", [readme(), FULL], ids=["readme", "full"])
def test_export_has_no_findings(tmp_path: Path, text: str, target: str) -> None:
    rendering = target_named(target).render(project(tmp_path, text, target))
    write_below(rendering, tmp_path / "out")
    files = sorted((tmp_path / "out").glob("*.yaml"))
    report = lint([path for path in files if path.name != "kustomization.yaml"])
    assert report.findings == ()
    programs = project(tmp_path, text, target).programs
    # In Kubernetes the instances of a worker are replicas of one.
    expected = {each.key for each in programs if each.kind is not Kind.COMMAND}
    assert len(report.programs) >= len(expected)
    assert {each.celery for each in report.programs} == {Kind.WORKER, Kind.BEAT}


def test_comment_ignores_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    text = (FILES / "07-init-signals-the-group.yaml").read_text()
    file.write_text(f"# procman: ignore PM962 because the tasks are short\n{text}")
    assert {(each.code, each.accepted) for each in lint([file]).findings} == {("PM962", True)}


def test_directory_is_searched_and_other_yaml_left_out(tmp_path: Path) -> None:
    for name in ("06-compose-of-a-template.yaml", "08-shell-form.Dockerfile"):
        (tmp_path / name).write_text((FILES / name).read_text())
    (tmp_path / "values.yaml").write_text("replicas: 1\n")
    assert {each.file.name for each in lint([tmp_path]).programs} == {
        "06-compose-of-a-template.yaml",
        "08-shell-form.Dockerfile",
    }
    with pytest.raises(ConfigurationError, match="not a file of supervisord"):
        lint([tmp_path / "values.yaml"])


def test_template_that_is_not_rendered_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Values.name }}\n")
    with pytest.raises(ConfigurationError, match=r"deployment\.yaml:4"):
        lint([file])


@pytest.mark.parametrize(
    ("test", "code"),
    [
        ('["CMD-SHELL", "celery -A site inspect ping -d celery@$$HOSTNAME"]', None),
        ('["CMD", "celery", "-A", "site", "inspect", "ping", "-d", "celery@host"]', None),
        # No shell replaces the variable.
        ('["CMD", "celery", "-A", "site", "inspect", "ping", "-d", "celery@$$HOSTNAME"]', "PM964"),
        ('["CMD", "celery", "-A", "site", "status"]', "PM964"),
        ('["CMD", "true"]', "PM963"),
        ('["NONE"]', None),
        ("pgrep -f 'celery worker' || exit 1", None),
        ("celery -A site inspect ping -d w@h && echo fine", None),
        ("celery -A site inspect ping -d w@h; exit 0", "PM963"),
        ("ps aux | grep '[c]elery'", None),
        ("ps ax | grep -v grep | grep celery", None),
        ('["CMD", "python3", "-c", "import sys; sys.exit(0)"]', None),
    ],
)
def test_probe(tmp_path: Path, test: str, code: str | None) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        "services:\n  worker:\n    image: site\n    command: celery -A site worker\n    stop_grace_period: 1h\n"
        f"    healthcheck:\n      test: {test}\n"
    )
    assert [each.code for each in lint([file]).findings] == ([code] if code else [])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("Dockerfile", 'FROM x\nENTRYPOINT ["tini", "-g", "--"]\nCMD ["celery", "-A", "x", "worker"]\n', 2),
        ("Dockerfile", 'FROM x\nENTRYPOINT ["/run.sh"]\nCMD ["tini", "-g", "celery", "-A", "x", "worker"]\n', 3),
        (
            "compose.yaml",
            "services:\n  w:\n    command: celery -A x worker\n    entrypoint: dumb-init --\n    stop_grace_period: 1h",
            4,
        ),
    ],
)
def test_init_has_the_line_of_the_entry_point(tmp_path: Path, name: str, text: str, line: int) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert [(each.code, each.line) for each in lint([file]).findings] == [("PM962", line)]
