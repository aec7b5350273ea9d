"""Templates print only quoted values, and errors name the template and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.templating import Templates, builtin_templates

SECTION = "supervisor/program.conf.j2"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a user's directory with a template that replaces procman's; tests write its content."""
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


def test_quoted_value_is_printed(own: Path) -> None:
    assert _render(own, "a={{ value | shell }}\n", value="two words") == "a='two words'\n"


def test_number_is_printed_unchanged(own: Path) -> None:
    assert _render(own, "a={{ value }}\n", value=3) == "a=3\n"


@pytest.mark.parametrize("value", ["text", Path("/x"), True, None, 1.5, ("a",)])
def test_value_without_a_filter_is_refused(own: Path, value: object) -> None:
    with pytest.raises(ProcmanError, match="without a quoting filter"):
        _render(own, "a={{ value }}\n", value=value)


def test_text_joined_after_a_filter_is_refused(own: Path) -> None:
    with pytest.raises(ProcmanError, match="without a quoting filter"):
        _render(own, "a={{ (value | shell) ~ other }}\n", value="a", other="\n[program:evil]")


def test_constant_needs_a_filter_too(own: Path) -> None:
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
def test_error_names_template_and_line(own: Path, text: str, message: str) -> None:
    with pytest.raises(ProcmanError) as caught:
        _render(own, text, value="text", broken="two\nlines")
    assert f"{own / SECTION}:2: " in caught.value.message
    assert message in caught.value.message


def test_error_in_an_included_template_names_that_template(own: Path) -> None:
    (own / "part.j2").write_text("\n\n{{ missing | shell }}\n")
    with pytest.raises(ProcmanError) as caught:
        _render(own, "{% include 'part.j2' %}\n")
    assert f"template {own / 'part.j2'}:3: " in caught.value.message


def test_missing_template_is_reported_with_the_searched_directories(own: Path) -> None:
    with pytest.raises(ProcmanError) as caught:
        Templates(own).render("supervisor/other.j2", {})
    assert "supervisor/other.j2" in caught.value.message
    assert str(own) in caught.value.hint


def test_template_that_is_not_utf8_is_reported(own: Path) -> None:
    (own / SECTION).write_bytes(b"\xff")
    with pytest.raises(ProcmanError, match=f"{SECTION}: UnicodeDecodeError"):
        Templates(own).render(SECTION, {})


def test_template_of_the_user_replaces_only_one(own: Path) -> None:
    (own / SECTION).write_text("mine\n")
    templates = Templates(own)
    assert templates.render(SECTION, {}) == "mine\n"
    with pytest.raises(ProcmanError, match=str(builtin_templates() / "supervisor" / "start.sh.j2")):
        templates.render("supervisor/start.sh.j2", {})


def test_missing_directory_of_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match="is not a directory"):
        Templates(tmp_path / "missing")


def test_directory_that_replaces_no_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "program.conf.j2").write_text("")  # instead of supervisor/program.conf.j2
    with pytest.raises(ProcmanError) as caught:
        Templates(tmp_path)
    assert SECTION in caught.value.hint


def test_digest_changes_with_a_used_template(own: Path) -> None:
    before = Templates(own).digest()
    assert Templates(own).digest() == before
    assert Templates().digest() != before
    (own / SECTION).write_text("changed\n")
    assert Templates(own).digest() != before
