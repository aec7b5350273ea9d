"""Read a file of variables as compose does (`.env`, `env_file`)."""

from __future__ import annotations

import re

LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.]*)[ \t]*=[ \t]*
        (?: '(?P<single>[^'\n]*)' | "(?P<double>(?:\\.|[^"\\\n])*)" | (?P<plain>[^\n]*) )""",
    re.VERBOSE,
)


def variables_in_dotenv(text: str) -> dict[str, str]:
    """Return the variables that `text` sets to a text of its own; those that refer to others keep the reference."""
    found = {}
    for line in text.split("\n"):
        if assigned := LINE.match(line):
            single, double, plain = assigned.group("single", "double", "plain")
            if double is not None:
                double = re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), double)
            value = next(each for each in (single, double, plain) if each is not None)
            found[assigned["name"]] = re.sub(r"(?:\A|\s+)#.*", "", value).strip() if plain is not None else value
    return found
