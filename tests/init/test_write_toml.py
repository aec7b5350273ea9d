"""The text of a procman.toml that init writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from procman.config.load import load
from procman.init.draft import Draft
from procman.init.write_toml import EXAMPLES, OFFERED, text_of, to_toml
from procman.project import Command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMPLETE = {
    "name": "catmaid",
    "app": "mysite",
    "directory": "/srv/catmaid",
    "virtualenv": "/srv/env",
    "user": "www-data",
}


def complete(**project: object) -> Draft:
    return Draft({"project": COMPLETE | project, "worker.celery": {}, "supervisor": {"mode": "embedded"}})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@example('\x7f\x00\x85\u2028\\"')
@given(st.recursive(TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans(), st.lists, max_leaves=5))
def test_every_value_is_read_back(value: object) -> None:
    assert tomllib.loads(f"x = {to_toml(value)}") == {"x": value}


@example("x\ny = 1")
@example("x\x7f")
@given(st.text())
def test_no_reason_or_remark_breaks_out_of_its_comment(text: str) -> None:
    draft = complete()
    draft.remarks["project.user"] = text
    draft.ask_for("project", "settings", text)
    written = text_of(draft).encode("utf-8", "backslashreplace").decode()
    assert tomllib.loads(written)["project"] == COMPLETE


def test_every_key_follows_its_description(tmp_path: Path) -> None:
    text = text_of(complete(settings="mysite.settings"))
    assert '# The Celery app, as in celery -A.\napp = "mysite"\n' in text
    help_ = "# Django's settings module (DJANGO_SETTINGS_MODULE). If unset, the app's own default.\n"
    assert f'{help_}settings = "mysite.settings"\n' in text
    assert "# Send task events (-E), which Flower and other monitors need.\n# events = true\n" in text
    assert max(map(len, text.splitlines())) <= 110
    (tmp_path / "procman.toml").write_text(text)
    assert [program.name for program in load(tmp_path / "procman.toml", {}).programs] == ["catmaid-celery"]


def test_key_to_fill_in_is_a_comment_with_an_example() -> None:
    draft = complete()
    del draft.tables["project"]["user"]
    draft.ask_for("project", "user", "nothing says which user it is")
    assert '# FILL IN: nothing says which user it is\n# user = "www-data"\n' in text_of(draft)


def test_every_offered_key_is_valid(tmp_path: Path) -> None:
    text = text_of(complete()).replace("\n# [beat]", "\n[beat]")
    lines = [line.removeprefix("# ") if " = " in line and line.startswith("# ") else line for line in text.splitlines()]
    (tmp_path / "procman.toml").write_text("\n".join(lines))
    project = load(tmp_path / "procman.toml", {})
    assert str(project.environment_file) == "/etc/catmaid/celery.env"
    assert len(project.programs) == 2
    assert set(OFFERED) == {"project", "worker", "beat"}
    assert {"name", "app", "directory", "virtualenv", "user"} <= set(EXAMPLES)


def test_flower_is_offered_as_a_table(tmp_path: Path) -> None:
    draft = complete()
    assert "flower" not in text_of(draft)
    draft.has_flower = True
    text = text_of(draft).replace("# [command", "[command").replace("# argv", "argv")
    (tmp_path / "procman.toml").write_text(text)
    [_, flower] = load(tmp_path / "procman.toml", {}).programs
    assert isinstance(flower.options, Command)
    assert flower.options.argv[:4] == ("celery", "-A", "mysite", "flower")


def test_order_of_tables_is_fixed() -> None:
    draft = complete()
    for table in ("beat", "worker.b", "worker.a.environment", "worker.a", "environment"):
        draft.tables[table] = {"A": "1"} if table.endswith("environment") else {}
    tables = [line for line in text_of(draft).splitlines() if line.startswith("[")]
    assert tables == [
        *("[project]", "[environment]", "[worker.a]", "[worker.a.environment]", "[worker.b]", "[worker.celery]"),
        *("[beat]", "[supervisor]"),
    ]


@pytest.mark.parametrize("name", ["A", "A.B", "A B", 'A"B'])
def test_names_of_variables_are_quoted_if_necessary(name: str) -> None:
    draft = complete()
    draft.tables["environment"] = {name: "1"}
    assert tomllib.loads(text_of(draft))["environment"] == {name: "1"}
