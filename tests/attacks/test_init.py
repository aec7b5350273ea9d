"""S3: where root's `procman init` writes."""

from __future__ import annotations

from tests.attacks.host import SERVICE, AttackedHost
from tests.django_projects import CELERY, MANAGE

WRITTEN = "/etc/procman/shop/procman.toml"


def test_file_is_written_where_only_root_can_write_and_found_there(host: AttackedHost) -> None:
    host.write("/opt/shop/manage.py", MANAGE)
    host.write("/opt/shop/site1/celery.py", CELERY)
    host.root(f"chown -R {SERVICE} /opt/shop; touch /opt/venv/pyvenv.cfg")
    init = host.run("cd /opt/shop && umask 077 && exec procman init", "root")
    assert f"wrote {WRITTEN}" in init.stderr
    assert "refusing" not in init.stderr
    assert [line.strip() for line in init.stderr.splitlines()][-3] == "procman check"
    assert [each for each in host.changed() if each.startswith("/opt/shop/procman")] == []
    changed = host.changed()
    assert changed["/etc/procman"] == changed["/etc/procman/shop"] == (0, 0o755, "d")
    assert changed[WRITTEN][::2] == (0, "-")
    # The working directory belongs to the service user, and has no procman.toml.
    assert "[program:shop-celery]" in host.run("cd /opt/shop && exec procman render", "root").stdout
    status = host.run("exec procman status", "root", check=False)
    assert f"{WRITTEN} is not installed: procman --project shop install" in status.stderr
    again = host.run("cd /opt/shop && exec procman init", "root", check=False)
    assert (again.returncode, f"{WRITTEN} already exists" in again.stderr) == (1, True)


def test_file_of_the_working_directory_stays_in_use(host: AttackedHost) -> None:
    host.write("/opt/shop/manage.py", MANAGE)
    host.write("/opt/shop/site1/celery.py", CELERY)
    host.write("/opt/shop/procman.toml", "")
    init = host.run("cd /opt/shop && exec procman init --name shop", "root", check=False)
    assert (init.returncode, "procman: procman.toml already exists" in init.stderr) == (1, True)
