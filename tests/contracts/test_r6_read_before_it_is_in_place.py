"""R6: nothing is installed before its reader has parsed it."""

from __future__ import annotations

import pytest

from tests.attacks.host import AttackedHost

OWN = 'templates = "/etc/catmaid/templates"'

BROKEN = {
    "an invalid line": ("{{ marker | comment }}\nnonsense\n", "supervisord"),
    "a foreign section": ("[program:evil]\ncommand=/bin/id\n", "catmaid"),
    "the section of supervisord itself": ("[supervisord]\nuser=root\n", "is not allowed here"),
    "an option with a wrong value": (
        "[program:{{ program.name | plain_name }}]\ncommand=x\nstopsignal=NO\n",
        "conf.d/catmaid-one.conf",
    ),
    "an option that loses tasks": (
        "[program:{{ program.name | plain_name }}]\ncommand=/bin/true\nstopasgroup=true\n",
        "stopasgroup must be false",
    ),
}


@pytest.mark.parametrize(("template", "message"), BROKEN.values(), ids=list(BROKEN))
def test_file_that_supervisord_cannot_read_is_not_installed(host: AttackedHost, template: str, message: str) -> None:
    host.procman("install")
    before = host.changed()
    host.write("/etc/catmaid/templates/supervisor/program.conf.j2", template)
    host.configure(OWN)
    refused = host.procman("install", check=False)
    assert refused.returncode == 1
    assert message in refused.stderr
    # Programs may write to their own directories at any time.
    new = [path for path in host.changed().keys() - before.keys() if "/run/" not in path]
    assert all(path.startswith("/etc/catmaid") for path in new), new
    assert host.procman("status", check=False).stdout.count("RUNNING") == 2


def test_unmanaged_file_that_supervisord_cannot_read_is_named(host: AttackedHost) -> None:
    host.procman("install")
    host.write("/etc/procman/supervisor/conf.d/unmanaged.conf", "[program:unmanaged]\nnonsense\n")
    host.configure(rest="[environment]\nTURN = 'new'\n")
    refused = host.procman("install", check=False)
    assert refused.returncode == 1
    assert "/etc/procman/supervisor/conf.d/unmanaged.conf" in refused.stderr
    assert "TURN" not in host.path("/etc/procman/catmaid/catmaid-one.sh").read_text()
