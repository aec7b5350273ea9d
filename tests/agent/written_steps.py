"""The contents that a file had: what a process leaves that is killed while it writes."""

from __future__ import annotations

from typing import Any

import pytest

from procman.agent import mapped_file, task_marks, task_run


class SteppedMemory(bytearray):
    """Memory in the place of a mapped file."""

    def __init__(self, content: bytes, steps: list[bytes]) -> None:
        super().__init__(content)
        self._steps = steps

    def __setitem__(self, place: Any, written: Any) -> None:
        before = bytes(self)
        super().__setitem__(place, written)
        self.note(before, place.start)

    def note(self, before: bytes, begin: int) -> None:
        """Note what was written from `begin` on, byte by byte."""
        after = bytes(self)
        end = next((at for at in range(len(after), begin, -1) if after[at - 1] != before[at - 1]), begin)
        self._steps += [after[:at] + before[at:] for at in range(begin + 1, end + 1)]


class SteppedFile(mapped_file.UnmappedFile):
    """A file that is not mapped."""

    def __init__(self, content: bytes, steps: list[bytes]) -> None:
        self._memory = SteppedMemory(content, steps)

    def __getitem__(self, place: slice) -> bytes:
        return bytes(self._memory[place])

    def __setitem__(self, place: slice, content: bytes) -> None:
        self._memory[place] = content


class SteppedPart:
    """A part of such memory."""

    def __init__(self, memory: SteppedMemory, begin: int, part: Any) -> None:
        self._memory, self._begin, self._part = memory, begin, part

    def __setitem__(self, place: Any, written: Any) -> None:
        before = bytes(self._memory)
        self._part[place] = written
        self._memory.note(before, self._begin)


def watched(monkeypatch: pytest.MonkeyPatch, content: bytes, *, is_mapped: bool) -> tuple[Any, list[bytes]]:
    """Return a record with this content, and a list that gets its content after each step of a write."""
    steps: list[bytes] = []
    part = mapped_file.part

    def stepped_part(file: Any, begin: int, *arguments: Any) -> Any:
        found = part(file, begin, *arguments)
        return SteppedPart(file, begin, found) if is_mapped else found

    for module in (task_run, task_marks):
        monkeypatch.setattr(module, "part", stepped_part)
    return SteppedMemory(content, steps) if is_mapped else SteppedFile(content, steps), steps
