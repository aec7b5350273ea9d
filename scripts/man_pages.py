"""Generate the man pages in man/ from the help of the commands and the keys of procman.toml (`make docs`)."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from procman.cli.main import COMMANDS, procman
from procman.config import supervisor_options, systemd_directives
from procman.config.keys import Key
from procman.project import OLDEST_SYSTEMD
from scripts.configuration_reference import SECTIONS, default

ROOT = Path(__file__).parents[1]

EXIT_STATUS = (
    ("0", "The command succeeded."),
    ("1", "The command failed, or its output could not be written."),
    ("2", "The usage or the configuration is wrong."),
    ("130", "The command was interrupted."),
)
OWN_EXIT_STATUS = "`status`, `health` and `run` have more: see their pages."
ENVIRONMENT = (
    ("PROCMAN_CONFIG", "The procman.toml to use if there is no `--config`."),
    ("NO_COLOR", "If it is set, output has no colour."),
)
FILES = (
    ("procman.toml", "Describes the project. See procman.toml(5)."),
    ("/etc/procman/PROJECT", "Start scripts."),
    ("/usr/local/lib/procman/PROJECT", "The launcher and the agent."),
    ("/var/lib/procman/PROJECT", "Generations, and the heartbeat of each program."),
    ("/var/log/PROJECT", "The logs of the programs."),
)
IN_USER_SCOPE = 'With `scope = "user"` these are below the XDG directories instead: see `procman explain install`.'
ABOUT_THE_FILE = """\
procman.toml describes how a Django project runs its Celery workers and beat. `procman init` writes it, and
`procman check` reports every problem in it. Paths are relative to the directory of the file. An unknown key is an
error.

Only `[project]` and one program are required. Every other key has a default.
"""


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    group = click.Context(procman, info_name="procman", **procman.context_settings)
    found = {"procman.1": "".join(_overview(group)), "procman.toml.5": "".join(_configuration())}
    for name in COMMANDS:
        command = procman.get_command(group, name)
        assert command
        found[f"procman-{name}.1"] = "".join(_command(command, click.Context(command, group, name)))
    return found


def _overview(context: click.Context) -> Iterator[str]:
    yield from _head("procman", 1, "keep Celery workers and beat running")
    yield from _section("SYNOPSIS", [".B procman\n", _text("[OPTIONS] COMMAND [ARGUMENT]..."), "\n"])
    description, examples = _parts(procman)
    yield from _section("DESCRIPTION", _paragraphs(description))
    yield from _section("COMMANDS", _items((f"`procman-{name}`(1)", text) for name, text in COMMANDS.items()))
    yield from _options(context)
    status = [*_items((f"`{number}`", text) for number, text in EXIT_STATUS), ".PP\n", _text(OWN_EXIT_STATUS), "\n"]
    yield from _section("EXIT STATUS", status)
    yield from _section("ENVIRONMENT", _items((f"`{name}`", text) for name, text in ENVIRONMENT))
    files = [*_items((f"`{name}`", text) for name, text in FILES), ".PP\n", _text(IN_USER_SCOPE), "\n"]
    yield from _section("FILES", files)
    yield from _section("EXAMPLES", _verbatim(examples))
    yield from _see_also("procman.toml(5)", "supervisord(1)", "systemd(1)")


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    assert context.info_name
    summary = COMMANDS[context.info_name].rstrip(".")
    yield from _head(f"procman-{context.info_name}", 1, summary[0].lower() + summary[1:])
    usage = command.collect_usage_pieces(context)
    yield from _section("SYNOPSIS", [f".B procman {context.info_name}\n", _text(" ".join(usage)), "\n"])
    description, examples = _parts(command)
    yield from _section("DESCRIPTION", _paragraphs(description))
    yield from _options(context)
    yield from _section("EXAMPLES", _verbatim(examples))
    yield from _see_also("procman(1)", "procman.toml(5)")


def _configuration() -> Iterator[str]:
    yield from _head("procman.toml", 5, "configuration of procman")
    yield from _section("DESCRIPTION", _paragraphs(ABOUT_THE_FILE.split("\n\n")))
    example = (ROOT / "units" / "procman.toml").read_text(encoding="utf-8")
    yield from _section("EXAMPLE", _verbatim(line for line in example.splitlines() if not line.startswith("#")))
    for title, keys in SECTIONS:
        yield from _section(title.upper() if "[" not in title else title, _items(map(_key, keys)))
    found = supervisor_options.FREE.items()
    options = _items((f"`{name}`", kind.expected) for name, kind in sorted(found))
    yield from _section("Options of a program section of supervisord: [worker.NAME.supervisor]", options)
    rows = sorted(systemd_directives.FREE.items())
    directives = ((f"`{name}`", directive.value.value + _since(directive.since)) for name, directive in rows)
    yield from _section("Directives of systemd units: [systemd.directives], [worker.NAME.systemd]", _items(directives))
    yield from _see_also("procman(1)", "procman-init(1)", "procman-check(1)", "systemd.exec(5)")


def _key(key: Key) -> tuple[str, str]:
    found = default(key)
    ending = " Required." if key.required else f" Default: {found}." if found else ""
    return f"`{key.name}`", f"{key.help} Value: {key.type.expected}.{ending}"


def _since(version: int) -> str:
    return f", since systemd {version}" if version > OLDEST_SYSTEMD else ""


def _head(name: str, number: int, summary: str) -> Iterator[str]:
    yield '.\\" Generated by make docs.\n'
    yield f'.TH "{_escaped(name).upper()}" "{number}" "" "" "procman"\n'
    yield from _section("NAME", [f"{_escaped(name)} \\- {_text(summary)}\n"])


def _parts(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a help text, and the lines of its examples."""
    before, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    return before.strip().split("\n\n"), inspect.cleandoc(examples).splitlines()


def _options(context: click.Context) -> Iterator[str]:
    # Newer versions of Click have a record of an argument, too, without text.
    options = (each for each in context.command.get_params(context) if isinstance(each, click.Option))
    records = (each.get_help_record(context) for each in options)
    yield from _section("OPTIONS", _items((f"`{record[0]}`", record[1]) for record in records if record))


def _see_also(*names: str) -> Iterator[str]:
    yield from _section("SEE ALSO", [_text(", ".join(names)) + "\n"])


def _section(title: str, body: Iterable[str]) -> Iterator[str]:
    yield f".SH {_escaped(title)}\n"
    yield from body


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield ".PP\n" if number else ""
        lines = text.splitlines()
        if lines and lines[0] == "\b":
            yield from _verbatim(lines[1:])
        else:
            yield f"{_text(' '.join(line.strip() for line in lines))}\n"


def _items(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in items:
        yield f".TP\n{_text(term)}\n{_text(' '.join(text.split()))}\n"


def _verbatim(lines: Iterable[str]) -> Iterator[str]:
    yield ".nf\n.RS 4\n"
    for line in lines:
        yield f"{_escaped(line)}\n"
    yield ".RE\n.fi\n"


def _text(text: str) -> str:
    """Return roff for `text`, with what stands between backticks in bold."""
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", _escaped(text))


def _escaped(text: str) -> str:
    """Return `text` so that roff takes no character of it for an instruction."""
    found = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{found}" if found.startswith(".") else found


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    made = pages()
    for path in directory.glob("*.[15]"):
        if path.name not in made:
            path.unlink()
    for file_name, page in made.items():
        (directory / file_name).write_text(page, encoding="utf-8")
