"""Read the command of an image from its Dockerfile, for the rules of `check --lint`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from procman.init.importing.contents import content_of
from procman.lint.dockerfile_stages import OPTION, last_stage
from procman.lint.inputs import Container, Part, Probe, Reader, Setting
from procman.lint.read_containers import started_in_container

INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)\s+(?P<rest>.*)", re.DOTALL)
COMMENT = re.compile(r"\s*#")
REFERENCE = re.compile(r"\$\{[^}]*\}|\$\w+")
SHELL = ("/bin/sh", "-c")


def dockerfile_parts(files: Sequence[Path]) -> list[Part]:
    """Return the image that each of `files` builds."""
    return [_part(file, list(_instructions(content_of(file)))) for file in files]


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name in capitals and rest of each instruction, its continuation lines joined."""
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if COMMENT.match(line) or (joined and not line.strip()):
            continue
        start = start if joined else number
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        found = INSTRUCTION.fullmatch(joined)
        if found:
            yield start, found["name"].upper(), found["rest"].strip()
        joined = ""


def _part(file: Path, instructions: Sequence[tuple[int, str, str]]) -> Part:
    last = last_stage(instructions)
    stage = last.instructions
    environment = {name: value for name, (_, value) in last.variables.items()}
    words = _command(stage)
    at = stage.get("CMD") or stage.get("ENTRYPOINT")
    name = "CMD" if "CMD" in stage else "ENTRYPOINT"
    return Part(
        Reader.DOCKERFILE,
        file,
        1,
        file.name,
        files=(file,),
        command=Setting(name, at[1], file, at[0]) if at else None,
        variables={
            name: Setting("ENV", REFERENCE.sub("", value), file, line) for name, (line, value) in last.variables.items()
        },
        started=started_in_container(file.name, words, environment),
        container=_container(file, stage, words, environment),
    )


def _container(
    file: Path, stage: dict[str, tuple[int, str]], words: Sequence[str], environment: dict[str, str]
) -> Container:
    signal, check, first = stage.get("STOPSIGNAL"), stage.get("HEALTHCHECK"), stage.get("ENTRYPOINT")
    probes = []
    if check:
        text = OPTION.sub("", check[1] + " ")
        found = re.fullmatch(r"CMD\s+(.*)", text.strip(), re.DOTALL)
        if found:
            probes.append(Probe(Setting("HEALTHCHECK", found[1], file, check[0]), _form(found[1], _shell(stage))))
    return Container(
        words=tuple(words),
        entry_point=Setting("ENTRYPOINT", first[1], file, first[0]) if first else None,
        stop_signal=Setting("STOPSIGNAL", signal[1], file, signal[0]) if signal and signal[1] else None,
        probes=tuple(probes),
        environment=environment,
    )


def _command(stage: dict[str, tuple[int, str]]) -> tuple[str, ...]:
    shell = _shell(stage)
    entry_point = _form(stage["ENTRYPOINT"][1], shell) if "ENTRYPOINT" in stage else ()
    if "ENTRYPOINT" in stage and _exec_form(stage["ENTRYPOINT"][1]) is None:
        # A shell does not pass the words of CMD on.
        return entry_point
    return (*entry_point, *(_form(stage["CMD"][1], shell) if "CMD" in stage else ()))


def _shell(stage: dict[str, tuple[int, str]]) -> tuple[str, ...]:
    return _form(stage["SHELL"][1], SHELL) if "SHELL" in stage else SHELL


def _form(text: str, shell: Sequence[str]) -> tuple[str, ...]:
    words = _exec_form(text)
    return (*shell, text) if words is None else words


def _exec_form(text: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return tuple(map(str, words)) if isinstance(words, list) else None
