"""Keep programs that were stopped on purpose from being started together with procman's own supervisord (R11).

supervisord starts every program with `autostart=true`. It merges sections of the same name, and those that it reads
last decide (supervisor 4.3), so a file that is in its directory only while it starts turns that off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from procman.backends.supervisor.configuration.includes import included
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, sections_of
from procman.host.process import boot_id
from procman.install.safe_fs.tree import Tree
from procman.install.state.desired_states import read_desired
from procman.install.state.scope_directories import installed_projects

NAME = "~held-back"
"""Sorted after every program, whose names begin with a letter."""

COMMENT = "; Written by procman while it starts supervisord; it can be deleted.\n"


def stopped_on_purpose(shared_state: Path) -> dict[str, float]:
    """Return the programs of all projects in `shared_state` that procman stopped and has not started since, and when.

    Another command may have started them.
    """
    with Tree() as tree:
        return {
            order.program: order.at
            for project in installed_projects(tree, shared_state)
            for order in read_desired(tree, shared_state / project, boot_id()).values()
            if not order.desired
        }


@contextmanager
def held_back(main: MainFile, names: Collection[str]) -> Iterator[None]:
    """Turn off `autostart` of the programs `names` in the files that a supervisord started in the body reads."""
    headers = sorted({header for header in _headers(main) if header.partition(":")[2] in names})
    with Tree() as tree:
        try:
            if headers:
                text = COMMENT + "".join(f"[{header}]\nautostart=false\n" for header in headers)
                tree.write(path_of(main), text.encode(), 0o644)
            else:
                discard(tree, main)  # of an earlier start that was killed
            yield
        finally:
            discard(tree, main)


def discard(tree: Tree, main: MainFile) -> None:
    """Remove the file, if a start that was killed has left it."""
    if main.includes:
        tree.remove(path_of(main))


def path_of(main: MainFile) -> Path:
    """Return the path of the file: the last one that the first pattern of `[include]` matches."""
    pattern = Path(main.includes[0])
    return pattern.with_name(pattern.name.replace("*", NAME))


def _headers(main: MainFile) -> Iterator[str]:
    for file in included(main.includes):
        text = file.read_text(encoding="utf-8", errors="surrogateescape") if file != path_of(main) else ""
        yield from (section.header for section in sections_of(text) if section.kind in PROGRAM_KINDS)
