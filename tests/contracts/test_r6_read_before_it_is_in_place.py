"""R6: nothing is put in place before its reader has read it."""

from __future__ import annotations

import pytest

from tests.attacks.host import AttackedHost

OWN = 'templates = "/etc/catmaid/templates"'

BROKEN = {
    "a line that is none": ("{{ marker | comment }}\nnonsense\n", "supervisord"),
    "another section": ("[program:evil]\ncommand=/bin/id\n", "catmaid"),
    "a section of the whole": ("[supervisord]\nuser=root\n", "is not allowed here"),
    "an option with a wrong value": (
        "[program:{{ program.name | plain_name }}]\ncommand=x\nstopsignal=NO\n",
        "conf.d/catmaid-one.conf",
    ),
    "an option that loses tasks": (
        "[program:{{ program.name | plain_name }}]\ncommand=/bin/true\nstopasgroup=true\n",
        "stopasgroup must be false",
    ),
}


@pytest.mark.parametrize(("template", "said"), BROKEN.values(), ids=list(BROKEN))
def test_what_supervisord_would_not_read_is_not_put_in_place(host: AttackedHost, template: str, said: str) -> None:
    host.procman("install")
    before = host.changed()
    host.write("/etc/catmaid/templates/supervisor/program.conf.j2", template)
    host.configure(OWN)
    refused = host.procman("install", check=False)
    assert refused.returncode == 1
    assert said in refused.stderr
    # What a program does in its own directory meanwhile is its own.
    new = [path for path in host.changed().keys() - before.keys() if "/run/" not in path]
    assert all(path.startswith("/etc/catmaid") for path in new), new
    assert host.procman("status", check=False).stdout.count("RUNNING") == 2


def test_a_file_of_somebody_else_that_stops_supervisord_is_named_first(host: AttackedHost) -> None:
    host.procman("install")
    host.write("/etc/procman/supervisor/conf.d/theirs.conf", "[program:theirs]\nnonsense\n")
    host.configure(rest="[environment]\nTURN = 'new'\n")
    refused = host.procman("install", check=False)
    assert refused.returncode == 1
    assert "/etc/procman/supervisor/conf.d/theirs.conf" in refused.stderr
    assert "TURN" not in host.path("/etc/procman/catmaid/catmaid-one.sh").read_text()
