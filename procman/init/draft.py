"""What `init` has found out so far: values for procman.toml, what it says about them, and what only a person knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from procman.config import keys
from procman.config.keys import Key
from procman.secrets import masked


@dataclass(frozen=True)
class Discovery:
    """One thing that was found, for a person to read."""

    what: str
    value: str
    note: str = ""


@dataclass
class Draft:
    """The procman.toml that is being put together; the first value of a key stays."""

    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    """TOML values by table and key: `tables["worker.celery"]["queues"]`."""
    remarks: dict[str, str] = field(default_factory=dict)
    """What the file says above a key, by its dotted name."""
    fill_in: dict[str, str] = field(default_factory=dict)
    """Keys that only a person can fill in, by dotted name, each with the reason."""
    findings: list[Discovery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def found(self, what: str, value: object, note: str = "") -> None:
        """Add a finding; passwords in it are hidden (S2)."""
        self.findings.append(Discovery(what, masked(str(value)), masked(note)))

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if masked(text) not in self.warnings:
            self.warnings.append(masked(text))

    def put(self, table: str, name: str, value: object, remark: str = "") -> None:
        """Set a key unless it is set; a value that procman.toml cannot hold becomes something to fill in."""
        dotted = f"{table}.{name}"
        if name in self.tables.setdefault(table, {}):
            return
        plain = _plain(value)
        problem = keys_of(table)[name].type.problem(plain, Path("/"))
        if problem:
            self.fill_in[dotted] = masked(f"found {plain!r}; {problem}")
            return
        self.fill_in.pop(dotted, None)
        self.tables[table][name] = plain
        if remark:
            self.remarks[dotted] = remark

    def get(self, table: str, name: str) -> object:
        """Return the value of a key, None if it has none."""
        return self.tables.get(table, {}).get(name)

    def text(self, table: str, name: str) -> str | None:
        """Return the value of a key that is a text."""
        value = self.get(table, name)
        return value if isinstance(value, str) else None

    def path(self, name: str) -> Path | None:
        """Return a path of `[project]`."""
        value = self.text("project", name)
        return Path(value) if value else None

    def ask_for(self, table: str, name: str, reason: str) -> None:
        """Note that a person has to fill in a key, unless it has a value."""
        if self.get(table, name) is None:
            self.fill_in.setdefault(f"{table}.{name}", masked(reason))


def _plain(value: object) -> object:
    """Return VALUE as TOML has it."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def keys_of(table: str) -> Mapping[str, Key]:
    """Return the keys of TABLE, `worker.crop` being one of the tables called worker, by name."""
    kind = table.split(".", 1)[0]
    found = keys.SINGLE_TABLES.get(kind) or keys.NAMED_TABLES[kind]
    return {key.name: key for key in found}
