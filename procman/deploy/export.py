"""Write an export to a directory that is the user's, and replace an earlier export of the same project there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from procman.config.read_file import normalised
from procman.deploy.render import elsewhere
from procman.errors import ProcmanError
from procman.install.plan.describe import content_of
from procman.install.safe_fs.tree import Tree
from procman.project import RenderedFile, Rendering

LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>[^\0]+)")
"""As sha256sum(1) writes and reads it."""

Record = Mapping[str, frozenset[str]]
"""The digests of the contents that procman wrote, by paths below the directory."""


@dataclass(frozen=True)
class Export:
    """A rendering for `target` of the project called `project`."""

    project: str
    target: str
    rendering: Rendering

    @property
    def record(self) -> str:
        """Return the name of the file that lists what procman wrote."""
        return f".procman-export-{self.target}"

    @property
    def header(self) -> str:
        """Return its first line."""
        command = f"procman export {self.target}"
        return f"# Written by procman for {self.project}: the files of `{command}`, to find those that were changed."


def write_export(export: Export, output: Path) -> list[Path]:
    """Write the files of `export` below `output` and return their paths; files of an earlier export are replaced.

    Nothing is written if a file in the way is not procman's, or was changed since procman wrote it. Files that the
    export no longer has are removed, any other file is left alone, and no link below `output` is followed.
    """
    top = normalised(output.absolute())
    files = {str(file.path.relative_to("/")): file for file in export.rendering.files}
    with Tree() as tree, elsewhere("Name a directory that you can write to: --output DIR"):
        if tree.look(top) is not None and not tree.has_directory(top):
            raise ProcmanError(f"{output} is not a directory", hint="Name a directory, or a new one.")
        before = _read(tree, export, top)
        _refuse(_in_the_way(tree, top, files, before), output)
        _write(tree, export, top, files, before)
    return [output / path for path in files]


def _write(tree: Tree, export: Export, top: Path, files: Mapping[str, RenderedFile], before: Record) -> None:
    after = {path: frozenset({_digest(content_of(file))}) for path, file in files.items()}
    # If this is interrupted, the next export knows the old files and the new ones.
    both = {path: before.get(path, frozenset()) | after.get(path, frozenset()) for path in {**before, **after}}
    for directory in [*list(top.parents)[-2::-1], top]:
        tree.make_directory(directory, 0o755)
    _keep(tree, export, top, both)
    for path, file in files.items():
        for parent in _parents(path):
            tree.make_directory(top / parent, 0o755)
        tree.write(top / path, content_of(file), file.mode)
    for path in before.keys() - after.keys():
        tree.remove(top / path)
        for parent in reversed(_parents(path)):
            tree.remove_directory(top / parent)
    _keep(tree, export, top, after)
    tree.sync()


def _keep(tree: Tree, export: Export, top: Path, record: Record) -> None:
    lines = [f"{digest}  {path}" for path in sorted(record) for digest in sorted(record[path])]
    tree.write(top / export.record, "\n".join([export.header, *lines, ""]).encode(), 0o644)


def _read(tree: Tree, export: Export, top: Path) -> Record:
    """Return what an earlier export wrote; nothing if there was none. Raises ProcmanError if it was another's."""
    found = tree.look(top / export.record)
    if found is None:
        return {}
    header, *lines = (found.content or b"").decode("utf-8", "replace").splitlines() or [""]
    if header != export.header:
        raise ProcmanError(
            f"{top / export.record} is not of {export.project}: the directory has the export of another project",
            hint="Name another directory.",
        )
    record: dict[str, frozenset[str]] = {}
    for match in filter(None, map(LINE.fullmatch, lines)):
        path = PurePosixPath(match["path"])
        if not path.is_absolute() and ".." not in path.parts:
            record[str(path)] = record.get(str(path), frozenset()) | {match["digest"]}
    return record


def _in_the_way(tree: Tree, top: Path, files: Mapping[str, RenderedFile], before: Record) -> Iterator[tuple[str, str]]:
    """Yield each path that procman must not replace or remove, with the reason."""
    linked = {parent for path in (*files, *before) for parent in _parents(path) if not _is_free(tree, top / parent)}
    yield from ((path, "is not a directory") for path in sorted(linked))
    for path in {**files, **before}:
        found = None if linked.intersection(_parents(path)) else tree.look(top / path)
        if found is None or (path in files and found.content == content_of(files[path])):
            continue
        if found.content is None or path not in before:
            yield path, "is not a file that procman wrote"
        elif _digest(found.content) not in before[path]:
            yield path, "was changed after procman wrote it"


def _is_free(tree: Tree, path: Path) -> bool:
    found = tree.look(path)
    return found is None or found.noun == "a directory"


def _refuse(found: Iterable[tuple[str, str]], output: Path) -> None:
    problems = [f"{output / path} {reason}" for path, reason in found]
    if problems:
        raise ProcmanError(
            "\n".join(problems),
            hint="Move your changes to compose.override.yaml or an overlay, delete the files and export again; or name "
            "another directory.",
        )


def _parents(path: str) -> list[str]:
    """Return the directories of `path` below the top, the outermost first."""
    return [str(parent) for parent in list(PurePosixPath(path).parents)[-2::-1]]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
