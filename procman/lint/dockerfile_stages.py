"""Follow the stages of a Dockerfile to the one that becomes the image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OPTION = re.compile(r"--[\w-]+=\S+\s+")
VARIABLE = re.compile(r"\$(?:(?P<name>\w+)|\{(?P<braced>\w+)(?::?(?P<operator>[-+])(?P<other>[^{}]*))?\})")
ASSIGNMENT = re.compile(r"""(\w+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")

Line = tuple[int, str]
"""A line, and the text behind the name of the instruction or variable."""


@dataclass
class Stage:
    """A stage, with what it has from the stage that it begins from."""

    instructions: dict[str, Line] = field(default_factory=dict)
    """By name, the last of each."""
    variables: dict[str, Line] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    """Of `ARG`."""
    base: Mapping[str, Line] = field(default_factory=dict)
    """The instructions that it begins with."""

    def add(self, line: int, name: str, rest: str, defaults: Mapping[str, str]) -> None:
        """Add an instruction; `defaults` are the arguments above the first stage."""
        if name == "ENV":
            is_old = "=" not in rest.partition(" ")[0]
            found = [rest.partition(" ")[::2]] if is_old else ASSIGNMENT.findall(rest)
            self.variables |= {key: (line, value.strip("\"' ")) for key, value in found}
        elif name == "ARG":
            # Those above the first stage count only where a stage repeats their name.
            self.arguments |= {key: defaults.get(key, "") for key in rest.split() if "=" not in key}
            self.arguments |= {key: value.strip("\"'") for key, value in ASSIGNMENT.findall(rest)}
        elif name == "STOPSIGNAL":
            self.instructions[name] = (line, self._expanded(rest.strip("\"'")))
        else:
            if name == "ENTRYPOINT" and self.instructions.get("CMD") == self.base.get("CMD"):
                # It discards the CMD of what the stage begins from.
                self.instructions.pop("CMD", None)
            self.instructions[name] = (line, rest)

    def _expanded(self, text: str) -> str:
        """Return `text` with its variables; empty if one of them is unknown."""
        variables = self.arguments | {name: value for name, (_, value) in self.variables.items()}

        def value(found: re.Match[str]) -> str:
            known = variables.get(found["name"] or found["braced"], "")
            if found["operator"] == "+":
                return found["other"] if known else ""
            return known or found["other"] or "$"

        expanded = VARIABLE.sub(value, text)
        return "" if "$" in expanded else expanded


def last_stage(instructions: Iterable[tuple[int, str, str]]) -> Stage:
    """Return the stage that becomes the image; `instructions` are line, name in capitals and rest of each."""
    outside = stage = Stage()
    stages: dict[str, Stage] = {}
    for line, name, rest in instructions:
        if name != "FROM":
            stage.add(line, name, rest, outside.arguments)
            continue
        base, *alias = OPTION.sub("", rest).split()[::2] or [""]
        before = stages.get(base.lower(), Stage())
        stage = Stage(dict(before.instructions), dict(before.variables), base=dict(before.instructions))
        stages.update({each.lower(): stage for each in alias})
    return stage
