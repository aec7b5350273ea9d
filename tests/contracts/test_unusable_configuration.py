"""A procman.toml that is missing, invalid or another user's: the installed generation can be seen and commanded."""

from __future__ import annotations

import json

import pytest

from tests.attacks.host import CONFIGURATION, AttackedHost

SHOWING = ("status", "status --json", "health --json", "events", "history", "logs one")
NEEDING_THE_FILE = ("diff", "check", "render", "install", "run one")
USING = "; using the installed generation 1 of catmaid\n"

UNUSABLE = {
    f"echo 'name = \"' >> {CONFIGURATION}": "",
    f"echo nonsense = 1 >> {CONFIGURATION}": "nonsense: unknown key",
    f"echo > {CONFIGURATION}": "project.name: missing",
    f"chown stranger {CONFIGURATION}": "refusing to use this file as root, because other users can modify it",
    f"mv {CONFIGURATION} {CONFIGURATION}.old": "no such file",
    f"rm {CONFIGURATION} && mkdir {CONFIGURATION}": "expected a file, found a directory",
}
"""Each way in which the file becomes unusable, and words of the problem."""


@pytest.fixture(name="installed")
def _installed(host: AttackedHost) -> AttackedHost:
    host.procman("install --wait 30")
    return host


def test_installed_generation_is_shown_and_commanded_whatever_the_file_is(installed: AttackedHost) -> None:
    installed.root(f"cp -p {CONFIGURATION} /root/kept")
    for spoil, words in UNUSABLE.items():
        installed.root(spoil)
        for command in SHOWING:
            shown = installed.procman(command, check=False)
            is_changed = command.startswith("health") and "chown" not in spoil
            assert shown.returncode == (1 if is_changed else 0), (spoil, command, shown)
            assert words in shown.stderr, (spoil, command)
            assert shown.stderr.startswith(f"procman: {CONFIGURATION}"), (spoil, command)
            assert shown.stderr.endswith(USING), (spoil, command)
            assert shown.stderr.count("\n") == 1
            assert "--json" not in command or json.loads(shown.stdout)["project"] == "catmaid"
        for command in NEEDING_THE_FILE:
            refused = installed.procman(command, check=False)
            assert (refused.returncode, refused.stdout) == (2, ""), (spoil, command, refused)
        installed.root(f"rm -r {CONFIGURATION}* && cp -p /root/kept {CONFIGURATION}")
    assert installed.procman("status").stderr == ""
    installed.root(f"chown stranger {CONFIGURATION}")
    for command in ("hold one", "release one", "stop two", "start two", "restart two"):
        assert USING in installed.procman(command).stderr
    # No program of this project consumes a queue.
    assert USING in installed.procman("queues", check=False).stderr
    assert installed.procman("status", directory="/etc/catmaid").returncode == 0


def test_project_that_was_renamed_in_the_file_is_still_found_by_its_name(installed: AttackedHost) -> None:
    installed.root(f"sed -i 's/catmaid\"/orchard\"/' {CONFIGURATION}")
    refused = installed.procman("status", check=False)
    assert refused.returncode == 1
    assert "catmaid was installed from this file: procman --project catmaid\n" in refused.stderr


def test_file_of_another_user_chooses_no_project(installed: AttackedHost) -> None:
    """S3: it could name any project, and root would stop its programs."""
    installed.root("mkdir /srv/lure && chown stranger /srv/lure")
    installed.run(f"cp {CONFIGURATION} /srv/lure/procman.toml", "stranger")
    lured = "cd /srv/lure && procman "
    shown = installed.run(lured + "status", "root", check=False)
    assert shown.returncode == 0
    assert "/srv/lure/procman.toml: refusing to use this file as root" in shown.stderr
    assert shown.stderr.endswith(USING)
    for command in ("stop", "restart", "uninstall", "rollback", "hold one"):
        refused = installed.run(lured + command, "root", check=False)
        assert refused.returncode == 2
        assert "To use an installed project without the file: --project NAME (catmaid)\n" in refused.stderr
    named = installed.run("procman status --config /srv/lure/procman.toml", "root", check=False)
    assert named.returncode == 2
    assert len(installed.asleep()) == 2
