"""Read the value of a unit's setting as systemd does: quotes, escapes, specifiers and variables; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST = 1 << 20
"""Characters of a value with its specifiers and variables: LONG_LINE_MAX of systemd."""

PREFIXES = "@-:+!|"
"""systemd.service(5): the prefixes of an executable; `|` is new in systemd 258."""

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_PIECE = re.compile(
    r"""
      \\(?: x(?P<hex>[0-9a-fA-F]{2}) | u(?P<short>[0-9a-fA-F]{4}) | U(?P<long>[0-9a-fA-F]{8}) | (?P<octal>[0-3][0-7]{2})
          | (?P<escaped>.) )
    | (?P<quote>['"]) | (?P<blank>[ \t\n\r]+) | (?P<plain>[^\\'" \t\n\r]+ | \\\Z)
    """,
    re.DOTALL | re.VERBOSE,
)
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_NAME = re.compile(r"\$\{?([^{}$]+)")
_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}")


class NotClosed(ValueError):
    """A quote is never closed, and systemd ignores the whole line."""


class TooLong(ValueError):
    """A value becomes longer than LONGEST, as one that repeats a long variable does."""


@dataclass(frozen=True)
class CommandLine:
    """One command of ExecStart= and the like, with its specifiers expanded and its variables not."""

    prefixes: str
    words: tuple[str, ...]

    @property
    def is_privileged(self) -> bool:
        """Return whether it ignores User=."""
        return "+" in self.prefixes

    @property
    def uses_variables(self) -> bool:
        """Return whether systemd replaces variables in it."""
        return ":" not in self.prefixes


def words_of(text: str) -> list[str]:
    """Return the words of `text` without their quotes and escapes (systemd.syntax(7)). Raises NotClosed."""
    return [word for _, word in _words(text)]


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each word of `text` as it is written, and what it means."""
    written: list[str] = []
    word: list[str] = []
    quote = ""
    for piece in _PIECE.finditer(text):
        kind, whole = piece.lastgroup, piece[0]
        if kind == "blank" and not quote:
            if written:
                yield "".join(written), "".join(word)
            written, word = [], []
            continue
        written.append(whole)
        if kind == "quote" and quote in ("", whole):
            quote = "" if quote else whole
        else:
            word.append(_text(piece))
    if quote:
        raise NotClosed("a quote is never closed")
    if written:
        yield "".join(written), "".join(word)


def _text(piece: re.Match[str]) -> str:
    number = piece["hex"] or piece["short"] or piece["long"]
    code = int(number, 16) if number else int(piece["octal"] or "0", 8)
    if number or piece["octal"]:
        # systemd refuses NUL (cunescape()).
        return chr(code) if 0 < code <= 0x10FFFF else piece[0]
    escaped = piece["escaped"]
    if escaped is None:
        return piece[0]
    if escaped in "\\\"'":
        return escaped
    # An unknown escape is kept as it is, such as \; or \d in a regular expression.
    return _ESCAPES.get(escaped, piece[0])


def command_lines(text: str, specifiers: Mapping[str, str]) -> list[CommandLine]:
    """Return the commands of one line of ExecStart=, which a `;` between blanks separates.

    Raises NotClosed and TooLong.
    """
    _require_length(text, (specifiers.get(name, "") for name in _SPECIFIER.findall(text)))
    return [line for words in _separated(text) if (line := _command_line(words, specifiers)).words]


def _separated(text: str) -> Iterator[list[str]]:
    command: list[str] = []
    for written, word in _words(text):
        if written == ";":
            yield command
            command = []
        else:
            command.append(";" if written == "\\;" else word)
    yield command


def _command_line(words: Sequence[str], specifiers: Mapping[str, str]) -> CommandLine:
    if not words:
        return CommandLine("", ())
    program = words[0].lstrip(PREFIXES)
    prefixes = words[0].removesuffix(program)
    # After @, the second word is argv[0], which does not change what runs.
    rest = words[2:] if "@" in prefixes else words[1:]
    return CommandLine(prefixes, tuple(with_specifiers(word, specifiers) for word in (program, *rest)))


def with_specifiers(text: str, specifiers: Mapping[str, str]) -> str:
    """Return `text` with its specifiers expanded (systemd.unit(5)); those not in `specifiers` are kept.

    Raises TooLong.
    """
    _require_length(text, (specifiers.get(name, "") for name in _SPECIFIER.findall(text)))
    return _SPECIFIER.sub(lambda found: "%" if found[1] == "%" else specifiers.get(found[1], found[0]), text)


def _require_length(text: str, values: Iterable[str]) -> None:
    if len(text) + sum(map(len, values)) > LONGEST:
        raise TooLong(f"it becomes longer than {LONGEST} characters")


def with_variables(line: CommandLine, value: Callable[[str], str]) -> list[str]:
    """Return the words that the command gets at its start, with the variables that `value` returns by name.

    systemd.service(5): `$NAME` as a word of its own becomes the words of its value; `${NAME}` is replaced within a
    word; `$$` is a dollar. The path of the executable has no variables. Raises TooLong.
    """
    if not line.uses_variables:
        return list(line.words)
    names = (found for word in line.words[1:] for found in _NAME.findall(word))
    _require_length(" ".join(line.words), map(value, names))
    words = list(line.words[:1])
    for word in line.words[1:]:
        if re.match(r"\$[^{$]", word):
            words += _relaxed_words(value(word[1:]))
        else:
            words.append(_VARIABLE.sub(lambda found: "$" if found[1] is None else value(found[1]), word))
    return words


def _relaxed_words(text: str) -> list[str]:
    try:
        return words_of(text)
    except NotClosed:
        return text.split()


_SPANS = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
    **dict.fromkeys(("M", "month", "months"), 2629800),
    **dict.fromkeys(("y", "year", "years"), 31557600),
}
"""Units of time as people write them (systemd.time(7))."""


def span_seconds(text: str) -> float | None:
    """Return a time span such as `5min 20s` or `90` in seconds; None if it is infinite or not valid."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ]*)\s*", text)
    if not parts or "".join(number + unit for number, unit in parts) != "".join(text.split()):
        return None
    if any(unit not in _SPANS for _, unit in parts):
        return None
    return sum(float(number) * _SPANS[unit] for number, unit in parts)
