"""A draft as the text of a procman.toml, with the help of each key as a comment."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from procman.config.keys import Key
from procman.init.draft import Draft, keys_of

WIDTH = 100

HEAD = """\
# How the Celery programs of this project are kept running. `procman diff` shows what installing it would
# change on this host, `procman install --wait 60` does it. Paths may be relative to this file.
"""

OFFERED: Mapping[str, Mapping[str, object]] = {
    "project": {
        "environment_file": "/etc/{name}/celery.env",
        "writable_paths": ["/srv/{name}/media"],
        "after": ["rabbitmq-server.service"],
    },
    "worker": {"concurrency": 2, "queues": ["crop"], "events": True, "stop_timeout_seconds": 3600},
    "beat": {"schedule_file": "/var/lib/{name}/celerybeat-schedule"},
}
"""Keys that many want, with an example, by kind of table; they are offered as comments where they have no value."""

EXAMPLES: Mapping[str, object] = {
    "name": "catmaid",
    "app": "mysite",
    "directory": "/opt/catmaid/django/projects",
    "virtualenv": "/opt/catmaid/django/env",
    "settings": "mysite.settings",
    "user": "www-data",
    "environment_file": "/etc/{name}/celery.env",
}
"""What a key to be filled in may look like."""

ORDER = ("project", "environment", "worker", "beat", "supervisor", "systemd", "health")


def text_of(draft: Draft) -> str:
    """Return the procman.toml of DRAFT; what has to be filled in stands there as a comment that says so."""
    blocks = [HEAD, *("\n".join(_table(draft, table)) + "\n" for table in _tables(draft))]
    if "beat" not in draft.tables:
        blocks.append("# Periodic tasks need a beat:\n# [beat]\n")
    return "\n".join(blocks)


def _tables(draft: Draft) -> list[str]:
    return sorted((table for table in draft.tables if draft.tables[table] or not _is_free(table)), key=_rank)


def _is_free(table: str) -> bool:
    """Say whether the names in TABLE are the user's: variables, or options of supervisord."""
    return table.rpartition(".")[2] in ("environment", "supervisor") and table != "supervisor"


def _rank(table: str) -> tuple[int, str]:
    return ORDER.index(table.partition(".")[0]), table


def _table(draft: Draft, table: str) -> Iterator[str]:
    yield f"[{table}]"
    if _is_free(table):
        for name, value in draft.tables[table].items():
            yield f"{_bare(name)} = {to_toml(value)}"
        return
    offered = OFFERED.get(table.partition(".")[0], {})
    for key in keys_of(table).values():
        yield from _key(draft, table, key, offered)


def _key(draft: Draft, table: str, key: Key, offered: Mapping[str, object]) -> Iterator[str]:
    dotted = f"{table}.{key.name}"
    values, name = draft.tables[table], str(draft.get("project", "name") or "catmaid")
    if key.name in values:
        yield from _comment(key.help)
        yield from _comment(draft.remarks.get(dotted, ""))
        yield f"{key.name} = {to_toml(values[key.name])}"
    elif dotted in draft.fill_in:
        example = EXAMPLES.get(key.name, offered.get(key.name, ""))
        yield from _comment(key.help)
        yield from _comment(f"fill in: {draft.fill_in[dotted]}")
        yield f"# {key.name} = {to_toml(_filled(example, name))}"
    elif key.name in offered:
        yield from _comment(key.help)
        yield f"# {key.name} = {to_toml(_filled(offered[key.name], name))}"


def _comment(text: str) -> Iterable[str]:
    # A comment of TOML holds no control characters; what was found may hold any.
    printable = re.sub(r"[\x00-\x1f\x7f]", "?", text)
    return (f"# {line}" for line in textwrap.wrap(printable, WIDTH - 2, break_on_hyphens=False))


def _filled(example: object, name: str) -> object:
    if isinstance(example, list):
        return [_filled(each, name) for each in example]
    return example.replace("{name}", name) if isinstance(example, str) else example


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def to_toml(value: object) -> str:
    """Return VALUE, a text, number, boolean or list of such, as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return "[" + ", ".join(map(to_toml, value)) + "]"
        case _:
            # JSON escapes what a basic string of TOML must escape, all but U+007F.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
