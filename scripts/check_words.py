"""Count the words of the project's old dialect in pages, messages and test names: `python -m scripts.check_words`.

Each may occur once per 1,000 lines of prose; CONTRIBUTING.md, "Prose", has what to write instead.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LINES_PER_USE = 1000

WORDS = {
    "told": r"told",
    "tell": r"tell(s|ing)?",
    "say": r"say(s|ing)?|said",
    "mend": r"mend(s|ed|ing)?",
    "sound": r"(un)?sound(ly)?",
    "somebody": r"somebody",
    "nobody": r"(?<!user )nobody",  # the account is "the user nobody"
    "stand": r"stand(s|ing)?|stood",
    "anew": r"anew",
    "thereby": r"thereby",
    "obey": r"obeys?",
    "theirs": r"theirs",
    "look after": r"look(s|ed|ing)? after",
    "go on": r"go(es|ing)? on|went on",
    "also where": r"also where",
    "what is": r"what is",
    "warm": r"warm(ly)?(?! shutdown)",
    "is well": r"(is|are) well",
}
PATTERNS = {word: re.compile(rf"\b({pattern})\b", re.IGNORECASE) for word, pattern in WORDS.items()}


class Piece(NamedTuple):
    """Some prose: the file and line where it begins."""

    path: Path
    line: int
    text: str


def pages() -> Iterator[Piece]:
    """Yield the lines of every Markdown page."""
    for pattern in ("*.md", "docs/**/*.md", "units/*.md", "demo/*.md"):
        for path in sorted(ROOT.glob(pattern)):
            yield from _lines(path)


def package() -> Iterator[Piece]:
    """Yield the strings, docstrings and comments of the package, and the lines of the templates."""
    for path in sorted((ROOT / "procman").rglob("*.py")):
        yield from prose_of_module(path)
    for path in sorted((ROOT / "templates").rglob("*.j2")):
        yield from _lines(path)


def tests() -> Iterator[Piece]:
    """Yield the names, docstrings and comments of tests; their strings are data."""
    for folder in ("tests", "benchmarks", "scripts", "demo"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__):
                yield from prose_of_test(path)


def _lines(path: Path) -> Iterator[Piece]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield Piece(path, number, line)


def prose_of_module(path: Path) -> Iterator[Piece]:
    """Yield the comments, docstrings and other strings of a module."""
    yield from _comments(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Piece(path, node.lineno, node.value)


def _comments(path: Path) -> Iterator[Piece]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield Piece(path, token.start[0], token.string)


def prose_of_test(path: Path) -> Iterator[Piece]:
    """Yield the comments and docstrings of a module, and the names of its tests as words."""
    yield from _comments(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name.lower().startswith("test"):
            yield Piece(path, node.lineno, node.name.replace("_", " "))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and (text := ast.get_docstring(node)):
            yield Piece(path, getattr(node, "lineno", 1), text)


def _allowed(pieces: list[Piece]) -> int:
    return max(1, sum(piece.text.count("\n") + 1 for piece in pieces) // LINES_PER_USE)


def excess(pieces: list[Piece], allowed: int) -> dict[str, list[Piece]]:
    """Return the words that `pieces` use more than `allowed` times, each with every place where it occurs."""
    found: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        for word, pattern in PATTERNS.items():
            found[word] += [piece] * len(pattern.findall(piece.text))
    return {word: places for word, places in found.items() if len(places) > allowed}


def main() -> int:
    """Print each word that is used too often, with its places; return 1 if there is one."""
    status = 0
    for name, group in (("pages", pages), ("package", package), ("tests", tests)):
        pieces = list(group())
        allowed = _allowed(pieces)
        for word, places in excess(pieces, allowed).items():
            status = 1
            print(f'{name}: "{word}" is used {len(places)} times, at most {allowed} allowed')
            for place in places:
                print(f"  {place.path.relative_to(ROOT)}:{place.line}")
    return status


if __name__ == "__main__":
    sys.exit(main())
