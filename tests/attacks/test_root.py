"""S3: root runs, imports and uses nothing that the service user can write, and drops its rights permanently."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from procman.config.trust import require_trusted_code
from procman.errors import ConfigurationError, ProcmanError
from procman.subprocesses import CLEAN_ENVIRONMENT, capture
from tests.attacks.host import CONFIGURATION, SERVICE, TOML, AttackedHost
from tests.install.people import NOBODY, needs_root

FOREIGN = "/opt/catmaid"
"""A directory of the service user."""

PLANT = "open('/etc/planted', 'w').write('root ran this')\n"

OBEYED = {
    "--config": f"procman --config {FOREIGN}/procman.toml install",
    "PROCMAN_CONFIG": f"PROCMAN_CONFIG={FOREIGN}/procman.toml procman install",
    "working directory": f"cd {FOREIGN} && procman install",
    "directory below it": f"mkdir {FOREIGN}/below; cd {FOREIGN}/below && procman status",
    "link to it": f"ln -s {FOREIGN}/procman.toml /etc/catmaid/link && procman --config /etc/catmaid/link install",
    "templates on the command line": f"procman --config {CONFIGURATION} render --templates {FOREIGN}/templates",
    "procman somewhere else": f"PYTHONPATH={FOREIGN} procman --config {CONFIGURATION} status",
    "procman in a missing directory": f"PYTHONPATH={FOREIGN}/lib procman --config {CONFIGURATION} status",
}
"""Ways to make root use or run files of the service user."""

USED = {
    "templates": f'templates = "{FOREIGN}/templates"',
    "procman for the healer": f'[health]\nprocman = "{FOREIGN}/command"',
    "file with secrets, read by systemd": f'backend = "systemd"\nenvironment_file = "{FOREIGN}/env"',
}
"""Files of the service user that a procman.toml of root might name."""


def plant(host: AttackedHost) -> None:
    """Write, as the service user, every file that root might use or run."""
    host.service(
        f"cd {FOREIGN} && mkdir -p templates/supervisor && touch env command && cp {CONFIGURATION} procman.toml"
    )
    # Not sitecustomize: Python runs it from PYTHONPATH before procman can check anything.
    for name in ("click", "jinja2", "psutil", "supervisor", "celery"):
        host.write(f"{FOREIGN}/{name}.py", PLANT)
    host.write(f"{FOREIGN}/templates/supervisor/start.sh.j2", "{{ 1 }}")
    host.root(f"chown -R {SERVICE} {FOREIGN}")


@pytest.mark.parametrize("way", OBEYED.values(), ids=list(OBEYED))
def test_root_uses_no_configuration_of_service_user(host: AttackedHost, way: str) -> None:
    plant(host)
    before = host.changed()
    refused = host.run(way, "root", check=False)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"{FOREIGN} belongs to the user {SERVICE}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not {
        path for path in host.changed() if path not in before and not path.startswith((FOREIGN, "/etc/catmaid"))
    }


@pytest.mark.parametrize("lines", USED.values(), ids=list(USED))
def test_root_uses_no_file_of_service_user_named_in_procman_toml(host: AttackedHost, lines: str) -> None:
    plant(host)
    before = host.changed()
    is_table = lines.startswith("[")
    host.configure(project="" if is_table else lines, rest=lines if is_table else "")
    for words in ("render", "diff", "install"):
        refused = host.procman(words, check=False)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert f"{FOREIGN} belongs to the user {SERVICE}" in refused.stderr
    assert host.changed().keys() == before.keys()
    host.root(f"chown -R root {FOREIGN}")
    host.procman("render")


def test_root_does_not_run_procman_from_virtualenv_of_another_user(host: AttackedHost) -> None:
    site = host.seen(next(path for path in sys.path if path.endswith("site-packages")))
    own = "/opt/own/bin/python -B /usr/local/lib/procman-under-test.py --version"
    host.root(f"{host.python} -m venv --without-pip /opt/own")
    host.root(f"echo {site} > $(echo /opt/own/lib/python3*/site-packages)/ours.pth")
    assert "procman" in host.root(own)
    for given in ("/opt/own", "/opt/own/bin", "$(echo /opt/own/lib/python3*/site-packages)"):
        host.root(f"chown {SERVICE} {given}")
        refused = host.run(own, "root", check=False)
        assert refused.returncode == 2
        assert "refusing to run as root, because other users can modify procman's code" in refused.stderr
        assert f"belongs to the user {SERVICE}" in refused.stderr
        assert "chown" not in refused.stderr, "another user's files are not to be given to root"
        assert refused.stderr.count("procman:") == 1
        host.root(f"chown root {given}")


def test_home_of_another_user_is_not_searched(host: AttackedHost) -> None:
    host.service(f"mkdir -p {FOREIGN}/.local/state/procman/catmaid/generations/1")
    host.service(f"ln -s generations/1 {FOREIGN}/.local/state/procman/catmaid/current")
    host.procman("install")
    # HOME is as with `sudo -E`. Without a procman.toml, procman searches for installed projects.
    status = host.run("procman status", "root", environment={"HOME": FOREIGN})
    assert status.stdout.count("RUNNING") == 2


def test_modules_in_working_directory_are_not_imported(host: AttackedHost) -> None:
    plant(host)
    host.root(f"rm {FOREIGN}/procman.toml")
    for words in ("install", "status", "render", "diff", "stop", "start", "restart one", "uninstall --purge"):
        host.procman(words, directory=FOREIGN)
    assert "/etc/planted" not in host.changed()


@pytest.mark.parametrize("user", ["root", "toor"])
def test_programs_of_root_are_refused(host: AttackedHost, user: str) -> None:
    host.root("echo toor:x:0:0::/root:/bin/sh >> /etc/passwd")
    text = TOML.replace('user = "celery"', f'user = "{user}"').replace("start_seconds = 0", "launcher = false")
    host.configure(text=text)
    refused = host.procman("run one", check=False)
    assert refused.returncode in (1, 2)
    assert "root" in refused.stderr


REGAIN = """
import ctypes, json, os
tried = {
    "setuid": lambda: os.setuid(0), "seteuid": lambda: os.seteuid(0), "setresuid": lambda: os.setresuid(0, 0, 0),
    "saved": lambda: os.setresuid(-1, 0, -1), "setgid": lambda: os.setgid(0), "setegid": lambda: os.setegid(0),
    "setgroups": lambda: os.setgroups([0]), "shadow": lambda: open("/etc/shadow").close(),
    "terminal": lambda: os.open("/dev/tty", os.O_RDWR), "signal": lambda: os.kill(os.getppid(), 0),
    "environment": lambda: open("/proc/%d/environ" % os.getppid()).read(),
    "memory": lambda: open("/proc/%d/mem" % os.getppid(), "rb").close(),
}
succeeded = []
for name, attempt in tried.items():
    try:
        attempt()
        succeeded.append(name)
    except OSError:
        pass
