"""docs/reliability.md: every contract has its promise and its tests, and every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")

CONTRACTS = [*(f"R{n}" for n in range(1, 13)), *(f"S{n}" for n in range(1, 5)), *(f"U{n}" for n in range(1, 4))]

NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")


def test_every_contract_has_a_promise_and_a_list_of_tests() -> None:
    assert sorted(re.findall(r"^- \*\*([RSU]\d+)\*\* \S", TEXT, re.MULTILINE)) == sorted(CONTRACTS)
    sections = dict(re.findall(r"^### ([RSU]\d+)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(CONTRACTS)
    for contract, section in sections.items():
        assert NAMED.search(section), contract
        assert re.search(r"^Injected: \w", section, re.MULTILINE), contract


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > len(CONTRACTS)
    missing = [f"{file}::{test}" for file, test in named if not re.search(rf"^def {test}\(", _read(file), re.MULTILINE)]
    assert missing == []


def test_every_contract_has_a_test_in_a_file_of_its_name() -> None:
    files = {path.name for path in (ROOT / "tests/contracts").glob("test_*.py")}
    # What R5 promises is the other half of R2, and tested with it.
    for contract in set(CONTRACTS) - {"R5"}:
        assert [name for name in files if name.startswith(f"test_{contract.lower()}_")], contract


def _read(file: str) -> str:
    path = ROOT / file
    return path.read_text(encoding="utf-8") if path.exists() else ""
