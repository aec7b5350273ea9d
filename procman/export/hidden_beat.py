"""Find a beat, or workers that detach, in any command: also behind a shell or manage.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from procman.celery_cli.multi import multi_at
from procman.celery_cli.parse import read_command
from procman.celery_cli.script_file import script_started_by
from procman.celery_cli.start_script import read_script
from procman.model import Kind

BEAT = (
    "it starts a beat, and a rolling update or a second replica would run two of them: use the table [beat], of which "
    "there is only one"
)
MULTI = (
    "celery multi detaches its workers, and the container ends at once: write a table [worker.NAME] for each of them"
)

IN_IMAGE = Path("/")
"""Where a script would be; no file of this host is read."""

DEEPEST = 4
"""Shells that start each other."""


def problem_of(words: Sequence[str], environment: Mapping[str, str], depth: int = 0) -> str:
    """Return why no container may run `words`; empty if it may, or if only the image knows what they start."""
    if "manage.py" in (Path(word).name for word in words[:3]):
        # django-celery and others: manage.py celery beat
        at = next(index for index, word in enumerate(words) if Path(word).name == "manage.py")
        words = words[at + 1 :]
    command = read_command(words)
    if command:
        return BEAT if command.kind is Kind.BEAT or command.with_beat else ""
    if multi_at(words) is not None:
        return MULTI
    script = script_started_by(words, IN_IMAGE, lambda _: "")
    if script is None or depth == DEEPEST:
        return ""
    found = read_script(
        script.text, IN_IMAGE, environment, name=script.name, arguments=script.arguments, sees_files=False
    )
    return problem_of(found.words or found.last, found.environment, depth + 1)
