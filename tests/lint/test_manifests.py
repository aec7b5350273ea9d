"""Kubernetes manifests of unusual form: lists, aliases, JSON, wrong types."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.lint.inputs import LintReport
from procman.lint.lint import lint

BEAT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: beat}
spec:
  template:
    spec:
      containers:
        - name: beat
          command: [celery, -A, site, beat]
"""


def linted(tmp_path: Path, text: str, name: str = "manifest.yaml") -> LintReport:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return lint([file])


def places(report: LintReport) -> list[tuple[str, int, str]]:
    return [(each.code, each.line, each.program) for each in report.findings]


def as_item(text: str) -> str:
    first, *rest = text.splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest), ""])


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: List\nitems: 5\n",
        "apiVersion: v1\nkind: List\nitems: {a: b}\n",
        "apiVersion: v1\nkind: [Deployment]\n",
        "apiVersion: v1\nkind: {a: b}\n",
        "apiVersion: v1\nkind: List\nitems: &a [*a]\n",
        "apiVersion: v1\nkind: List\nitems: &a\n  - {kind: List, items: *a}\n",
        "apiVersion: v1\nkind: List\nitems:\n  - &a {kind: List, items: [*a]}\n",
    ],
)
def test_object_of_a_wrong_type_is_left_out(tmp_path: Path, text: str) -> None:
    report = linted(tmp_path, f"{text}---\n{BEAT}")
    assert [each.code for each in report.findings] == ["PM965"]


def test_items_of_a_list_have_their_lines(tmp_path: Path) -> None:
    text = f"apiVersion: v1\nkind: List\nitems:\n  - {{kind: Service}}\n{as_item(BEAT)}"
    assert places(linted(tmp_path, text)) == [("PM965", 13, "Deployment/beat/beat")]


def test_lists_in_lists_are_read_once_however_often_aliases_repeat_them(tmp_path: Path) -> None:
    levels = "".join(
        f"  - &a{number} {{kind: List, items: [{', '.join([f'*a{number - 1}'] * 9)}]}}\n" for number in range(1, 40)
    )
    first = as_item(BEAT).replace("- ", "- &a0\n    ", 1)
    text = f"apiVersion: v1\nkind: List\nitems:\n{first}{levels}"
    assert [each.code for each in linted(tmp_path, text).findings] == ["PM965"]
