"""Format a plan: the list of paths that change, and the unified diff."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TextIO

from procman.install.plan.changes import Change
from procman.install.plan.plan import Plan
from procman.model import Adoption, RenderedDirectory
from procman.output.terminal import coloured, printable
from procman.project import ChangeKind, RenderedFile
from procman.secrets import masked

_ENVIRONMENT = re.compile(r"(\s*environment\s*=)")
_ANY_ENVIRONMENT = re.compile(_ENVIRONMENT.pattern, re.IGNORECASE)
"""Also of a unit: procman's own units have no secret there."""

SIGNS = {ChangeKind.CREATE: ("+", "green"), ChangeKind.UPDATE: ("~", "yellow"), ChangeKind.REMOVE: ("-", "red")}


def as_list(plan: Plan, stream: TextIO) -> Iterator[str]:
    """Yield a line per path that changes, with its mode and owner, and one per command for the process manager."""
    for directory in plan.directories:
        yield coloured(f"+ {directory.path}/  {_owned(directory)}", "green", stream)
    for directory in plan.handed_over:
        yield coloured(f"~ {directory.path}/  {_owned(directory)}, with its contents", "yellow", stream)
    for change in _changing(plan):
        sign, colour = SIGNS[change.kind]
        owned = _owned(change.new) if change.new else ""
        yield coloured(f"{sign} {change.path}  {owned}{_remark(change)}".rstrip(), colour, stream)
    yield from (f"  stop {each.label}" for each in in_order(plan) if each.has_beat)
    for activation in plan.activations:
        for each in in_order(plan):
            if not each.has_beat and activation.program.name == successors_of(each)[0]:
                yield f"  stop {each.label}"
        yield f"  {activation.action.value} {activation.program.name}"


def as_difference(plan: Plan, left_out: Collection[Change], stream: TextIO) -> Iterator[str]:
    """Yield the changes as a unified diff, apart from those that are `left_out`."""
    for change in _changing(plan):
        if change in left_out:
            continue
        pattern = _ANY_ENVIRONMENT if change.foreign else _ENVIRONMENT
        old, new = _lines(change.old_content, pattern), _lines(change.new_content, pattern)
        before = str(change.path) if change.old_content is not None else "/dev/null"
        after = str(change.path) if change.new_content is not None else "/dev/null"
        if change.edited or change.foreign:
            yield f"# {change.path}:{_remark(change)}"
        if old == new:
            yield f"# {change.path}: only the owner or mode changes"
        for line in difflib.unified_diff(old, new, before, after, lineterm=""):
            yield coloured(printable(line), {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], ""), stream)


def in_order(plan: Plan) -> list[Adoption]:
    """Return what the plan adopts in the order in which it is stopped: beats first."""
    return sorted(plan.adoptions, key=lambda adoption: not adoption.has_beat)


def successors_of(adoption: Adoption) -> list[str]:
    """Return the names of the programs that take the place of `adoption`."""
    return list(dict.fromkeys(each.program for each in adoption.adopted))


def as_adoptions(plan: Plan) -> Iterator[str]:
    """Yield a line for each existing program that is stopped for one of the project, or restored."""
    for adoption in in_order(plan):
        names = successors_of(adoption)
        start, are = ("starts", "is") if len(names) == 1 else ("start", "are")
        if any(each.was_running for each in adoption.adopted):
            done = f"stops gracefully first, then {', '.join(names)} {start} in its place"
        else:
            done = f"does not run, so {', '.join(names)} {are} left stopped in its place"
        yield f"adopts    {adoption.label}: {done}"
    yield from (f"restores  {each.source}" for each in plan.returned)


def as_remarks(plan: Plan) -> Iterator[str]:
    """Yield a line for each file that is not as procman wrote it."""
    yield from (f"{change.path}{_remark(change)}" for change in _changing(plan) if change.edited or change.foreign)


def as_set_aside(plan: Plan) -> Iterator[str]:
    """Yield a line for each file that was not as procman wrote it, and was therefore backed up."""
    place = plan.generation.manifest.directories.state / "set-aside"
    for change in _changing(plan):
        if change.found and (change.edited or change.foreign):
            yield f"backed up {change.path} to {place}"


def as_sum(plan: Plan) -> str:
    """Return the numbers of files created, updated and removed, in a few words."""
    counts = Counter(change.kind for change in _changing(plan))
    words = {ChangeKind.CREATE: "created", ChangeKind.UPDATE: "updated", ChangeKind.REMOVE: "removed"}
    found = [(counts[kind], word) for kind, word in words.items() if counts[kind]]
    files = (f"{count} {'file' if count == 1 else 'files'} {word}" for count, word in found[:1])
    return ", ".join((*files, *(f"{count} {word}" for count, word in found[1:]))) or "no file changed"


def _changing(plan: Plan) -> list[Change]:
    return [change for change in plan.changes if change.kind is not ChangeKind.KEEP]


def _owned(place: RenderedDirectory | RenderedFile) -> str:
    return f"{place.mode:04o}" + (f" {place.owner}:{place.group or ''}" if place.owner else "")


def _remark(change: Change) -> str:
    if change.foreign:
        done = "set aside" if change.kind is ChangeKind.REMOVE else "adopted, backed up first"
        return f"  not managed by procman: {done}"
    return "  changed by hand: backed up first" if change.edited else ""


def _lines(content: bytes | None, environment: re.Pattern[str]) -> list[str]:
    """Return the lines of `content`; a file that procman did not write may contain secrets (S2)."""
    lines, is_environment, continues = [], False, False
    for line in (content or b"").decode("utf-8", "replace").splitlines():
        found = environment.match(line)
        # The value continues in indented lines for supervisord, and after a backslash for systemd.
        is_environment = bool(found) or (is_environment and bool(line.strip()) and (continues or line[0].isspace()))
        continues = line.endswith("\\")
        hidden = f"{found[1]}***" if found else f"{line[: len(line) - len(line.lstrip())]}***"
        lines.append(hidden if is_environment else masked(line))
    return lines
