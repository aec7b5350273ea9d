"""The count of words finds each in pages, messages, docstrings, comments and the names of tests."""

from __future__ import annotations

from pathlib import Path

from scripts.check_words import PATTERNS, Piece, excess, prose_of_module, prose_of_test
from tests.tables import for_each

HERE = Path("x")
# Written so that this file itself does not count.
TOLD = "to" + "ld"


def _found(text: str, allowed: int = 0) -> set[str]:
    return set(excess([Piece(HERE, 1, text)], allowed))


@for_each("word", PATTERNS)
def test_word_is_found_once(word: str) -> None:
    assert word in _found(f"The program was {word}, again.")


def test_word_is_found_whatever_its_case_and_form() -> None:
    assert _found(f"{TOLD.upper()}. It st" + "ands. Un" + "sound!") == {TOLD, "stand", "sound"}


def test_celerys_own_term_is_no_dialect() -> None:
    assert _found("Celery calls it a warm shutdown") == set()


def test_words_within_the_limit_pass() -> None:
    assert _found(f"{TOLD} {TOLD}", allowed=2) == set()
    assert set(excess([Piece(HERE, 1, TOLD)] * 3, 2)) == {TOLD}


def test_strings_docstrings_and_comments_of_a_module_count(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(f'"""{TOLD} 1"""\nname = f"{TOLD} 2"  # {TOLD} 3\n{TOLD} = 4\n')
    assert sorted(piece.text.strip("# ") for piece in prose_of_module(module)) == [f"{TOLD} {n}" for n in (1, 2, 3)]


def test_names_docstrings_and_comments_of_a_test_count(tmp_path: Path) -> None:
    module = tmp_path / "test_module.py"
    module.write_text(f'def test_user_is_{TOLD}():\n    """{TOLD} 1"""\n    assert "{TOLD}"  # {TOLD} 2\n')
    found = [piece.text for piece in prose_of_test(module)]
    assert sorted(found) == sorted([f"test user is {TOLD}", f"{TOLD} 1", f"# {TOLD} 2"])
