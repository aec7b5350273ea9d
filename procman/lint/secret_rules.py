"""PM92x: exposed passwords, root's rights, and access to supervisord."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Level
from procman.secrets import holds_password, is_secret, words_hold_password

PRIVATE = "move it to a file that only the program's user can read (procman's key environment_file)"

REMEDIES = {
    Reader.COMPOSE: "move it to a file with mode 0600, and name that in env_file",
    Reader.DOCKERFILE: "remove it from the image, and set it when the container starts",
    Reader.KUBERNETES: "move it to a Secret (env with valueFrom: secretKeyRef, or envFrom)",
}
"""For containers."""
READ_BY = {
    Reader.DOCKERFILE: "everyone who can pull the image can read it",
    Reader.KUBERNETES: "everyone who can read this file or the object in the cluster can read it",
}
"""Who reads a secret, whatever the permissions of the file are."""


def command_holds_no_password(part: Part) -> Iterator[Finding]:
    """Yield PM921: every user of the host can read a command line."""
    if part.command and (holds_password(part.command.value) or words_hold_password(_words(part))):
        readers = READ_BY.get(part.reader, "every user of the host can see it with ps")
        why, remedy = f"the command line holds a password, and {readers}", REMEDIES.get(part.reader, PRIVATE)
        yield finding("PM921", Level.CRITICAL, part, part.command, part.command.name, why, remedy)


def _words(part: Part) -> list[str]:
    return [*(part.command.value.split() if part.command else ()), *part.started.words]


def environment_holds_no_password(part: Part) -> Iterator[Finding]:
    """Yield PM922: every user can read Environment= of a unit, and the content of a world-readable file.

    An image and the objects of a cluster are copied to wherever they run, so the permissions of their files do not
    matter.
    """
    yield from script_holds_no_password(part)
    for name, setting in part.variables.items():
        value = setting.value
        if not is_secret(name, value):
            continue
        if part.reader is Reader.SYSTEMD:
            why = f"{name} holds a secret, and `systemctl show` prints Environment= for every user of the host"
        elif part.reader in READ_BY:
            why = f"{name} holds a secret, and {READ_BY[part.reader]}"
        elif setting.file in part.open_files:
            why = f"{name} holds a secret, and every user of the host can read this file"
        else:
            continue
        yield finding("PM922", Level.CRITICAL, part, setting, setting.name, why, REMEDIES.get(part.reader, PRIVATE))


def script_holds_no_password(part: Part) -> Iterator[Finding]:
    """Yield PM922 for a start script that every user can read."""
    shell = part.started.shell
    for name in shell.secrets if shell else ():
        assert shell
        why = f"{shell.script} sets {name} to a secret, and every user of the host can read this script"
        at = part.command
        yield finding("PM922", Level.CRITICAL, part, at, at.name if at else "", why, f"chmod o-r {shell.script}")


def environment_file_is_private(part: Part) -> Iterator[Finding]:
    """Yield PM923."""
    for setting, path in part.exposed_files:
        why = f"{path} holds a secret, and every user of the host can read it"
        yield finding("PM923", Level.CRITICAL, part, setting, setting.name, why, f"chmod 0600 {path}")


def log_is_out_of_reach(part: Part) -> Iterator[Finding]:
    """Yield PM924: root opens the log in a directory of another user, who can place a link there."""
    for log in part.logs if part.manager_user in ("", "root") and not part.is_of_user else ():
        if log.owner and not log.owner_is_root:
            why = (
                f"root opens the log in {log.directory}, which belongs to {log.owner}: with a symbolic link there, "
                f"{log.owner} can append to any file of the host"
            )
            remedy = "use a directory that belongs to root, such as /var/log/PROJECT"
            yield finding("PM924", Level.CRITICAL, part, log.setting, log.setting.name, why, remedy)


def user_is_not_root(part: Part) -> Iterator[Finding]:
    """Yield PM925: Celery as root runs any task as root, or refuses to start because of pickle."""
    if part.celery is None or part.command is None or part.is_of_user or part.started.changes_user:
        return
    option = "user" if part.reader is Reader.SUPERVISOR else "Service.User"
    user = part.value(option) or part.manager_user
    if user in ("", "root", "0") and part.value("Service.DynamicUser") not in ("yes", "true", "1"):
        name = option.rpartition(".")[2]
        cause = (
            f"{name}={user}" if user else f"{name} is not set, so the program runs as the manager's user, usually root"
        )
        why = f"{cause}: a task can do anything, and with pickle Celery refuses to start again and again"
        remedy = f"{name}=www-data, or another unprivileged user"
        yield finding("PM925", Level.WARNING, part, part.find(option), option, why, remedy)


def access_is_protected(part: Part) -> Iterator[Finding]:
    """Yield PM926: whoever can connect to supervisord can run anything as its user."""
    mode = part.find("chmod")
    if part.name == "unix_http_server" and mode and re.fullmatch("[0-7]*[2367]", mode.value.strip()):
        why = "every user of the host can send commands to supervisord, which usually runs as root"
        yield finding("PM926", Level.CRITICAL, part, mode, "chmod", why, "chmod=0700")
    if part.reader is not Reader.SUPERVISOR or part.name != "inet_http_server":
        return
    port, remedy = part.find("port"), "remove the section; supervisorctl can use the socket of [unix_http_server]"
    if part.find("password") is None:
        why = "supervisord, which usually runs as root, accepts commands over TCP without a password"
        yield finding("PM926", Level.CRITICAL, part, port, "port", why, remedy)
    elif port and port.value.strip().rpartition(":")[0] in ("", "*", "0.0.0.0", "::"):  # noqa: S104 - compared only
        why = "supervisord listens on every address of the host, and its password crosses the network unencrypted"
        yield finding("PM926", Level.WARNING, part, port, "port", why, remedy)
