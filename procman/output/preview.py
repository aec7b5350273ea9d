"""Format what an install or a rollback would change: by programs and keys, as text and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.deploy.cut_drainers import Cut
from procman.deploy.preview import Effects, Line, Preview
from procman.install.plan.changes import Change
from procman.model import Adoption
from procman.output.plan import SIGNS, as_adoptions, as_remarks, in_order, successors_of
from procman.output.terminal import coloured, printable
from procman.project import ChangeKind

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

MOST_TABLES = 4
LONGEST_VALUE = 60

WORDS = {ChangeKind.CREATE: "created", ChangeKind.UPDATE: "updated", ChangeKind.REMOVE: "removed"}


def as_summary(preview: Preview, stream: TextIO) -> Iterator[str]:
    """Yield a line per changed key, and the numbers of programs and files; nothing if there is nothing to do."""
    plan = preview.plan
    if plan.nothing_to_do:
        return
    for line in preview.lines:
        sign, colour = SIGNS[line.kind]
        for number, text in enumerate(_texts(line)):
            yield coloured(printable(f"{' ' if number else sign} {text}"), colour, stream)
    yield from (coloured(printable(text), "yellow", stream) for text in as_adoptions(plan))
    for remark in as_remarks(plan):
        yield coloured(f"~ {printable(remark)}", "yellow", stream)
    yield from (coloured(f"~ {printable(cut.text)}", "yellow", stream) for cut in preview.cut)
    yield f"programs  {_programs(preview)}"
    yield f"files     {_counted([change for change in _changing(preview) if change not in preview.own])}"
    if preview.own:
        yield f"          procman's launcher: {len(preview.own)} {'file' if len(preview.own) == 1 else 'files'}"


def _texts(line: Line) -> Iterator[str]:
    """Yield the text of each key of `line`, the tables and the effects in the first one."""
    more = len(line.tables) - MOST_TABLES
    named = ", ".join(line.tables[:MOST_TABLES]) + (f" and {more} more" if more > 0 else "")
    tables = "all programs" if line.is_every else named
    keys = [f"{each.key}: {_short(each.old)} -> {_short(each.new)}" for each in line.changes]
    effects = _effects(line.effects, line.kind)
    if not keys and line.kind is ChangeKind.UPDATE:
        keys = ["same keys, other files"]
    first = keys[0] if keys else ""
    yield "  ".join(part for part in (tables, first, f"({effects})" if effects else "") if part)
    yield from (f"{' ' * len(tables)}  {key}" for key in keys[1:])


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."


def _effects(effects: Effects, kind: ChangeKind) -> str:
    if kind is not ChangeKind.UPDATE:
        names = effects.added or effects.removed
        return f"{len(names)} programs" if len(names) > 1 else "".join(names)
    restarts = len(effects.restarted)
    parts = [f"{restarts} {'restart' if restarts == 1 else 'restarts'}"] if restarts else []
    overlaps = len(effects.overlapped)
    parts += [f"{overlaps} {'overlap' if overlaps == 1 else 'overlaps'}"] if overlaps else []
    others = ((effects.left_stopped, "left stopped"), (effects.added, "new"), (effects.removed, "removed"))
    parts += [f"{len(names)} {word}" for names, word in others if names]
    return ", ".join(parts)


def _programs(preview: Preview) -> str:
    effects = preview.effects
    counts = {
        "to restart": len(effects.restarted),
        "to restart by an overlap": len(effects.overlapped),
        "left stopped": len(effects.left_stopped),
        "new": len(effects.added),
        "to remove": len(effects.removed),
        "unchanged": preview.unchanged,
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _changing(preview: Preview) -> list[Change]:
    return [change for change in preview.plan.changes if change.kind is not ChangeKind.KEEP]


def _counted(changes: Sequence[Change]) -> str:
    counts = Counter(change.kind for change in changes)
    return ", ".join(f"{counts[kind]} {word}" for kind, word in WORDS.items() if counts[kind]) or "none changed"


def as_json(preview: Preview) -> str:
    """Return the summary, and every file, as one JSON document."""
    manifest = preview.plan.generation.manifest
    document = {
        "format": FORMAT,
        "project": manifest.project,
        "changed": not preview.plan.nothing_to_do,
        "changes": [_line(line) for line in preview.lines],
        "programs": {**_names(preview.effects), "unchanged": preview.unchanged},
        "cut": [_cut(each) for each in preview.cut],
        "obstacles": list(preview.obstacles),
        "adopted": [_adoption(each) for each in in_order(preview.plan)],
        "restored": [each.source for each in preview.plan.returned],
        "files": [
            {"path": str(change.path), "change": WORDS[change.kind], "launcher": change in preview.own}
            for change in _changing(preview)
        ],
    }
    return json.dumps(document, indent=2)


def _cut(cut: Cut) -> dict[str, object]:
    draining = cut.draining
    tasks = [task._asdict() for task in draining.tasks]
    return {"program": cut.program.name, "pid": draining.pid, "seconds": draining.seconds, "tasks": tasks}


def _adoption(adoption: Adoption) -> dict[str, object]:
    return {
        "label": adoption.label,
        "sources": [each.source for each in adoption.adopted],
        "programs": successors_of(adoption),
        "running": any(each.was_running for each in adoption.adopted),
    }


def _line(line: Line) -> dict[str, object]:
    sign, _ = SIGNS[line.kind]
    return {
        "sign": sign,
        "tables": list(line.tables),
        "keys": [change._asdict() for change in line.changes],
        **_names(line.effects),
    }


def _names(effects: Effects) -> dict[str, list[str]]:
    return {
        "restarted": list(effects.restarted),
        "overlapped": list(effects.overlapped),
        "left_stopped": list(effects.left_stopped),
        "added": list(effects.added),
        "removed": list(effects.removed),
    }