open_files = sorted(int(name) for name in os.listdir("/proc/self/fd"))
print(json.dumps([succeeded, os.getresuid(), os.getresgid(), os.getgroups(), [fd for fd in open_files if fd > 3]]))
"""


@needs_root
def test_probe_cannot_regain_rights_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "sings")
    leaked = os.open("/etc/shadow", os.O_RDONLY)
    try:
        done = capture(["/usr/bin/python3", "-c", REGAIN], environment=CLEAN_ENVIRONMENT, user="nobody", timeout=30)
    finally:
        os.close(leaked)
    succeeded, uids, gids, groups, files = json.loads(done.checked().stdout)
    assert succeeded == []
    assert (set(uids), set(gids), set(groups)) == ({NOBODY.pw_uid}, {NOBODY.pw_gid}, {NOBODY.pw_gid})
    assert files == []


@needs_root
def test_probe_is_not_run_as_root() -> None:
    with pytest.raises(ProcmanError, match="root is root, and procman never runs the project's code as root"):
        capture(["/bin/true"], environment={}, user="root", timeout=30)


def test_missing_path_is_trusted_like_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    trusting = {"SUDO_UID": str(Path(__file__).stat().st_uid)}
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "open/not/there")])
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigurationError) as refused:
        require_trusted_code(trusting)
    assert f"every user can write to {tmp_path / 'open'}" in str(refused.value)


def test_refusal_names_the_variable_that_is_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "open")])
    environment = {"SUDO_UID": str(Path(__file__).stat().st_uid), "PYTHONPATH": f"/usr:{tmp_path / 'open'}"}
    with pytest.raises(ConfigurationError) as refused:
        require_trusted_code(environment)
    assert "the modules that PYTHONPATH names: every user can write to" in str(refused.value)
    assert refused.value.hint.startswith("Unset PYTHONPATH")
