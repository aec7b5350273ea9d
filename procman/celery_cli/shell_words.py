"""Split the text of a shell script into words and operators, as sh(1) and bash(1) do, without expanding anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

OPERATOR = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|()]")
REDIRECTION = re.compile(r"&>>?|(?:<<<|<<-?|<>|<&|>>|>&|>\||[<>])")
VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
BLANKS = " \t\r\n"
PLAIN = re.compile(r"[^ \t\r\n'\"\\$`*?\[{~|<>&();]+")
GLOB = "*?["


class Part(NamedTuple):
    """A piece of a word."""

    kind: str
    """text, variable (`$A`, `${A:-b}`), substitution (`$(...)`), glob (`*`), or special: only a shell evaluates it."""
    text: str
    """Without its quotes."""
    quoted: bool = False


@dataclass(frozen=True)
class Token:
    """A word, operator, redirection or line end; the end of the text has the kind `end`."""

    kind: str
    line: int
    start: int
    end: int
    parts: tuple[Part, ...] = ()
    text: str = ""
    """As it is written."""


class SyntaxProblem(Exception):
    """The text is not a complete script from here on: `line` and `start` of the place."""

    def __init__(self, line: int, start: int) -> None:
        super().__init__(f"line {line}")
        self.line, self.start = line, start


@dataclass
class Reader:
    """The state of reading one text: each character is looked at a fixed number of times."""

    text: str
    at: int = 0
    line: int = 1
    counted: int = 0
    """Up to where the line ends are in `line`."""
    word: int = 0
    """Where the word that is being read begins."""
    delimiters: list[tuple[str, bool]] = field(default_factory=list)
    """Of the here-documents that begin after this line, and whether tabs before them are dropped."""

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens of the text; raise SyntaxProblem where it is incomplete."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in " \t\r" or self.text.startswith("\\\n", self.at):
                self.at += 1 if character != "\\" else 2
            elif character == "#":
                self.at = self._index("\n", self.at)
            elif character == "\n":
                yield self._token("newline", self.at, self.at + 1)
                self._skip_documents()
            elif (found := REDIRECTION.match(self.text, self.at)) or (found := OPERATOR.match(self.text, self.at)):
                kind = "redirection" if found.re is REDIRECTION else "operator"
                yield self._token(kind, self.at, found.end())
            else:
                yield self._word()
        yield self._token("end", self.at, self.at)

    def parts(self) -> Iterator[Part]:
        """Yield the pieces of the text as one word, such as a default value, which may contain blanks."""
        while self.at < len(self.text):
            yield from self._parts(0)

    def _token(self, kind: str, start: int, end: int, parts: tuple[Part, ...] = ()) -> Token:
        self.line += self.text.count("\n", self.counted, start)
        self.counted, self.at = start, end
        return Token(kind, self.line, start, end, parts, self.text[start:end])

    def _index(self, wanted: str, start: int) -> int:
        found = self.text.find(wanted, start)
        return len(self.text) if found < 0 else found

    def _word(self) -> Token:
        start, parts = self.at, list[Part]()
        self.word = start
        while self.at < len(self.text) and self.text[self.at] not in BLANKS:
            if REDIRECTION.match(self.text, self.at) or OPERATOR.match(self.text, self.at):
                break
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            else:
                parts += self._parts(start)
        if self.text[start : self.at].isdecimal() and self.text[self.at : self.at + 1] in ("<", ">"):
            # The number of a file, as in 2>&1.
            end = REDIRECTION.match(self.text, self.at)
            return self._token("redirection", start, end.end() if end else self.at)
        return self._token("word", start, self.at, tuple(parts))

    def _parts(self, start: int) -> list[Part]:
        character, at = self.text[self.at], self.at
        if character == "'":
            end = self._closed(self.text.find("'", at + 1))
            return [Part("text", self._taken(at + 1, end, 1), quoted=True)]
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            return [Part("text", self._taken(at + 1, min(at + 2, len(self.text))), quoted=True)]
        if character in "$`":
            return [self._dollar(quoted=False)]
        if found := PLAIN.match(self.text, at):
            return [Part("text", self._taken(at, found.end()))]
        self.at += 1
        if character in GLOB:
            return [Part("glob", character)]
        is_special = character == "{" or (character == "~" and (at == start or self.text[at - 1] in "=:"))
        return [Part("special" if is_special else "text", character)]

    def _taken(self, start: int, end: int, more: int = 0) -> str:
        self.at = end + more
        return self.text[start:end]

    def _closed(self, end: int) -> int:
        if end < 0:
            raise SyntaxProblem(self.line + self.text.count("\n", self.counted, self.word), self.word)
        return end

    def _double_quoted(self) -> list[Part]:
        parts = list[Part]()
        self.at += 1
        while (character := self.text[self.at : self.at + 1]) != '"':
            if not character:
                self._closed(-1)
            if character in "$`":
                parts.append(self._dollar(quoted=True))
            elif character == "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                kept = "" if escaped == "\n" else escaped if escaped in '"\\$`' else f"\\{escaped}"
                parts.append(Part("text", kept, quoted=True))
                self.at += 2
            else:
                found = re.compile(r'[^"\\$`]+').match(self.text, self.at)
                assert found  # the other characters are handled above
                parts.append(Part("text", self._taken(self.at, found.end()), quoted=True))
        self.at += 1
        return parts or [Part("text", "", quoted=True)]

    def _dollar(self, *, quoted: bool) -> Part:
        at = self.at
        if self.text[at] == "`":
            end = at + 1
            while self.text[end : end + 1] != "`":
                end = self._closed(end if end < len(self.text) else -1) + (2 if self.text[end] == "\\" else 1)
            return Part("substitution", self._taken(at, end + 1), quoted)
        following = self.text[at + 1 : at + 2]
        if following == "(":
            return Part("substitution", self._taken(at, self._balanced(at + 2, ")")), quoted)
        if following == "{":
            return Part("variable", self._taken(at, self._balanced(at + 2, "}")), quoted)
        if found := VARIABLE.match(self.text, at):
            return Part("variable", self._taken(at, found.end()), quoted)
        is_quote = following in ("'", '"') and not quoted
        return Part("special" if is_quote else "text", self._taken(at, at + 1), quoted)

    def _balanced(self, at: int, closing: str) -> int:
        """Return the index after the `closing` character that ends what begins before `at`."""
        stack = [closing]
        while stack:
            character = self.text[self._closed(at if at < len(self.text) else -1)]
            following = self.text[at + 1 : at + 2]
            at += 1
            if character == "\\":
                at += 1
            elif character == stack[-1]:
                stack.pop()
            elif character == "$" and following in ("(", "{"):
                stack.append(")" if following == "(" else "}")
                at += 1
            elif character == '"':
                stack.append('"')
            elif character == "(" and stack[-1] == ")":
                stack.append(")")
            elif character == "'" and stack[-1] == ")":
                at = self._closed(self.text.find("'", at)) + 1
        return at

    def _skip_documents(self) -> None:
        for delimiter, drops_tabs in self.delimiters:
            while self.at < len(self.text):
                end = self._index("\n", self.at)
                line, self.at = self.text[self.at : end], end + 1
                if (line.lstrip("\t") if drops_tabs else line) == delimiter:
                    break
        self.delimiters.clear()
