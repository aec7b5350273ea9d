"""docs/architecture.md names every package in the order of the layers, every contract, and only existing files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_layers import LAYERS
from tests.test_reliability import CONTRACTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/architecture.md"
SECTIONS = dict(
    re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)


def _cells(section: str, column: int) -> list[str]:
    rows = [line for line in SECTIONS[section].splitlines() if line.startswith("| ")]
    return [row.split("|")[column].strip() for row in rows if not row.startswith(("| layer", "| | in short"))]


def test_packages_are_in_the_order_of_their_layers() -> None:
    parts = [re.findall(r"`([\w.]+)`", cell) for cell in _cells("Packages", 2)]
    numbers = [int(cell) for cell in _cells("Packages", 1)]
    assert numbers == sorted(numbers)
    layers: dict[int, set[str]] = {}
    for number, named in zip(numbers, parts, strict=True):
        layers.setdefault(number, set()).update(named)
    assert list(layers.items()) == [(number, set(layer)) for number, layer in enumerate(LAYERS, 1)]


def test_every_contract_has_a_row() -> None:
    assert _cells("Contracts", 1) == CONTRACTS


@pytest.mark.parametrize("section", SECTIONS)
def test_named_files_exist(section: str) -> None:
    named = re.findall(r"`([\w./]+(?:/|\.py))`", SECTIONS[section])
    places = (ROOT, ROOT / "procman", ROOT / "procman/backends/systemd")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_contracts_named_in_the_code_are_on_the_page() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "procman").rglob("*.py")]
    used = {number for text in sources for number in re.findall(r"\(([RSU]\d+)\)", text)}
    assert used - set(CONTRACTS) == set()
    assert len(used) > 10
