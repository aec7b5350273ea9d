"""Markdown becomes text that a terminal of any width can show."""

from __future__ import annotations

import pytest

from procman.output.markdown import as_text
from procman.pages import pages
from tests.tables import for_each


def shown(markdown: str, width: int = 40) -> str:
    return "\n".join(as_text(markdown, width))


def test_headings_of_a_page_and_its_parts_are_underlined() -> None:
    assert shown("# Healing\n\n## `hold`\n\n### Details") == "Healing\n=======\n\n`hold`\n------\n\nDetails\n~~~~~~~"


def test_a_paragraph_is_wrapped_again_and_keeps_short_code_on_one_line() -> None:
    text = "A stuck worker is detected: **run**\n`procman restart celery` as the user."
    assert shown(text, 32) == "A stuck worker is detected: run\n`procman restart celery` as the\nuser."


def test_items_of_a_list_keep_their_marks_and_indent_what_follows() -> None:
    text = "- one item that is longer than a line\n  of it\n  - nested\n1. first"
    assert shown(text, 24) == "- one item that is\n  longer than a line of\n  it\n  - nested\n1. first"


def test_code_is_indented_and_not_wrapped() -> None:
    line = "procman --project catmaid health --format nagios  # *not* [wrapped](x.md)"
    assert shown(f"```sh\n{line}\n\n| a |\n```\n\nText.") == f"    {line}\n\n    | a |\n\nText."


TABLE = "| option | meaning |\n|---|---|\n| `--json` | one document \\| below |\n| `--watch` | |"


def test_a_table_that_fits_is_shown_in_columns() -> None:
    assert shown(TABLE) == "option     meaning\n`--json`   one document | below\n`--watch`"


def test_a_table_of_two_columns_that_does_not_fit_is_a_list_of_terms() -> None:
    assert shown(TABLE, 24) == "`--json`: one document |\n    below\n`--watch`"


def test_a_wide_table_shows_each_row_with_the_names_of_its_columns() -> None:
    table = "| fault | found | healed |\n|---|---|---|\n| worker is frozen | after 8 s | |\n| beat | no | no |"
    assert shown(table, 24) == "worker is frozen\n    found: after 8 s\nbeat\n    found: no\n    healed: no"


@for_each(
    ("link", "text"),
    [
        ("[health.md](health.md)", "`procman explain health`"),
        ("[status](status.md)", "`procman explain status`"),
        ("[holds](health.md#holds)", "holds (`procman explain health`)"),
        ("[move](move-backend.md)", "move (`procman explain move-backend`)"),
        ("[PM301](checks.md#pm301)", "`procman explain PM301`"),
        ("[stuck](checks.md#pm301)", "stuck (`procman explain PM301`)"),
        ("[below](#below)", "below"),
        ("[the files](../units/README.md)", "the files"),
        ("[TOML](https://toml.io)", "TOML (https://toml.io)"),
        ("[https://toml.io](https://toml.io)", "https://toml.io"),
    ],
)
def test_a_link_becomes_the_command_or_address_that_it_leads_to(link: str, text: str) -> None:
    assert shown(link) == text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_paragraph_or_list_of_a_page_is_wider_than_the_terminal(width: int) -> None:
    """Only code, a word or an inline command that cannot be broken may be."""
    wide = [
        (page.name, line)
        for page in pages()
        for line in as_text(page.text, width)
        if len(line) > width and not line.startswith("    ") and " " in line.strip("`-* :,.;").partition("`")[0]
    ]
    assert wide == []
