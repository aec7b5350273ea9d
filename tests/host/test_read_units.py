"""A unit is read for an import as the systemd of a booted host runs it."""

from __future__ import annotations

from pathlib import Path

from procman.init.importing.readers.read_units import read

from .machine import Host

RECORD = """#!/bin/sh
exec > /srv/recorded
tr '\\0' '\\n' < /proc/$$/cmdline | tail -n +3
echo ---
env
echo ---
pwd; id -un; umask
"""

TEMPLATE = """
[Service]
Type=oneshot
User=daemon
UMask=0027
WorkingDirectory=-/srv
Environment=ONE=one "TWO=two words" LIST='a "b c" d' PLACE=%t/%i ONLY=unit
ExecStart=/bin/false
"""

DROP_IN = """
[Service]
EnvironmentFile={file}
EnvironmentFile=-/nonexistent
ExecStart=
ExecStart=-/usr/local/bin/record "${{TWO}}" $TWO $LIST ${{ONE}}x $NONE ${{NONE}} $$ONE x$ONE %N %%h '${{HOME}}' $FROM
"""

FILE = "# of the host\nONE=other\nFROM='file and more'\nLONG=a\\\nb\n"


def test_command_and_environment_are_those_of_the_running_systemd(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.env"
    file.write_text(FILE)
    host.write(file, FILE)
    host.write("/usr/local/bin/record", RECORD, mode=0o755)
    units = Path("/etc/systemd/system")
    host.write(units / "site@.service", TEMPLATE)
    host.write(units / "site@.service.d/start.conf", DROP_IN.format(file=file))
    host.run("install -o daemon /dev/null /srv/recorded")
    host.run("systemctl daemon-reload; systemctl start site@mail.service")
    words, environment, rest = host.run("cat /srv/recorded").stdout.split("---\n")
    [found] = read([Path("site@mail.service")], {}, host.path("/")).programs
    assert list(found.words[1:]) == words.splitlines()
    assert found.environment_files == (file,)
    variables = dict(line.partition("=")[::2] for line in environment.splitlines())
    assert found.environment.items() <= variables.items()
    assert variables["ONE"] == "other"
    assert "ONE" not in found.environment
    directory, user, umask = rest.split()
    assert (found.directory, found.user, umask) == (Path(directory), user, "0027")
