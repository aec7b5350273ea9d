"""The tables of keys in docs/configuration.md match the loader."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from procman.config import keys, supervisor_options, systemd_directives
from scripts.configuration_reference import BEGIN, END, reference, renewed

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def test_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert renewed(text) == text, "run: make docs"


def test_module_updates_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    subprocess.run([sys.executable, "-m", "scripts.configuration_reference", page], check=True, cwd=ROOT)
    assert page.read_text() == f"before\n{BEGIN}\n\n{reference()}\n{END}\nafter\n"


def test_every_key_option_and_directive_is_listed() -> None:
    found = set(re.findall(r"^\| `(\w+)` \|", reference(), re.MULTILINE))
    tables = (*keys.SINGLE_TABLES.values(), *keys.NAMED_TABLES.values(), keys.KUBERNETES_PROGRAM)
    assert found == {
        *(key.name for table in tables for key in table),
        *supervisor_options.FREE,
        *supervisor_options.RESERVED,
        *systemd_directives.FREE,
        *systemd_directives.RESERVED,
    }


def test_every_row_has_the_columns_of_its_table() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", reference() + "\n", re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(columns) == 1, table
