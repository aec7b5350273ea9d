"""supervisord's main configuration file is read as by supervisord."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.backends.supervisor.configuration.main_file import NoConfiguration, parse_main_file, read_main_file
from procman.errors import ProcmanError
from tests.tables import for_each

MAIN = Path("/etc/supervisor/supervisord.conf")

DEBIAN = """; supervisor config file

[unix_http_server]
file=/var/run/supervisor.sock   ; (the path to the socket file)
chmod=0700                       ; sockef file mode (default 0700)

[supervisord]
logfile=/var/log/supervisor/supervisord.log ; (main log file;default $CWD/supervisord.log)
pidfile=/var/run/supervisord.pid ; (supervisord pidfile;default supervisord.pid)
childlogdir=/var/log/supervisor            ; ('AUTO' child log dir, default $TEMP)

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///var/run/supervisor.sock ; use a unix:// URL  for a unix socket

[include]
files = /etc/supervisor/conf.d/*.conf
"""


def test_main_file_of_debian_is_read() -> None:
    main = parse_main_file(MAIN, DEBIAN)
    assert main.address == Path("/var/run/supervisor.sock")
    assert main.pid_file == Path("/var/run/supervisord.pid")
    assert main.log_file == "/var/log/supervisor/supervisord.log"
    assert main.includes == ("/etc/supervisor/conf.d/*.conf",)


@for_each(
    ("text", "address"),
    [
        ("[unix_http_server]\nfile=%(here)s/s", Path("/etc/supervisor/s")),
        ("[unix_http_server]\nfile=run/s", Path("/etc/supervisor/run/s")),
        ("[inet_http_server]\nport=9001", ("127.0.0.1", 9001)),
        ("[inet_http_server]\nport=*:9001", ("127.0.0.1", 9001)),
        ("[inet_http_server]\nport=10.0.0.1:9001", ("10.0.0.1", 9001)),
        ("[supervisorctl]\nserverurl=unix:///run/s", Path("/run/s")),
        ("[supervisorctl]\nserverurl=http://localhost:9001/", ("localhost", 9001)),
        ("[inet_http_server]\nport=9001\n[unix_http_server]\nfile=/run/s", Path("/run/s")),
    ],
)
def test_address_is_found(text: str, address: object) -> None:
    assert parse_main_file(MAIN, text).address == address


def test_include_patterns_are_absolute_and_in_order() -> None:
    main = parse_main_file(
        MAIN,
        "[unix_http_server]\nfile=/s\n[include]\nfiles = conf.d/*.conf\n  %(here)s/more/*.ini ; and\n  /x/*.conf\n",
    )
    assert main.includes == ("/etc/supervisor/conf.d/*.conf", "/etc/supervisor/more/*.ini", "/x/*.conf")


@pytest.mark.parametrize(
    "text",
    [
        "[supervisord]\n",
        "rubbish\n",
        "[unix_http_server]\nfile=%(ENV_NOT_THERE)s/s\n",
        "[inet_http_server]\nport=http\n",
    ],
)
def test_error_names_the_file(text: str) -> None:
    with pytest.raises(ProcmanError, match=str(MAIN)) as caught:
        parse_main_file(MAIN, text)
    assert caught.value.hint


def test_missing_file_raises_another_error_than_an_invalid_one(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration, match="supervisord's configuration file does not exist"):
        read_main_file(tmp_path / "supervisord.conf")


def test_password_is_not_shown() -> None:
    main = parse_main_file(MAIN, "[unix_http_server]\nfile=/s\nusername=me\npassword=geheim\n")
    assert main.password == "geheim"
    assert "geheim" not in repr(main)
