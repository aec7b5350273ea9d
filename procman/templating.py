"""Render templates with Jinja, and refuse values without a quoting filter; the only user of Jinja."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2

from procman import quoting
from procman.errors import ProcmanError
from procman.quoting import shell, supervisor, systemd, yaml

SUFFIX = ".j2"

FILTERS = (
    quoting.comment,
    quoting.plain_name,
    quoting.variable_name,
    shell.shell,
    shell.shell_words,
    supervisor.supervisor_command,
    supervisor.supervisor_log_file,
    supervisor.supervisor_option,
    systemd.plain_path,
    systemd.systemd_assignment,
    systemd.systemd_command,
    systemd.systemd_environment_file,
    systemd.systemd_path,
    systemd.systemd_text,
    systemd.systemd_units,
    systemd.systemd_words,
    yaml.json_words,
    yaml.kustomize_line,
    yaml.yaml_block,
    yaml.yaml_literal,
    yaml.yaml_text,
    yaml.yaml_words,
)
"""The filters of the templates, under their names in `quoting`."""


def builtin_templates() -> Path:
    """Return the directory of procman's templates: inside the package in a wheel, above it in a checkout."""
    inside = Path(__file__).parent / "templates"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "templates"


class Templates:
    """procman's templates; those in a directory of the user take precedence."""

    def __init__(self, own: Path | None = None) -> None:
        if own:
            _check_overrides(own)
        self._directories = (*([own] if own else []), builtin_templates())
        self._environment = _environment(self._directories)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of template `name`; ProcmanError names the template and the line of an error."""
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            places = ", then ".join(str(directory) for directory in self._directories)
            raise ProcmanError(f"template {error.name}: not found", hint=f"Searched in {places}.") from None
        except Exception as error:
            # Its author has to fix an error of a template, and needs its line, not a traceback of procman.
            hint = error.hint if isinstance(error, ProcmanError) else "Fix the template."
            raise ProcmanError(f"template {self._place(error, name)}: {_reason(error)}", hint=hint) from error

    def digest(self) -> str:
        """Return a digest of all templates that are used."""
        found = {name: path.read_bytes() for each in reversed(self._directories) for name, path in _inside(each)}
        whole = hashlib.sha256()
        for name, content in sorted(found.items()):
            whole.update(name.encode() + b"\0" + content + b"\0")
        return whole.hexdigest()

    def _place(self, error: Exception, name: str) -> str:
        if isinstance(error, jinja2.TemplateSyntaxError):
            return f"{error.filename or name}:{error.lineno}"
        # Jinja adds the lines of templates to the traceback; the innermost is at fault.
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if any(Path(frame.filename).is_relative_to(directory) for directory in self._directories):
                return f"{frame.filename}:{frame.lineno}"
        return name


@cache
def _environment(directories: tuple[Path, ...]) -> jinja2.Environment:
    """Return the environment that reads `directories`; it compiles a template once, and again after a change."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directories),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # not HTML; _finalize demands a quoting filter instead
    )
    environment.filters.update({each.__name__: each for each in FILTERS})
    return environment


def _check_overrides(own: Path) -> None:
    if not own.is_dir():
        raise ProcmanError(f"templates: {own} is not a directory", hint="Fix the key templates, or remove it.")
    names = [name for name, _ in _inside(builtin_templates())]
    if not any((own / name).is_file() for name in names):
        raise ProcmanError(
            f"templates: {own} contains no template that procman uses",
            hint=f"It can contain {', '.join(sorted(names))}.",
        )


def _inside(directory: Path) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(directory)), path) for path in directory.rglob(f"*{SUFFIX}")]


def _finalize(value: object) -> object:
    # A value that is not quoted for its format could start a new line, option or section.
    if isinstance(value, (quoting.Encoded, jinja2.Undefined)) or type(value) is int:
        return value
    raise jinja2.TemplateRuntimeError(f"{value!r} is printed without a quoting filter, such as `| shell`")


def _reason(error: Exception) -> str:
    match error:
        case ProcmanError() | jinja2.TemplateError():
            return error.message or type(error).__name__
        case OSError():
            return f"cannot be read: {error.strerror}"
        case _:
            return f"{type(error).__name__}: {error}"
