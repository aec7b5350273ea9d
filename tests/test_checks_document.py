"""docs/checks.md has a section for every check and rule, and every `procman explain` in a message leads somewhere."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from procman.cli.main import run
from procman.lint.registry import LINT
from procman.model import BackendName
from procman.monitoring.checks.registry import RUNNING
from procman.pages import checks, is_warning, pages
from procman.preflight.registry import BEFORE

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/checks.md"
REGISTERED = [
    *((check.code, check.title) for check in RUNNING),
    *((check.code, check.title) for check in BEFORE),
    *((rule.code, rule.title) for rule in LINT),
]
CODES = {code for code, _ in REGISTERED}
PAGES = {page.name for page in pages()}

DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("units/*.md"), *ROOT.glob("demo/*.md")])
MODULES = sorted((ROOT / "procman").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.j2"))

EXPLAIN = re.compile(r"procman explain ([\w-]+(?: PM\d{3})*)")
PLACEHOLDERS = {"CODE", "PAGE"}


@functools.cache
def _texts(path: Path) -> list[str]:
    """Return the strings of a module that may be found, without docstrings of modules and classes, or a whole file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [text]
    # Parsing all modules takes a second.
    has_any = any(word in text for word in ("PM", "docs", "explain"))
    return list(_strings(ast.parse(text))) if has_any else []


def _strings(tree: ast.Module) -> Iterator[str]:
    documented = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef))]
    docstrings = {id(node.body[0].value) for node in documented if node.body and isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _found(paths: list[Path], pattern: str | re.Pattern[str], known: Set[str] = frozenset()) -> list[str]:
    """Return what `pattern` finds in the texts of `paths` beyond the words in `known`, as `FILE: WORDS`."""
    return [
        f"{path.relative_to(ROOT)}: {words}"
        for path in paths
        for text in _texts(path)
        for words in re.findall(pattern, text)
        if not set(words.split()) <= known
    ]


def test_every_check_and_rule_has_one_section_with_its_title_in_the_order_of_codes() -> None:
    assert [(each.name, each.title) for each in checks()] == REGISTERED
    assert [code for code, _ in REGISTERED] == sorted(CODES)


def test_every_heading_of_a_code_is_a_section_with_text() -> None:
    headings = re.findall(r"^#+ .*\bPM\d{3}\b.*$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [f"### {code}" for code, _ in REGISTERED]
    assert [each.name for each in checks() if len(each.text) < 80] == []


def test_every_page_of_the_documentation_has_a_name_to_print_it_by() -> None:
    assert {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in ROOT.glob("docs/**/*.md")} == PAGES


def test_every_code_that_is_named_has_a_section() -> None:
    assert _found([*DOCUMENTS, *MODULES, *TEMPLATES], r"\bPM\d{3}\b", CODES) == []


def test_no_message_names_a_page_by_a_path_that_an_installed_package_lacks() -> None:
    assert _found([*MODULES, *TEMPLATES], r"\bdocs/[\w/-]+\.md") == []


def test_every_procman_explain_names_an_existing_page_or_code() -> None:
    assert _found([*DOCUMENTS, *MODULES, *TEMPLATES], EXPLAIN, PLACEHOLDERS | PAGES | CODES) == []


def test_section_of_a_check_that_warns_has_a_line_for_it() -> None:
    """`accept` in procman.toml takes only such codes."""
    warning = re.compile(r"""(?:Result|finding)\(\s*"(PM\d{3})",[^()]*?(?:Level\.)?WARNING""")
    warns = {code for path in MODULES for code in warning.findall(path.read_text(encoding="utf-8"))}
    assert len(warns) > 40
    assert warns - {each.name for each in checks() if is_warning(each)} == set()
    assert [each.name for each in checks() if "WARNING" in each.text and not is_warning(each)] == []


def test_each_backend_has_a_page_of_its_name() -> None:
    assert {backend.value for backend in BackendName} <= PAGES


def test_explain_prints_the_section_of_each_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", *sorted(CODES)]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^PM\d{3}: .*\n(?=\n)", out, re.MULTILINE) == [
        f"{code}: {title}\n" for code, title in sorted(REGISTERED)
    ]
