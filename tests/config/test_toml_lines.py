"""The line of every key in every notation of TOML."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from hypothesis import given, settings, strategies

from procman.config.toml_lines import dotted, lines_of
from tests.tables import for_each

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENT = '''# [not.a.table]
name = "x" # other = 1
"a.b" = 3

[project] # [foo]
app = """
[worker.hidden]
y = 1
""""
literal = \'\'\'
'z' = 1\'\'\'
env = { A = "1", "b c" = [1, {x = 2}], c.d = 3 }
list = [
  "a", # ]
  [1],
]
inline = { one = """x"""", two = "y" }
after.x = 1
[ worker . "q" ]
quoted = "\\"]"
[[many]]
one = 1
[[many]]
two = 2
'''


def test_each_key_has_its_line() -> None:
    assert lines_of(DOCUMENT) == {
        "name": 2,
        '"a.b"': 3,
        "project": 5,
        "project.app": 6,
        "project.literal": 10,
        "project.env": 12,
        "project.env.A": 12,
        'project.env."b c"': 12,
        'project.env."b c".x': 12,
        "project.env.c": 12,
        "project.env.c.d": 12,
        "project.list": 13,
        "project.inline": 17,
        "project.inline.one": 17,
        "project.inline.two": 17,
        "project.after": 18,
        "project.after.x": 18,
        "worker": 19,
        "worker.q": 19,
        "worker.q.quoted": 20,
        "many": 21,
        "many.one": 22,
        "many.two": 24,
    }


@for_each(
    ("part", "shown"),
    [
        ("plain-key_1", "plain-key_1"),
        ("", '""'),
        ("a.b", '"a.b"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("line\nbreak", '"line\\u000Abreak"'),
        ("\x1b[31m", '"\\u001B[31m"'),
        ("\N{RIGHT-TO-LEFT OVERRIDE}", '"\\u202E"'),
        ("Ü", '"Ü"'),
        ("amqp://guest:secret@host", '"amqp://guest:***@host"'),
        ("k" * 500, f'"{"k" * 60}..."'),
    ],
)
def test_key_is_safe_to_print(part: str, shown: str) -> None:
    assert dotted("project", part) == f"project.{shown}"


KEYS = strategies.text(
    strategies.sampled_from("ab.\"'\\ #[]{}=,-_\t\n\x7fé") | strategies.characters(codec="utf-8"), max_size=8
)
VALUES = strategies.recursive(
    strategies.integers(-9, 9) | strategies.text(strategies.sampled_from("ab\"'\\#[]{}=,\n."), max_size=6),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def _quoted(text: str) -> str:
    escaped = "".join(each if each.isprintable() and each not in '"\\' else f"\\U{ord(each):08X}" for each in text)
    return f'"{escaped}"'


def toml(value: object) -> str:
    """Return `value` as TOML, on several lines if possible."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return (
                f"'''\n{value}'''"
                if "'" not in value and value.replace("\n", "").isprintable() and value
                else _quoted(value)
            )
        case list():
            return "[\n" + ",\n".join(map(toml, value)) + "\n]"
        case dict():
            return "{ " + ", ".join(f"{_quoted(key)} = {toml(each)}" for key, each in value.items()) + " }"
        case _:
            return str(value)


def _expected(tables: dict[str, dict[str, object]]) -> Iterator[tuple[str, str, int]]:
    """Yield each table, each key in it, and the line on which `_text` writes that key."""
    line = 1
    for table, values in tables.items():
        line += 1
        for key, value in values.items():
            yield table, key, line
            line += toml(value).count("\n") + 1


def _text(tables: dict[str, dict[str, object]]) -> str:
    lines = []
    for table, values in tables.items():
        lines.append(f"[{_quoted(table)}]")
        lines += [f"{_quoted(key)} = {toml(value)}" for key, value in values.items()]
    return "\n".join([*lines, ""])


@settings(deadline=None)
@given(strategies.dictionaries(KEYS, strategies.dictionaries(KEYS, VALUES, max_size=4), max_size=3))
def test_line_is_correct_for_any_keys_and_values(tables: dict[str, dict[str, object]]) -> None:
    text = _text(tables)
    assert tomllib.loads(text) == tables
    found = lines_of(text)
    for table, key, line in _expected(tables):
        assert found[dotted(table, key)] == line
