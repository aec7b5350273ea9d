"""Templates print what has passed a quoting filter, and say where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.templating import Templates, builtin_templates

SECTION = "supervisor/program.conf.j2"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory of the user's with a template that replaces procman's; tests write into it what they need."""
    directory = tmp_path / "templates"
    (directory / "supervisor").mkdir(parents=True)
    (directory / SECTION).write_text("")
    return directory


def _render(own: Path, text: str, **values: object) -> str:
    (own / SECTION).write_text(text, encoding="utf-8")
    return Templates(own).render(SECTION, values)


def test_every_builtin_template_is_found_and_parsed() -> None:
    names = [str(path.relative_to(builtin_templates())) for path in builtin_templates().rglob("*.j2")]
    assert SECTION in names
    for name in names:
        with pytest.raises(ProcmanError, match="is undefined"):
            Templates().render(name, {})


def test_value_that_passed_a_filter_is_printed(own: Path) -> None:
    assert _render(own, "a={{ value | shell }}\n", value="two words") == "a='two words'\n"


def test_number_is_printed_as_it_is(own: Path) -> None:
    assert _render(own, "a={{ value }}\n", value=3) == "a=3\n"


@pytest.mark.parametrize("value", ["text", Path("/x"), True, None, 1.5, ("a",)])
def test_value_without_a_filter_is_refused(own: Path, value: object) -> None:
    with pytest.raises(ProcmanError, match="without a quoting filter"):
        _render(own, "a={{ value }}\n", value=value)


def test_text_put_together_behind_a_filter_is_refused(own: Path) -> None:
    with pytest.raises(ProcmanError, match="without a quoting filter"):
        _render(own, "a={{ (value | shell) ~ other }}\n", value="a", other="\n[program:evil]")


def test_constant_of_a_template_needs_a_filter_too(own: Path) -> None:
    with pytest.raises(ProcmanError, match="without a quoting filter"):
        _render(own, "{{ 'text' }}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n{{ missing | shell }}\n", "'missing' is undefined"),
        ("\n{{ missing }}\n", "'missing' is undefined"),
        ("\n{{ value.missing | shell }}\n", "has no attribute 'missing'"),
        ("\n{{ value }}\n", "without a quoting filter"),
        ("\n{{ value + 1 }}\n", "TypeError: can only concatenate str"),
        ("\n{{ 1 // 0 }}\n", "ZeroDivisionError"),
        ("\n{{ broken | shell }}\n", "it contains a line break"),
        ("\n{{ value | sehll }}\n", "No filter named 'sehll'"),
        ("\n{% if value %}\n", "Unexpected end of template"),
        ("\n{{ value value }}\n", "got 'value'"),
    ],
)
def test_mistake_is_told_with_template_and_line(own: Path, text: str, message: str) -> None:
    with pytest.raises(ProcmanError) as caught:
        _render(own, text, value="text", broken="two\nlines")
    assert f"{own / SECTION}:2: " in caught.value.message
    assert message in caught.value.message


def test_mistake_in_an_included_template_is_told_with_that_template(own: Path) -> None:
    (own / "part.j2").write_text("\n\n{{ missing | shell }}\n")
    with pytest.raises(ProcmanError) as caught:
        _render(own, "{% include 'part.j2' %}\n")
    assert f"template {own / 'part.j2'}:3: " in caught.value.message


def test_template_that_is_not_there_is_told_with_the_places_looked_at(own: Path) -> None:
    with pytest.raises(ProcmanError) as caught:
        Templates(own).render("supervisor/other.j2", {})
    assert "supervisor/other.j2" in caught.value.message
    assert str(own) in caught.value.hint


def test_template_that_is_not_utf8_is_told(own: Path) -> None:
    (own / SECTION).write_bytes(b"\xff")
    with pytest.raises(ProcmanError, match=f"{SECTION}: UnicodeDecodeError"):
        Templates(own).render(SECTION, {})


def test_template_of_the_users_replaces_one_and_leaves_the_others(own: Path) -> None:
    (own / SECTION).write_text("mine\n")
    templates = Templates(own)
    assert templates.render(SECTION, {}) == "mine\n"
    with pytest.raises(ProcmanError, match=str(builtin_templates() / "supervisor" / "start.sh.j2")):
        templates.render("supervisor/start.sh.j2", {})


def test_directory_of_templates_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match="is not a directory"):
        Templates(tmp_path / "missing")


def test_directory_that_replaces_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "program.conf.j2").write_text("")  # where supervisor/program.conf.j2 was meant
    with pytest.raises(ProcmanError) as caught:
        Templates(tmp_path)
    assert SECTION in caught.value.hint


def test_digest_changes_with_a_template_in_force(own: Path) -> None:
    before = Templates(own).digest()
    assert Templates(own).digest() == before
    assert Templates().digest() != before
    (own / SECTION).write_text("changed\n")
    assert Templates(own).digest() != before
