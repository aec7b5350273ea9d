"""The records of the files that the probe imports are like those of `typing`, on each Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

from procman.agent import light_typing

COMPARED = """
import runpy, sys, typing

light = runpy.run_path(sys.argv[1])

def shown(base):
    class Point(base):
        "A place."

        x: int
        y: "typing.Optional[float]" = None
        name: str = "origin"
        "Its name."

        def moved(self) -> "Point":
            return self._replace(x=self.x + 1)

    made = Point(1, name="a")
    try:
        Point()
    except TypeError as error:
        missing = str(error)
    return (
        made == (1, None, "a"), repr(made), repr(made.moved()), missing, Point._fields, Point._field_defaults,
        Point.__doc__, Point.__name__, Point.__module__,
    )

print(shown(light["NamedTuple"]) == shown(typing.NamedTuple), shown(light["NamedTuple"]))
"""


def test_named_tuple_is_that_of_typing(python: Path) -> None:
    words = [str(python), "-c", COMPARED, str(light_typing.__file__)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True ("), done.stdout
