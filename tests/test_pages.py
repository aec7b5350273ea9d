"""The pages of docs/ are found in the package, also in one that is a zip file."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path

import pytest

from procman import pages


def test_pages_and_checks_are_read_from_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "procman.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("procman/docs/checks.md", "# Checks\n\n## A\n\n### PM101\n\n**It runs**\n\nText.\n\n## B\n")
        opened.writestr("procman/docs/stopping.md", "# How `TERM` works\n")
        opened.writestr("procman/docs/logo.svg", "")
    monkeypatch.setattr(resources, "files", lambda package: zipfile.Path(archive, f"{package}/"))
    assert [page[:2] for page in pages.pages()] == [("checks", "Checks"), ("stopping", "How TERM works")]
    assert pages.checks() == [pages.Page("PM101", "It runs", "Text.")]


def test_pages_of_a_checkout_are_found_beside_the_package() -> None:
    names = {path.stem for path in (Path(__file__).parents[1] / "docs").glob("*.md")}
    assert {page.name for page in pages.pages()} == names
