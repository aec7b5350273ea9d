"""Kubernetes manifests of unusual form: lists, aliases, JSON, wrong types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from procman.init.importing.readers import yaml_documents
from procman.lint.inputs import LintReport, NotAllRead
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


def test_file_that_cannot_be_read_hides_no_findings_of_the_others(tmp_path: Path) -> None:
    for name in ("first.yaml", "last.yaml"):
        (tmp_path / name).write_text(BEAT)
    (tmp_path / "crd.yaml").write_text(f"apiVersion: v1\nkind: CustomResourceDefinition\n{'# x' * 1_500_000}\n")
    (tmp_path / "tag.yaml").write_text(f"{BEAT}x: !vault y\n")
    (tmp_path / "compose.yaml").write_text("services: []\n")
    (tmp_path / "broken.ini").write_bytes(b"\0")
    (tmp_path / "site.conf").write_text("[program:site]\ncommand=celery -A site worker\nstopasgroup=true\n")
    (tmp_path / "wide.conf").write_text("[include]\nfiles = /*/*/*/*/*.conf\n")
    with pytest.raises(NotAllRead) as caught:
        lint([tmp_path])
    found = {(each.file.name, each.code) for each in caught.value.report.findings}
    assert {("first.yaml", "PM965"), ("last.yaml", "PM965"), ("site.conf", "PM901")} <= found
    names = ["broken.ini", "crd.yaml", "wide.conf", "compose.yaml", "tag.yaml"]
    assert len(caught.value.problems) == len(names)
    assert all(f"{tmp_path}/{name}" in each for name, each in zip(names, caught.value.problems, strict=True))


def test_built_export_is_judged_although_it_contains_the_agent(tmp_path: Path) -> None:
    content = "    x = 1  # a line of a program\n" * 5000
    files = "".join(f"  file{number}.py: |\n{content}" for number in range(4))
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: agent}}\ndata:\n{files}---\n{BEAT}"
    assert len(text) > 500_000
    assert [each.code for each in linted(tmp_path, text).findings] == ["PM965"]


def refused(file: Path) -> NotAllRead:
    with pytest.raises(NotAllRead) as caught:
        lint([file])
    return caught.value


@pytest.mark.parametrize("text", [f"{BEAT}x: [{'a,' * 1_500}]\n", f"{BEAT}#{'x' * 5_000_000}\n"])
def test_manifest_that_would_take_long_to_parse_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Up to the bound of users it takes seconds.
    assert yaml_documents.MOST_NODES <= 150_000
    monkeypatch.setattr(yaml_documents, "MOST_NODES", 1_500)
    file = tmp_path / "large.yaml"
    file.write_text(text)
    error = refused(file)
    assert re.search("with only .* Celery", f"{error.problems[0]} {error.hint}")


def test_template_is_to_be_rendered_first(tmp_path: Path) -> None:
    file = tmp_path / "beat.yaml"
    file.write_text(BEAT.replace("beat}", "{{ .Values.name }}}"))
    assert "helm template" in refused(file).hint
    file.write_text(BEAT.replace("beat}", "a: b: c}"))
    assert refused(file).hint == "Correct that line."


def test_kustomization_is_to_be_built_first(tmp_path: Path) -> None:
    file = tmp_path / "kustomization.yaml"
    file.write_text("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [beat.yaml]\n")
    error = refused(file)
    assert f"kubectl kustomize {tmp_path}" in error.problems[0]
    assert error.hint == ""
    (tmp_path / "beat.yaml").write_text(BEAT)
    assert [each.code for each in lint([tmp_path]).findings] == ["PM965"]


def test_missing_file_is_the_only_cause_that_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "nosuch.yaml")
    assert error.problems == (f"{tmp_path}/nosuch.yaml does not exist: Correct the path.",)
    assert error.hint == ""
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  worker:\n    extends: {file: nosuch.yaml, service: base}\n")
    assert f"{tmp_path}/nosuch.yaml does not exist" in refused(file).problems[0]


def test_dockerfile_of_any_name_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "worker.image"
    file.write_text('# syntax=docker/dockerfile:1\nARG VERSION=3\n\nfrom python:3\nCMD ["celery", "-A", "x", "beat"]\n')
    assert [each.name for each in lint([file]).programs] == ["worker.image"]


@pytest.mark.parametrize(
    "text", [f"\ufeff{BEAT}", BEAT.replace("apiVersion", '"apiVersion"').replace("kind", "'kind'")]
)
def test_manifest_is_recognised_behind_a_byte_order_mark_and_with_quotes(tmp_path: Path, text: str) -> None:
    assert [each.code for each in linted(tmp_path, text).findings] == ["PM965"]


def test_manifest_in_json_has_lines(tmp_path: Path) -> None:
    pod = {"containers": [{"name": "beat", "command": ["celery", "-A", "site", "beat"]}]}
    beat = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "beat"},
        "spec": {"template": {"spec": pod}},
    }
    document = {"apiVersion": "v1", "kind": "List", "items": [{"kind": "Service"}, beat]}
    text = json.dumps(document, indent="\t")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if '"command"' in each)
    assert places(linted(tmp_path, text, "list.json")) == [("PM965", line, "Deployment/beat/beat")]
    assert places(linted(tmp_path, json.dumps(document), "list.yaml")) == [("PM965", 1, "Deployment/beat/beat")]
    with pytest.raises(NotAllRead, match="not a file of supervisord"):
        linted(tmp_path, '{"name": "site", "version": "1"}', "package.json")
