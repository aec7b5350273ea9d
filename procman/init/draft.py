"""The findings of `init`: values for procman.toml, remarks on them, and the keys that the user has to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from procman.config import keys
from procman.config.keys import Key
from procman.init.importing.existing import Remark
from procman.secrets import masked


@dataclass(frozen=True)
class Discovery:
    """One finding, as it is printed."""

    what: str
    value: str
    note: str = ""


@dataclass
class Draft:
    """The procman.toml under construction; the first value of a key is kept."""

    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    """TOML values by table and key: `tables["worker.celery"]["queues"]`."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Comments for the file, by the dotted name of the key."""
    fill_in: dict[str, str] = field(default_factory=dict)
    """Keys that the user has to fill in, by dotted name, each with the reason."""
    findings: list[Discovery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """The variables of imported programs that belong into the environment file that init writes."""
    variables_of_file: dict[str, str] = field(default_factory=dict, repr=False)
    """The variables of an existing file that environment_file names."""
    settings_for_development: str | None = None
    """The settings that manage.py names, if those of the project are for production."""
    import_remarks: list[Remark] = field(default_factory=list)
    has_flower: bool = False
    """Whether the file offers a table for Flower, as a comment."""
    is_import: bool = False
    """Whether it describes existing programs, to which nothing is added that they do not do."""

    def found(self, what: str, value: object, note: str = "") -> None:
        """Add a finding, with its passwords hidden (S2)."""
        self.findings.append(Discovery(what, masked(str(value)), masked(note)))

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if masked(text) not in self.warnings:
            self.warnings.append(masked(text))

    def put(self, table: str, name: str, value: object, remark: str = "") -> None:
        """Set a key unless it is set; an invalid value is noted as something to fill in."""
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
        """Return the value of a key if it is a string."""
        value = self.get(table, name)
        return value if isinstance(value, str) else None

    def path(self, name: str) -> Path | None:
        """Return a path of `[project]`."""
        value = self.text("project", name)
        return Path(value) if value else None

    def ask_for(self, table: str, name: str, reason: str) -> None:
        """Note that the user has to fill in a key, unless it has a value."""
        if self.get(table, name) is None:
            self.fill_in.setdefault(f"{table}.{name}", masked(reason))


def _plain(value: object) -> object:
    """Return `value` as a TOML value."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def keys_of(table: str) -> Mapping[str, Key]:
    """Return the keys of `table`, such as `worker.crop`, by name."""
    kind = table.split(".", 1)[0]
    found = keys.SINGLE_TABLES.get(kind) or keys.NAMED_TABLES[kind]
    return {key.name: key for key in found}
