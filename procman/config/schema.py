"""Make the JSON Schema of procman.toml, for editors, from the same tables as the loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from procman.agent.variable_rules import REFUSED
from procman.config import keys, supervisor_options, systemd_directives
from procman.config.keys import Key
from procman.config.read_environment import LONGEST_VALUE, OWN_VARIABLES, SHELL_VARIABLES
from procman.config.read_file import NAME_PATTERN
from procman.config.systemd_directives import Directive
from procman.config.value_types import NOT_ON_A_LINE, UNPRINTABLE_PATTERN, VARIABLE_PATTERN, Type
from procman.project import OLDEST_SYSTEMD
from procman.quoting.systemd import PATTERNS, Value

DRAFT = "https://json-schema.org/draft/2020-12/schema"
"""The keywords used are also those of draft 7, with which taplo, the TOML plugin of most editors, validates."""

ID = "urn:celery-procman:procman.toml"

Schema = dict[str, Any]

DESCRIPTIONS = {
    "project": "The Django project, and the user that its programs run as.",
    "defaults": "Default values of keys for all programs, or for all workers.",
    "worker": "Celery workers, one table for each: [worker.NAME].",
    "beat": "Celery beat, which sends periodic tasks.",
    "command": "Other commands of the project, one table for each: [command.NAME].",
    "supervisor": "Which supervisord runs the programs, and where it reads them from.",
    "systemd": "The version of systemd that the units are for, their sandbox and their logs.",
    "health": "When a program is unhealthy, and what happens then.",
    "kubernetes": "What `procman export kubernetes` needs beside the other keys.",
}
SUBTABLES = {
    "environment": "environment",
    "supervisor": "supervisor_options",
    "systemd": "systemd_directives",
    "kubernetes": "kubernetes_of_program",
}
"""The tables that each program can have, with their definitions."""
SUBTABLES_OF_COMMANDS = SUBTABLES | {
    "supervisor": "supervisor_options_of_commands",
    "systemd": "systemd_directives_of_commands",
}


def schema() -> Schema:
    """Return the schema of a whole procman.toml, ready for `json.dumps`.

    The loader refuses everything that the schema refuses. It also refuses clashes between keys, and secrets, which JSON
    Schema cannot express.
    """
    return {
        "$schema": DRAFT,
        "$id": ID,
        "title": "procman.toml",
        "description": "How a Django project runs its Celery workers and beat.",
        **_object(_tables(), required=["project"]),
        "$defs": {
            "environment": _environment(),
            "supervisor_options": _supervisor_options(supervisor_options.FREE),
            "supervisor_options_of_commands": _supervisor_options(supervisor_options.FREE_OF_COMMANDS),
            "systemd_directives": _systemd_directives(),
            "systemd_directives_of_commands": _systemd_directives(systemd_directives.OF_COMMANDS),
            "kubernetes_of_program": {
                "description": "What the program needs in Kubernetes.",
                **_table(keys.KUBERNETES_PROGRAM),
            },
        },
    }


def _tables() -> Schema:
    subtables = {"command": SUBTABLES_OF_COMMANDS}
    programs = {kind: _table(found, subtables.get(kind, SUBTABLES)) for kind, found in keys.NAMED_TABLES.items()}
    tables = {
        "project": _table(keys.PROJECT),
        "defaults": _object({name: _table(found) for name, found in keys.DEFAULTS_TABLES.items()}),
        "environment": {"$ref": "#/$defs/environment"},
        **{kind: _named(program) for kind, program in programs.items()},
        "beat": _table(keys.SINGLE_TABLES["beat"], SUBTABLES),
        "supervisor": _table(keys.SUPERVISOR),
        "systemd": _table(keys.SYSTEMD, {"directives": "systemd_directives"}),
        "health": _table(keys.HEALTH),
        "kubernetes": _table(keys.KUBERNETES),
    }
    return {
        name: {"description": DESCRIPTIONS[name], **table} if name in DESCRIPTIONS else table
        for name, table in tables.items()
    }


def _object(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return found | ({"required": list(required)} if required else {})


def _named(table: Schema) -> Schema:
    # propertyNames would work too, but the message that taplo shows for it does not help.
    return {"type": "object", "patternProperties": {f"^{NAME_PATTERN}$": table}, "additionalProperties": False}


def _table(found: Iterable[Key], references: Mapping[str, str] | None = None) -> Schema:
    properties = {key.name: _key(key) for key in found}
    properties |= {name: {"$ref": f"#/$defs/{definition}"} for name, definition in (references or {}).items()}
    return _object(properties, required=[key.name for key in found if key.required])


def _key(key: Key) -> Schema:
    described: Schema = {"description": key.help, **key.type.schema}
    if key.default is not None:
        described["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return described


def _environment() -> Schema:
    refused = "|".join(sorted({*OWN_VARIABLES, *SHELL_VARIABLES, *REFUSED}))
    value = {"type": "string", "maxLength": LONGEST_VALUE, **NOT_ON_A_LINE}
    return {
        "description": "Environment variables; those of a program override those of the project. No secrets.",
        "type": "object",
        "patternProperties": {f"^(?!PROCMAN_|(?:{refused})$){VARIABLE_PATTERN}$": value},
        "additionalProperties": False,
    }


def _supervisor_options(free: Mapping[str, Type]) -> Schema:
    options = {name: dict(kind.schema) for name, kind in free.items()}
    return {"description": "Options of the program section of supervisord.", **_object(options)}


def _systemd_directives(words: Mapping[str, tuple[str, ...]] | None = None) -> Schema:
    directives = {name: _directive(directive) for name, directive in systemd_directives.FREE.items()}
    directives |= {name: {"enum": [*values]} for name, values in (words or {}).items()}
    return {"description": "Directives of the program's unit, under their names in systemd.", **_object(directives)}


def _directive(directive: Directive) -> Schema:
    since = f", since version {directive.since}" if directive.since > OLDEST_SYSTEMD else ""
    unfit = {"type": "string", "pattern": f"{UNPRINTABLE_PATTERN}|^\\s|\\s$"}
    text = {"type": "string", "pattern": f"^({PATTERNS[directive.value]})$", "not": unfit}
    one = {"anyOf": [text, *NUMBERS[directive.value]]}
    return {
        "description": f"See systemd.{directive.page}(5){since}: {directive.value.value}.",
        "anyOf": [one, {"type": "array", "items": one}],
    }


NUMBERS: Mapping[Value, list[Schema]] = {
    Value.WORDS: [{"type": "integer"}, {"type": "boolean"}],
    Value.AMOUNT: [{"type": "integer", "minimum": 0}],
    Value.PATHS: [],
}
"""The values that a directive accepts besides strings."""
