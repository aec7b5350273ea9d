"""Templates to text: the only user of Jinja; prints nothing that has not passed a quoting filter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import jinja2

from procman import quoting
from procman.errors import ProcmanError


def builtin_templates() -> Path:
    """Return procman's own templates: beside the package's modules in a wheel, above them in a checkout."""
    inside = Path(__file__).parent / "templates"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "templates"


class Templates:
    """procman's templates, with those of one directory of the user's in front."""

    def __init__(self, own: Path | None = None) -> None:
        self._directories = [*([own] if own else []), builtin_templates()]
        if own and not own.is_dir():
            raise ProcmanError(f"templates: {own} is not a directory", hint="Mend the key templates, or leave it out.")
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(self._directories),
            undefined=jinja2.StrictUndefined,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  # nothing here is HTML; _finalize holds the rule of this place
        )
        self._environment.filters.update(
            shell=quoting.shell,
            shell_words=quoting.shell_words,
            comment=quoting.comment,
            supervisor_option=quoting.supervisor_option,
            supervisor_command=quoting.supervisor_command,
        )

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of template NAME; ProcmanError names the template and line that is wrong."""
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateError as error:
            line = getattr(error, "lineno", None)
            place = f"{name}:{line}" if line else name
            raise ProcmanError(f"template {place}: {error.message}", hint=f"Looked in {self._looked_in()}.") from None

    def digest(self) -> str:
        """Return a digest of every template as it is in force."""
        found: dict[str, bytes] = {}
        for directory in reversed(self._directories):
            for path in directory.rglob("*.j2"):
                found[str(path.relative_to(directory))] = path.read_bytes()
        whole = hashlib.sha256()
        for name in sorted(found):
            whole.update(name.encode() + b"\0" + found[name] + b"\0")
        return whole.hexdigest()

    def _looked_in(self) -> str:
        return ", then ".join(str(directory) for directory in self._directories)


def _finalize(value: object) -> object:
    # A value that no filter has made ready for its format could start a new line, option or section.
    if isinstance(value, (quoting.Encoded | int, jinja2.Undefined)):
        return value
    raise jinja2.TemplateRuntimeError(f"{value!r} is printed without a quoting filter, such as `| shell`")
