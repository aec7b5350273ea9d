"""The tables of keys in docs/configuration.md, which `python -m procman.config.reference FILE` makes anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from procman.config import keys, supervisor_options, systemd_directives
from procman.config.keys import Key
from procman.project import OLDEST_SYSTEMD

BEGIN = "<!-- made by python -m procman.config.reference: change procman/config/keys.py instead -->"
END = "<!-- end of what is made -->"

SECTIONS = (
    ("[project]", keys.PROJECT),
    ("Every program: [worker.NAME], [beat], [command.NAME], [defaults.program]", keys.PROGRAM),
    ("[worker.NAME], [defaults.worker]", keys.WORKER),
    ("[beat]", keys.BEAT),
    ("[command.NAME]", keys.COMMAND),
    ("[supervisor]", keys.SUPERVISOR),
    ("[systemd]", keys.SYSTEMD),
    ("[health]", keys.HEALTH),
)


def reference() -> str:
    """Return every table of procman.toml as Markdown."""
    return "\n".join(_lines())


def renewed(page: str) -> str:
    """Return PAGE with what stands between the markers made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _lines() -> Iterator[str]:
    for title, found in SECTIONS:
        yield from (f"### {_code(title)}", "", "| key | value | left out | meaning |", "|---|---|---|---|")
        yield from map(_row, found)
        yield ""
    yield from ("### Options of a program's section in supervisord's files: `[worker.NAME.supervisor]`", "")
    yield from ("| option | value |", "|---|---|")
    yield from _rows((name, kind.expected) for name, kind in supervisor_options.FREE.items())
    yield from ("", "| not possible | because, or instead |", "|---|---|")
    yield from _rows(supervisor_options.RESERVED.items())
    yield from ("", "### Directives of a program's unit: `[systemd.directives]`, `[worker.NAME.systemd]`", "")
    yield from ("| directive | value | from systemd |", "|---|---|---|")
    for name, directive in sorted(systemd_directives.FREE.items()):
        since = str(directive.since) if directive.since > OLDEST_SYSTEMD else "any"
        yield f"| `{name}` | {_text(directive.value.value)} | {since} |"
    yield from ("", "| not possible | because, or instead |", "|---|---|")
    yield from _rows(systemd_directives.RESERVED.items())


def _row(key: Key) -> str:
    return f"| `{key.name}` | {_text(key.type.expected)} | {_left_out(key)} | {_text(key.help)} |"


def _left_out(key: Key) -> str:
    if key.required:
        return "needed"
    return "" if key.default in (None, ()) else f"`{json.dumps(key.default)}`"


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"| `{name}` | {_text(text)} |" for name, text in sorted(rows))


def _text(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def _code(title: str) -> str:
    return " ".join(
        f"`{word.rstrip(',')}`{',' * word.endswith(',')}" if "[" in word else word for word in title.split()
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
