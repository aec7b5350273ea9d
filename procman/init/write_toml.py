"""Write a draft as the text of a procman.toml, with a comment for each key."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from procman.config.keys import SUBTABLES, Key
from procman.init.draft import Draft, keys_of

WIDTH = 100

HEAD = """\
# procman.toml: how the Celery workers and beat of this project run. After a change, type:
#
#   procman check      checks the project and the host; changes nothing
#   procman diff       shows what an install would change
#   procman install    installs the programs and starts them
#
# Optional keys are commented out, with an example. `procman explain configuration` describes all keys.
# Relative paths start from the directory of this file.
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
"""Common keys with an example, by kind of table; they become comments if they have no value."""

EXAMPLES: Mapping[str, object] = {
    "name": "catmaid",
    "app": "mysite",
    "directory": "/opt/catmaid/django/projects",
    "virtualenv": "/opt/catmaid/django/env",
    "settings": "mysite.settings",
    "user": "www-data",
    "environment_file": "/etc/{name}/celery.env",
}
"""Examples for keys that the user has to fill in."""

FLOWER = """\
# Flower is in the virtualenv. To run it beside the workers, remove the # of the next two lines. Whoever can reach its
# port sees the tasks and can stop workers.
# [command.flower]
# argv = ["celery", "-A", {app}, "flower", "--address=127.0.0.1", "--port=5555"]
"""

ORDER = ("project", "environment", "worker", "beat", "supervisor", "systemd", "health")


def text_of(draft: Draft) -> str:
    """Return the procman.toml of `draft`; a key to fill in is a comment with the reason and an example."""
    blocks = [HEAD, *("\n".join(_table(draft, table)) + "\n" for table in _tables(draft))]
    if "beat" not in draft.tables:
        blocks.append("# For periodic tasks, remove the # of the next line:\n# [beat]\n")
    if draft.has_flower:
        blocks.append(FLOWER.format(app=to_toml(draft.get("project", "app") or "APP")))
    return "\n".join(blocks)


def _tables(draft: Draft) -> list[str]:
    return sorted((table for table in draft.tables if draft.tables[table] or not _is_free(table)), key=_rank)


def _is_free(table: str) -> bool:
    """Return whether the user chooses the names in `table`: variables, options of supervisord, directives."""
    return table == "environment" or ("." in table and table.rpartition(".")[2] in SUBTABLES)


def _rank(table: str) -> tuple[int, str]:
    return ORDER.index(table.partition(".")[0]), table


def _table(draft: Draft, table: str) -> Iterator[str]:
    yield f"[{table}]"
    if _is_free(table):
        for name, value in draft.tables[table].items():
            yield f"{_bare(name)} = {to_toml(value)}"
        return
    offered = OFFERED.get(table.partition(".")[0], {})
    blocks = [list(_key(draft, table, key, offered)) for key in keys_of(table).values()]
    for number, block in enumerate(filter(None, blocks)):
        yield from ([""] if number else [])
        yield from block


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
        yield from _comment(f"FILL IN: {draft.fill_in[dotted]}")
        yield f"# {key.name} = {to_toml(_filled(example, name))}"
    elif key.name in offered:
        yield from _comment(key.help)
        yield f"# {key.name} = {to_toml(_filled(offered[key.name], name))}"


def _comment(text: str) -> Iterable[str]:
    # A comment of TOML must not contain control characters, but a finding may.
    printable = re.sub(r"[\x00-\x1f\x7f]", "?", text)
    return (f"# {line}" for line in textwrap.wrap(printable, WIDTH - 2, break_on_hyphens=False))


def _filled(example: object, name: str) -> object:
    if isinstance(example, list):
        return [_filled(each, name) for each in example]
    return example.replace("{name}", name) if isinstance(example, str) else example


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def to_toml(value: object) -> str:
    """Return `value`, a string, number, boolean or a list of these, as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return "[" + ", ".join(map(to_toml, value)) + "]"
        case _:
            # JSON escapes all that a basic string of TOML has to escape, except U+007F.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
