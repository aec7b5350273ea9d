"""The JSON Schema agrees with the loader, as far as JSON Schema can express it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from jsonschema import Draft7Validator, Draft202012Validator

from procman.agent.variable_rules import REFUSED
from procman.config import keys, supervisor_options, systemd_directives
from procman.config.load import load
from procman.config.read_environment import OWN_VARIABLES, SHELL_VARIABLES
from procman.config.schema import schema
from procman.config.value_types import Type
from procman.errors import ConfigurationError
from tests.config.documents import PROJECT, problems_with, read_rest
from tests.config.test_every_key import OTHER_VALUES, TABLES
from tests.hostile import TEXTS, examples
from tests.tables import for_each

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def _accepts(text: str) -> bool:
    return VALIDATOR.is_valid(tomllib.loads(text))


def test_schema_is_valid_json_schema_of_draft_2020_12() -> None:
    assert (SCHEMA["$schema"], SCHEMA["$id"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        "urn:celery-procman:procman.toml",
    )
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_schema_has_the_same_meaning_in_draft_7() -> None:
    # taplo, the TOML plugin of most editors, validates with draft 7.
    older = SCHEMA | {"$schema": Draft7Validator.META_SCHEMA["$schema"]}
    Draft7Validator.check_schema(older)
    validator = Draft7Validator(older)
    assert validator.is_valid(tomllib.loads(PROJECT + "[worker.a.environment]\nA = '1'"))
    assert not validator.is_valid(tomllib.loads(PROJECT + "[worker.a.environment]\nPYTHONPATH = '1'"))
    assert not validator.is_valid(tomllib.loads(PROJECT + "[worker.a]\nconcurency = 1"))


def test_every_pattern_is_portable() -> None:
    # ECMA 262 and the engines of editors lack \Z, (?P<name>), possessive quantifiers and inline flags.
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(SCHEMA))
    assert patterns
    assert not [each for each in patterns if re.search(r"\\\\[AZz]|\(\?[^:!=]|[*+?}]\+", each)]


def _examples() -> Iterator[tuple[str, str]]:
    """Yield each example of the pages; a fragment is completed to a whole procman.toml."""
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("units/*.md")]):
        for number, example in enumerate(
            re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        ):
            is_whole = example.startswith("[project]") and "\nname = " in example
            fragment = PROJECT + example.removeprefix("[project]\n") + "[beat]\n"
            yield f"{page.relative_to(ROOT)}-{number}", example if is_whole else fragment
    for file in sorted(ROOT.glob("units/*.toml")):
        yield str(file.relative_to(ROOT)), file.read_text()


EXAMPLES = [pytest.param(text, id=name) for name, text in _examples()]


@pytest.mark.parametrize("text", EXAMPLES)
def test_example_is_valid_for_schema_and_loader(tmp_path: Path, text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))] == []
    (tmp_path / "procman.toml").write_text(text)
    load(tmp_path / "procman.toml", {"HOME": "/home/anna"})


def test_examples_include_the_readme() -> None:
    assert [each.id for each in EXAMPLES if str(each.id).startswith("README.md")]


@for_each(
    ("rest", "is_right"),
    [
        ("[worker.a]", True),
        (
            "[worker.a.environment]\nA = '1'\n[worker.a.supervisor]\npriority = 1\n[worker.a.systemd]\nLimitNOFILE = 9",
            True,
        ),
        ("[defaults.program]\nnice = 1\n[defaults.worker]\nqueues = ['a']\n[beat]", True),
        ("[systemd.directives]\nProtectHome = true\nReadWritePaths = ['/a', '/b']\n[beat]", True),
        ("[environment]\nA = 'b'\n[beat]", True),
        ("foo = 1", False),
        ("[workers.a]", False),
        ("[worker.A]", False),
        ("[worker.a]\nconcurency = 1", False),
        ("[worker.a.environment]\nA = 1", False),
        ("[worker.a.environment]\n'A B' = '1'", False),
        ("[worker.a.environment]\nPROCMAN_A = '1'", False),
        ("[worker.a.environment]\nPYTHONPATH = '1'", False),
        ("[worker.a.supervisor]\ncommand = 'x'", False),
        ("[worker.a.supervisor]\npriority = 'x'", False),
        ("[worker.a.systemd]\nLimitNOFILES = 9", False),
        ("[worker.a.systemd]\nReadWritePaths = 'relative'", False),
        ("[worker.a.systemd]\nReadWritePaths = 3", False),
        ("[worker.a.systemd]\nMemoryLow = -3", False),
        ("[worker.a.systemd]\nSlice = ' x'", False),
        ("[defaults.worker]\nhostname = 'x@y'\n[beat]", False),
        ("[command.a]", False),
        ("[command.a]\nargv = []", False),
    ],
)
def test_schema_agrees_with_the_loader_about_tables(tmp_path: Path, rest: str, is_right: bool) -> None:
    assert _accepts(PROJECT + rest) is is_right
    if is_right:
        read_rest(tmp_path, rest)
    else:
        assert problems_with(tmp_path, rest)


@pytest.mark.parametrize("name", [key.name for key in keys.PROJECT if key.required])
def test_missing_required_key_is_refused(name: str) -> None:
    text = "".join(line for line in PROJECT.splitlines(keepends=True) if not line.startswith(f"{name} ="))
    assert not _accepts(text)


def _properties(table: str) -> Any:
    parts = table.split(".")
    if parts[2:] == ["kubernetes"]:
        return SCHEMA["$defs"]["kubernetes_of_program"]["properties"]
    found = SCHEMA["properties"][parts[0]]
    if parts[0] == "defaults":
        found = found["properties"][parts[1]]
    if parts[0] in keys.NAMED_TABLES:
        (found,) = found["patternProperties"].values()
    return found["properties"]


@for_each("table", TABLES)
def test_every_key_has_its_description_and_default(table: str) -> None:
    for key in TABLES[table]:
        found = _properties(table)[key.name]
        assert found["description"] == key.help
        assert found.get("default", ()) == (
            list(key.default) if key.default == () else key.default or found.get("default", ())
        )
        validator = Draft202012Validator(found)
        assert validator.is_valid(OTHER_VALUES[key.name])
        assert "default" not in found or validator.is_valid(found["default"])


def test_schema_has_every_table_option_and_variable() -> None:
    definitions = SCHEMA["$defs"]
    assert set(SCHEMA["properties"]) == set(keys.TABLES)
    assert set(definitions["supervisor_options"]["properties"]) == set(supervisor_options.FREE)
    assert set(definitions["systemd_directives"]["properties"]) == set(systemd_directives.FREE)
    environment = Draft202012Validator(definitions["environment"])
    refused = [*OWN_VARIABLES, *SHELL_VARIABLES, *REFUSED, "PROCMAN_X"]
    assert not [name for name in refused if environment.is_valid({name: "x"})]
    assert environment.is_valid({"PPIDS": "x", "MY_PPID": "x", "PROCMAN": "x"})


def _values(kind: Type) -> strategies.SearchStrategy[Any]:
    """Return values that fit, nearly fit, or are of another type."""
    texts = TEXTS | strategies.text(max_size=5)
    items = kind.schema.get("items", kind.schema)
    assert isinstance(items, dict)
    if "pattern" in items:
        texts |= strategies.from_regex(items["pattern"], alphabet=strategies.characters(codec="utf-8"))
    texts |= strategies.sampled_from([str(each) for each in items.get("enum", ["x" * 300])])
    bounds = [items.get("minimum", 0), items.get("maximum", 2**31)]
    numbers = strategies.sampled_from([each + by for each in bounds for by in (-1, 0, 1)])
    # JSON does not distinguish whole numbers: 1.0 is one for a schema, but not for TOML.
    fractions = strategies.floats(allow_nan=False, allow_infinity=False).filter(lambda each: not each.is_integer())
    single = texts | numbers | fractions | strategies.booleans() | strategies.integers()
    return single | strategies.lists(single | numbers, max_size=3) | strategies.dictionaries(texts, single, max_size=1)


KEYS = [key for found in (*keys.SINGLE_TABLES.values(), *keys.NAMED_TABLES.values()) for key in found]
TYPES = {key.type.expected: (key.name, key.type) for key in KEYS} | {
    kind.expected: (name, kind) for name, kind in supervisor_options.FREE.items()
}
"""Each type of values once, with the name of a key of this type."""


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in TYPES.values()])
@settings(max_examples=examples(25), deadline=None)
@given(data=strategies.data())
def test_schema_agrees_with_the_loader_about_values(kind: Type, data: strategies.DataObject) -> None:
    value = data.draw(_values(kind))
    problem = kind.problem(value, Path("/base"))
    assert Draft202012Validator(dict(kind.schema)).is_valid(value) == (problem is None), problem


def test_loader_refuses_clashes_that_the_schema_cannot_express(tmp_path: Path) -> None:
    rest = "[worker.a]\n[command.a]\nargv = ['x']"
    assert _accepts(PROJECT + rest)
    with pytest.raises(ConfigurationError, match="is taken by"):
        read_rest(tmp_path, rest)
