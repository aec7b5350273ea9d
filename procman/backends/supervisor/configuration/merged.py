"""Assemble the configuration that supervisord would read once a rendering is installed, with all unmanaged files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from procman.backends.supervisor.configuration import includes
from procman.backends.supervisor.configuration.main_file import MainFile, parse_main_file, read_main_file
from procman.backends.supervisor.configuration.supervisor_parser import Source
from procman.backends.supervisor.held_back import path_of
from procman.host.unit_names import unit_at
from procman.model import SupervisorSettings
from procman.project import RenderedFile, Rendering


@dataclass(frozen=True)
class Configuration:
    """Everything that supervisord would read."""

    main: MainFile
    main_source: Source
    include: str
    """The pattern in procman.toml that matches procman's files."""
    ours: Mapping[Path, RenderedFile]
    included: tuple[Source, ...]
    """Including those of `ours`, in reading order."""

    @property
    def names(self) -> list[str]:
        """Return the names of procman's programs."""
        return [name for file in self.ours.values() for name in file.programs]

    @property
    def others(self) -> list[Source]:
        """Return the included files that procman does not manage."""
        return [source for source in self.included if source.path not in self.ours]


def assemble(
    settings: SupervisorSettings, rendering: Rendering, removed: Iterable[Path], adopted: Mapping[Path, str | None]
) -> Configuration:
    """Return what the supervisord of `settings` would read once `rendering` is installed and `removed` is deleted.

    `adopted` maps unmanaged files to the content left in them, None if nothing is. Raises ProcmanError.
    """
    path = settings.configuration
    contents: dict[Path, str | None] = {file.path: file.content for file in rendering.files}
    contents |= {file: left for file, left in adopted.items() if file not in contents}
    gone = [*removed, *(file for file, left in contents.items() if left is None)]
    main_source = Source(path, contents.get(path))
    main = read_main_file(path) if main_source.content is None else parse_main_file(path, main_source.content)
    new = [file for file, left in contents.items() if left is not None and file != path]
    staged = {includes.real(file): file for file in new}
    included = []
    if main.includes:
        gone.append(path_of(main))
    for file in includes.merged(main.includes, new, gone):
        known = staged.get(includes.real(file))
        included.append(Source(known or file, contents[known] if known else None))
    ours = {file.path: file for file in rendering.files if file.section and unit_at(file.path) is None}
    return Configuration(main, main_source, settings.include, ours, tuple(included))
