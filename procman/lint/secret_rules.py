"""PM92x: passwords in the open, root's powers, and who may give orders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Level
from procman.secrets import holds_password, is_secret

PRIVATE = "put it into a file that only its user can read, which the program reads itself (procman: environment_file)"


def command_holds_no_password(part: Part) -> Iterator[Finding]:
    """Everybody on the host can read a command line."""
    if part.command and holds_password(" ".join((part.command.value, *part.started.words))):
        why = "the command line holds a password: every user of the host sees it (ps)"
        yield finding("PM921", Level.CRITICAL, part, part.command, part.command.name, why, PRIVATE)


def environment_holds_no_password(part: Part) -> Iterator[Finding]:
    """systemd shows Environment= to everybody, and a file that everybody can read shows it anyway."""
    yield from script_holds_no_password(part)
    for name, setting in part.variables.items():
        value = setting.value
        if not is_secret(name, value):
            continue
        if part.reader is Reader.SYSTEMD:
            why = f"{name} holds a secret, and `systemctl show` tells Environment= to every user of the host"
        elif part.world_readable:
            why = f"{name} holds a secret, and everybody can read this file"
        else:
            continue
        yield finding("PM922", Level.CRITICAL, part, setting, setting.name, why, PRIVATE)


def script_holds_no_password(part: Part) -> Iterator[Finding]:
    """A start script that everybody can read is no place for one either."""
    shell = part.started.shell
    for name in shell.secrets if shell else ():
        assert shell
        why = f"{shell.script} sets {name} to a secret, and everybody can read it"
        at = part.command
        yield finding("PM922", Level.CRITICAL, part, at, at.name if at else "", why, f"chmod o-r {shell.script}")


def environment_file_is_private(part: Part) -> Iterator[Finding]:
    """A file with secrets is for its user alone."""
    for setting, path in part.exposed_files:
        why = f"{path} holds a secret, and everybody can read it"
        yield finding("PM923", Level.CRITICAL, part, setting, setting.name, why, f"chmod 0600 {path}")


def log_is_out_of_reach(part: Part) -> Iterator[Finding]:
    """A log that root opens in a directory of the user lets that user write to any file."""
    for log in part.logs:
        if log.owner and not log.owner_is_root:
            why = (
                f"the log is opened by root in {log.directory}, which belongs to {log.owner}: by a symbolic link there "
                f"{log.owner} can append to any file of the host"
            )
            remedy = "keep it in a directory of root's, such as /var/log/PROJECT"
            yield finding("PM924", Level.CRITICAL, part, log.setting, log.setting.name, why, remedy)


def user_is_not_root(part: Part) -> Iterator[Finding]:
    """Celery as root runs whatever stands on the broker as root, or refuses to start."""
    if part.celery is None or part.command is None or "systemd/user" in str(part.file):
        return
    option = "user" if part.reader is Reader.SUPERVISOR else "Service.User"
    user = part.value(option)
    if user in ("", "root", "0") and part.value("Service.DynamicUser") not in ("yes", "true", "1"):
        said = "nothing is said, so" if not user else f"{option}={user}:"
        why = f"{said} it runs as whoever runs the manager, root as a rule: a task can do anything, and with pickle "
        why += "Celery refuses to start, over and over"
        remedy = f"{option.rpartition('.')[2]}=www-data, or another user without rights"
        yield finding("PM925", Level.WARNING, part, part.find(option), option, why, remedy)


def orders_need_a_password(part: Part) -> Iterator[Finding]:
    """Who may speak to supervisord can run anything as it."""
    mode = part.find("chmod")
    if part.name == "unix_http_server" and mode and re.fullmatch("[0-7]*[2367]", mode.value.strip()):
        why = "every user of the host may give supervisord orders, and it runs them as root as a rule"
        yield finding("PM926", Level.CRITICAL, part, mode, "chmod", why, "chmod=0700")
    if part.reader is not Reader.SUPERVISOR or part.name != "inet_http_server":
        return
    port, remedy = part.find("port"), "remove the section; supervisorctl works by the socket of [unix_http_server]"
    if part.find("password") is None:
        why = "supervisord takes orders over TCP from anybody without a password, and runs them as root as a rule"
        yield finding("PM926", Level.CRITICAL, part, port, "port", why, remedy)
    elif port and port.value.strip().rpartition(":")[0] in ("", "*", "0.0.0.0", "::"):  # noqa: S104 - compared only
        why = "supervisord listens on every address of the host, and its password crosses the network in the open"
        yield finding("PM926", Level.WARNING, part, port, "port", why, remedy)
