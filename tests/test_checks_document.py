"""docs/checks.md has a row for every check before an install and every rule of the lint, with code and title."""

from __future__ import annotations

import re
from pathlib import Path

from procman.lint.registry import LINT
from procman.preflight.registry import BEFORE

DOCUMENT = (Path(__file__).parents[1] / "docs" / "checks.md").read_text()


def _explained(half: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| (PM\d{3}) \| (.*?) \|", half, re.MULTILINE)


def test_every_check_before_an_install_is_explained() -> None:
    half = DOCUMENT.partition("## Before an install")[2].partition("\n## ")[0]
    assert _explained(half) == [(check.code, check.title) for check in BEFORE]


def test_every_rule_for_files_of_others_is_explained() -> None:
    half = DOCUMENT.partition("## Files of other people")[2].partition("\n## ")[0]
    assert _explained(half) == [(rule.code, rule.title) for rule in LINT]


def test_codes_are_in_order_and_each_is_there_once() -> None:
    codes = [check.code for check in BEFORE] + [rule.code for rule in LINT]
    assert codes == sorted(set(codes))
