"""How the installed files differ from their generation; runs every minute, so it reads only files that may differ."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import manifests_of_others
from procman.install.state.manifest import InstalledFile, Manifest, digest
from procman.model import Directories


def differences(manifest: Manifest) -> Iterator[str]:
    """Yield, in plain words, how the installed files and procman.toml differ from the current `manifest`."""
    since = _completed(manifest.directories.state)
    doubtful = [file for file in manifest.files if not _untouched(file, since)]
    if doubtful:
        with Tree() as tree:
            yield from (text for file in doubtful if (text := _difference(tree, manifest, file)))
    for name in manifest.left_out:
        yield f"{name} was removed because it did not become healthy; `procman install` tries it again"
    yield from _configuration_difference(manifest)


def _completed(state: Path) -> int:
    """Return when the last file was installed, in ns since the epoch; 0 if that is not reliable."""
    try:
        completed = os.lstat(state / "current").st_ctime_ns
    except OSError:
        return 0
    return completed if completed <= time.time_ns() else 0  # the clock was set back since


def _untouched(file: InstalledFile, since: int) -> bool:
    # Every write, rename, link, chmod and chown updates this time, and no call can set it (inode(7)).
    try:
        found = os.lstat(file.path)
    except OSError:
        return False
    return found.st_ctime_ns < since and found.st_mode == stat.S_IFREG | file.mode


def _difference(tree: Tree, manifest: Manifest, file: InstalledFile) -> str:
    try:
        found = tree.look(file.path)
    except ProcmanError as error:
        return error.message
    if found is None:
        return f"{file.path} is missing"
    if found.content is None or digest(found.content) != file.digest:
        if found.content and file.shared and _is_anothers(tree, manifest.directories, file.path, digest(found.content)):
            return ""
        return f"{file.path} was changed by hand"
    return f"{file.path} has mode {found.mode:04o}, not {file.mode:04o}" if found.mode != file.mode else ""


def _is_anothers(tree: Tree, directories: Directories, path: Path, content: str) -> bool:
    """Return whether another project, perhaps with a newer procman, wrote `content`, a digest, to the shared `path`."""
    others = manifests_of_others(tree, directories)
    return any((path, content) == (file.path, file.digest) for other in others for file in other.files)


def _configuration_difference(manifest: Manifest) -> Iterator[str]:
    path, back = manifest.configuration_file, manifest.brought_back
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        yield f"{path} is missing; its content is kept with the generation"
    except IsADirectoryError:
        yield f"{path} is a directory; the content of the file is kept with the generation"
    except OSError:
        return  # a monitoring user may not be able to read it
    else:
        if not is_as_installed(manifest, content):
            how = f"differs from the restored generation {back}" if back else "was changed since the install"
            yield f"{path} {how}; `procman diff` shows what an install would change"


def is_as_installed(manifest: Manifest, content: bytes) -> bool:
    """Return whether `content` is the procman.toml of the installed generation."""
    return _is_as_kept(manifest, content) or digest(content) == manifest.configuration_digest


def _is_as_kept(manifest: Manifest, content: bytes) -> bool:
    """Return whether `content` is the procman.toml that the current generation keeps, if that is readable."""
    try:
        return content == (manifest.directories.state / "current" / "procman.toml").read_bytes()
    except OSError:
        return False
