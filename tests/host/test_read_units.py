"""A unit is read for an import as the systemd of a booted host runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.init.importing.readers.read_units import read
from procman.lint.dependency_rules import STOPS_WITH

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


@pytest.mark.parametrize("name", [*STOPS_WITH, "Wants"])
def test_program_that_depends_on_the_broker_stops_with_it_for_good(host: Host, name: str) -> None:
    broker = f"valkey-of-{name.lower()}.service"
    program = f"stops-with-{name.lower()}.service"
    sleep = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
    host.write(f"/etc/systemd/system/{broker}", sleep)
    unit = f"[Unit]\n{name}={broker}\nAfter={broker}\n{sleep}Restart=always\n"
    host.write(f"/etc/systemd/system/{program}", unit)
    host.run(f"systemctl daemon-reload; systemctl start {broker} {program}; systemctl stop {broker}")
    host.run(f"systemctl start {broker}")
    state = host.run(f"systemctl is-active {program}", check=False).stdout
    assert state == ("active\n" if name == "Wants" else "inactive\n")
    if name == "BindsTo":
        host.run(f"systemctl start {program}; systemctl kill -s KILL {broker}")
        host.wait_for(lambda: host.run(f"systemctl is-active {program}", check=False).stdout == "inactive\n", 10)
    host.run(f"systemctl stop {broker} {program}")
