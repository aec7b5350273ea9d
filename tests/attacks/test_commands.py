"""S3 for the keys of a command: root opens no log, and reads no secrets, where another user could plant a link."""

from __future__ import annotations

import pytest

from tests.attacks.host import AttackedHost
from tests.product import eventually

pytestmark = [pytest.mark.root, pytest.mark.supervisord]

WEB = """
[command.web]
argv = ["sh", "-c", "id -un; echo problem >&2; exec sleep 1000"]
user = "stranger"
stdout = "{directory}/web.log"
stderr = "{directory}/web.err"
"""

GIVEN_AWAY = {
    "of the service user": "install -d -o celery {}",
    "of the command's user": "install -d -o stranger {}",
    "of everyone": "install -d -m 1777 {}",
    "of a group": "install -d -g stranger -m 0775 {}",
    "of root below one of the service user": "install -d -o celery /srv/web && install -d {}",
    "behind a link of the service user": "install -d -o celery /srv/web && ln -s /etc {} && chown -h celery {}",
}


@pytest.mark.parametrize("how", GIVEN_AWAY)
def test_root_opens_no_log_in_a_directory_that_others_can_write_to(host: AttackedHost, how: str) -> None:
    directory = "/srv/web/log"
    host.configure(rest=WEB.format(directory=directory))
    host.root(GIVEN_AWAY[how].replace("{}", directory))
    host.root(f"test -L {directory} || ln -s /etc/canary {directory}/web.log")
    done = host.procman("install", check=False)
    assert done.returncode != 0
    assert "/srv/web" in done.stderr
    host.assert_untouched()


def test_command_of_another_user_logs_where_only_root_can_write(host: AttackedHost) -> None:
    host.configure(rest=WEB.format(directory="/var/log/web"))
    missing = host.procman("install", check=False)
    assert missing.returncode != 0
    assert "command.web: the directory /var/log/web of its log does not exist" in missing.stderr
    host.root("install -d /var/log/web")
    host.procman("install")
    log = host.path("/var/log/web/web.log")
    eventually(lambda: sorted(host.procman("logs web").stdout.split()) == ["problem", "stranger"], "it has written")
    assert log.read_text() == "stranger\n"
    # It is outside procman's own directories.
    assert "kept      /var/log/web/web.log\n" in host.procman("uninstall --purge").stdout
    assert log.exists()
    host.assert_untouched()


def test_root_reads_no_secrets_of_a_command_that_another_user_can_replace(host: AttackedHost) -> None:
    """systemd would read the file as root, and hand the target of a link to the command."""
    command = '[command.web]\nargv = ["sleep", "1000"]\nuser = "stranger"\nenvironment_file = "/opt/catmaid/env"\n'
    host.configure(project='backend = "systemd"', rest=command)
    host.root("ln -s /etc/canary /opt/catmaid/env")
    done = host.procman("install", check=False)
    assert done.returncode != 0
    assert "/opt/catmaid/env: refusing to read this file as root" in done.stderr
    host.assert_untouched()
