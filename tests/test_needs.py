"""Coverage is measured with the tests of `make unit`, in a run of all tests too."""

from __future__ import annotations

import re
from pathlib import Path

from tests.needs import NOT_ALONE

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_make_unit_deselects_the_tests_that_are_not_measured() -> None:
    alone = re.search(r"^ALONE = not \((.*)\)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert alone
    assert set(alone[1].split(" or ")) == NOT_ALONE
