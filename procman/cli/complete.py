"""Complete program names, projects and generations in a shell; a lookup that fails completes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from procman.cli.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from click.shell_completion import CompletionItem


def program_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the short name of a program; an installed name once it no longer begins like a short one."""
    used = set(context.params.get("names") or ())
    found = _completed(lambda: _programs(_selection(context), used), incomplete)
    return found or _completed(lambda: _installed_programs(_selection(context), used), incomplete)


def project_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a project that is installed, or that has a procman.toml in /etc/procman."""
    return _completed(_projects, incomplete)


def generations(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the number of a generation that `procman history` lists."""
    return _completed(lambda: _generations(_selection(context)), incomplete)


def _selection(context: click.Context) -> Selection:
    # The group's function has not run; the options after the command have made a selection.
    return context.obj or Selection.of_group(context.find_root().params)


def _completed(find: Callable[[], Iterable[tuple[str, str]]], incomplete: str) -> list[CompletionItem]:
    # Each word has a text that the shell may show beside it.
    from click.shell_completion import CompletionItem

    from procman.errors import ProcmanError

    try:
        return [CompletionItem(word, help=about) for word, about in find() if word.startswith(incomplete)]
    except (ProcmanError, OSError):
        return []


def _programs(selection: Selection, used: set[str]) -> Iterator[tuple[str, str]]:
    from procman.program_names import short_name

    programs = selection.look_up().manifest.programs
    names = {short_name(each): each.name for each in reversed(programs)}
    return ((short, name) for short, name in reversed(names.items()) if short not in used)


def _installed_programs(selection: Selection, used: set[str]) -> Iterator[tuple[str, str]]:
    programs = selection.look_up().manifest.programs
    return ((each.name, f"[{each.key}]") for each in programs if each.name not in used)


def _projects() -> Iterator[tuple[str, str]]:
    import os

    from procman.config.find_file import files_for_host
    from procman.lookup import installed_anywhere

    found = {name: str(path) for name, path in files_for_host().items()}
    found.update((name, str(directories.state)) for name, directories in installed_anywhere(dict(os.environ)))
    return iter(sorted(found.items()))


def _generations(selection: Selection) -> Iterator[tuple[str, str]]:
    from procman.install.safe_fs.tree import Tree
    from procman.install.state.generations import generation_numbers, made_at
    from procman.output.terminal import moment

    state = selection.look_up(formerly=True).manifest.directories.state
    with Tree() as tree:
        numbers = generation_numbers(tree, state)
    return ((str(number), moment(made_at(state, number))) for number in reversed(numbers))


names = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=program_names)
"""Any number of programs."""
