"""The record of a command line without the wrappers in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.init.importing.existing import Remark
from procman.secrets import masked


@dataclass(frozen=True)
class Unwrapped:
    """What is left of a command line, and what the wrappers in front of it do."""

    words: tuple[str, ...]
    """The command that the wrappers finally run; the same words, if there are none."""
    environment: Mapping[str, str]
    """All variables that reach the command, without those of `environment_files`."""
    directory: Path | None
    place: str
    """Where the command is defined, for the remarks."""
    sees_files: bool = True
    """False in a container, whose files are not those of this host."""
    wrapper: tuple[str, ...] = ()
    """Those that exec what follows, for the key `wrapper`."""
    environment_files: tuple[Path, ...] = ()
    user: str | None = None
    group: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    virtualenv: Path | None = None
    likely_app: str = ""
    remarks: tuple[Remark, ...] = ()
    problem: str = ""
    """Why the command cannot be run without its wrapper, nor with it."""

    def inside(self, word: str | Path) -> Path | None:
        """Return `word` as an absolute path; None if it is relative to an unknown directory."""
        path = Path(word)
        if path.is_absolute():
            return path
        return self.directory / path if self.directory else None

    def remark(self, what: str, consequence: str, *, changed: bool = False, doubtful: bool = False) -> Remark:
        """Return a remark on the wrapper `what`."""
        return Remark(self.place, masked(what), consequence, changed=changed, doubtful=doubtful)


def joined(outside: Unwrapped, inside: Unwrapped) -> Unwrapped:
    """Return `inside`, which a shell of `outside` runs, together with what the wrappers of `outside` do."""
    return replace(
        inside,
        wrapper=(*outside.wrapper, *inside.wrapper),
        environment_files=(*outside.environment_files, *inside.environment_files),
        user=inside.user or outside.user,
        group=inside.group or outside.group,
        values={**outside.values, **inside.values},
        virtualenv=inside.virtualenv or outside.virtualenv,
        remarks=(*outside.remarks, *inside.remarks),
    )
