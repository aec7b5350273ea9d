"""Read the command of an image from its Dockerfile, for the rules of `check --lint`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from procman.init.importing.contents import content_of
from procman.lint.inputs import Container, Part, Probe, Reader, Setting
from procman.lint.read_containers import started_in_container

INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)\s+(?P<rest>.*)", re.DOTALL)
COMMENT = re.compile(r"\s*#")
OPTION = re.compile(r"--[\w-]+=\S+\s+")
REFERENCE = re.compile(r"\$\{[^}]*\}|\$\w+")
ASSIGNMENT = re.compile(r"""(\w+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")
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
    stage, variables = _last_stage(file, instructions)
    environment = {name: each.value for name, each in variables.items()}
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
        variables={name: replace(each, value=REFERENCE.sub("", each.value)) for name, each in variables.items()},
        started=started_in_container(file.name, words, environment),
        container=_container(file, stage, words, environment),
    )


def _last_stage(
    file: Path, instructions: Sequence[tuple[int, str, str]]
) -> tuple[dict[str, tuple[int, str]], dict[str, Setting]]:
    """Return the instructions and the variables of the stage that becomes the image, with those it begins from."""
    stage: dict[str, tuple[int, str]] = {}
    variables: dict[str, Setting] = {}
    stages = {"": (stage, variables)}
    for line, name, rest in instructions:
        if name == "FROM":
            base, *alias = OPTION.sub("", rest).split()[::2] or [""]
            before = stages.get(base.lower(), ({}, {}))
            stage, variables = dict(before[0]), dict(before[1])
            stages.update({each.lower(): (stage, variables) for each in alias})
        elif name == "ENV":
            found = ASSIGNMENT.findall(rest) if "=" in rest.partition(" ")[0] else [rest.partition(" ")[::2]]
            variables |= {key: Setting("ENV", value.strip("\"' "), file, line) for key, value in found}
        else:
            stage[name] = (line, rest)
    return stage, variables


def _container(
    file: Path, stage: dict[str, tuple[int, str]], words: Sequence[str], environment: dict[str, str]
) -> Container:
    signal, check = stage.get("STOPSIGNAL"), stage.get("HEALTHCHECK")
    probes = []
    if check:
        text = OPTION.sub("", check[1] + " ")
        found = re.fullmatch(r"CMD\s+(.*)", text.strip(), re.DOTALL)
        if found:
            probes.append(Probe(Setting("HEALTHCHECK", found[1], file, check[0]), _form(found[1], SHELL)))
    return Container(
        words=tuple(words),
        stop_signal=Setting("STOPSIGNAL", signal[1], file, signal[0]) if signal else None,
        probes=tuple(probes),
        environment=environment,
    )


def _command(stage: dict[str, tuple[int, str]]) -> tuple[str, ...]:
    shell = tuple(_form(stage["SHELL"][1], SHELL)) if "SHELL" in stage else SHELL
    entry_point = _form(stage["ENTRYPOINT"][1], shell) if "ENTRYPOINT" in stage else ()
    if "ENTRYPOINT" in stage and _exec_form(stage["ENTRYPOINT"][1]) is None:
        # A shell does not pass the words of CMD on.
        return entry_point
    return (*entry_point, *(_form(stage["CMD"][1], shell) if "CMD" in stage else ()))


def _form(text: str, shell: Sequence[str]) -> tuple[str, ...]:
    words = _exec_form(text)
    return (*shell, text) if words is None else words


def _exec_form(text: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return tuple(map(str, words)) if isinstance(words, list) else None
