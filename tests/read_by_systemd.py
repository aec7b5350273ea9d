"""Read units with systemd's own parser, `systemd --test --user`, which needs no booted systemd."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEMD = next(
    (path for path in map(Path, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")) if path.exists()), None
)

TARGETS = ("basic.target", "shutdown.target", "sysinit.target")
"""Units that every unit depends on, and that --test requires."""

Read = Mapping[str, list[str]]
"""The values of each directive of one unit, as systemd names and prints them."""


def read_units(
    units: Mapping[str, str], *, drop_ins: Mapping[str, str] | None = None, instances: Sequence[str] = ()
) -> dict[str, Read]:
    """Return `units`, given as text by name, as systemd reads them; a unit that systemd refuses is missing.

    `drop_ins` are given by their path, such as `x.service.d/a.conf`; `instances` are of templates among `units`.
    """
    assert SYSTEMD, "no systemd on this machine: apt-get install systemd"
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        base.chmod(0o755)
        for target in TARGETS:
            (base / target).write_text("[Unit]\nDefaultDependencies=no\n")
        names = [*(name for name in units if "@." not in name), *instances]
        wants = "".join(f"Wants={name}\n" for name in names)
        (base / "all.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}")
        for name, text in units.items():
            (base / name).write_text(text, encoding="utf-8", errors="surrogatepass")
        for place, text in (drop_ins or {}).items():
            (base / place).parent.mkdir(exist_ok=True)
            (base / place).write_text(text)
        return _parse(_ask(base), names)


def _ask(units: Path) -> str:
    runtime = units / "runtime"
    runtime.mkdir(mode=0o700)
    words = [str(SYSTEMD), "--test", "--user", "--unit=all.target"]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(runtime, nobody.pw_uid, nobody.pw_gid)
        setpriv = shutil.which("setpriv")
        assert setpriv
        words = [setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *words]
    environment = {
        "SYSTEMD_UNIT_PATH": str(units),
        "XDG_RUNTIME_DIR": str(runtime),
        "HOME": str(runtime),
        "SYSTEMD_LOG_TARGET": "console",
        "SYSTEMD_UTF8": "0",  # otherwise systemd 257 draws the arrows of its dump
    }
    done = subprocess.run(words, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def _parse(dump: str, units: Sequence[str]) -> dict[str, Read]:
    found: dict[str, Read] = {}
    for block in re.split(r"^\t-> Unit ", dump, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition(":\n")
        if name not in units or "\t\tUnit Load State: loaded\n" not in rest:
            continue
        values: dict[str, list[str]] = defaultdict(list)
        for line in rest.split("\n"):
            entry = re.fullmatch(r"\t+([A-Za-z ]+): (.*)", line, re.DOTALL)
            if entry:
                values[entry[1]].append(entry[2])
        found[name] = values
    return found


def command_of(unit: Read) -> list[str]:
    """Return the words of the unit's command as the program gets them, after systemd's expansion of `$$`."""
    [line] = unit["Command Line"]
    words = re.findall(r"""(?:"(?:[^"\\]|\\.)*"|[^ "])+""", line, re.DOTALL)
    return [_after_expansion(re.sub(r'"((?:[^"\\]|\\.)*)"', _unescaped, word, flags=re.DOTALL)) for word in words]


def _unescaped(quoted: re.Match[str]) -> str:
    escapes = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda escape: escapes.get(escape[1], escape[1]), quoted[1], flags=re.DOTALL)


def _after_expansion(word: str) -> str:
    # systemd.service(5): "$$" becomes a dollar; a single one would start a variable.
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", word), f"{word!r} would be expanded"
    return word.replace("$$", "$")
