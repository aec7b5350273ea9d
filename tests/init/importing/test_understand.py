"""Celery's command is found behind shells and start scripts, with everything that reaches it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.celery_cli.parse import CeleryCommand
from procman.init.importing.existing import Remark
from procman.init.importing.understand import Understood, understood
from procman.model import Kind

PLACE = "/etc/x.conf:2"


def script(directory: Path, text: str, name: str = "run") -> Path:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}")
    return file


def of_script(directory: Path, text: str, *arguments: str, **environment: str) -> Understood:
    return understood([str(script(directory, text)), *arguments], environment, Path("/srv"), place=PLACE)


def command_of(found: Understood) -> CeleryCommand:
    assert found.command
    return found.command


def remarks(found: Understood, directory: Path) -> list[tuple[str, str, str]]:
    return [(each.place.replace(f"{directory}/", ""), each.what, each.consequence) for each in found.remarks]


def test_arguments_of_the_program_reach_celery(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("export SHOP_REGION='eu'\nexport SECRET_KEY=hunter22\n")
    text = f'. {tmp_path}/environment\ncd /opt/shop/src\nexec /opt/shop/env/bin/celery "$@"\n'
    found = of_script(tmp_path, text, "--app=shop.celery:app", "worker", "--queues=mail", "--hostname=mail.%h", A="1")
    command = command_of(found)
    assert command.project == {"virtualenv": "/opt/shop/env", "app": "shop.celery:app"}
    assert command.values == {"queues": ["mail"], "hostname": "celery@mail.%h"}
    assert found.directory == Path("/opt/shop/src")
    assert found.environment == {"A": "1"}
    assert found.environment_files == (tmp_path / "environment",)
    assert found.remarks == ()


def test_branch_of_the_given_argument_is_followed(tmp_path: Path) -> None:
    text = """\
if [ "$1" == "webworker" ]; then
    exec gunicorn app
fi
if [ "$1" == "taskworker" ]; then
    shift
    export C_FORCE=1
    exec celery -A pretix.celery_app worker -l info "$@"
fi
echo "unknown command"
exit 1
"""
    found = of_script(tmp_path, text, "taskworker", "-Q", "mail,web")
    assert found.words == ("celery", "-A", "pretix.celery_app", "worker", "-l", "info", "-Q", "mail,web")
    assert (found.environment, found.remarks) == ({"C_FORCE": "1"}, ())
    other = of_script(tmp_path, text, "webworker")
    assert (other.command, other.words, other.problem) == (None, ("gunicorn", "app"), "")


def test_environment_file_is_used_only_if_all_of_it_reaches_celery(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("export A=1\nexport B=2\n")
    (tmp_path / "plain").write_text("C=3\n")
    (tmp_path / "program").write_text("export D=4\nif true; then export E=5; fi\n")
    text = f"cd {tmp_path}\n. ./exports\n. ./plain\nB=9\nset -a\n. ./plain\nset +a\n. ./program\nexec celery worker\n"
    found = of_script(tmp_path, text)
    assert found.environment_files == (tmp_path / "plain",)
    assert found.environment == {"A": "1", "B": "9", "D": "4", "E": "5"}


def test_unknown_words_are_left_out_alone(tmp_path: Path) -> None:
    text = "exec celery -A x worker -c $(nproc) --queues=$QUEUES -n a@$(hostname) -l ${LEVEL:-debug} -O fair\n"
    found = of_script(tmp_path, text)
    assert command_of(found).values == {"hostname": "a@%h", "loglevel": "debug", "optimization": "fair"}
    assert remarks(found, tmp_path) == [
        ("run:2", text.removesuffix("\n"), "${LEVEL:-debug} is 'debug' here, because nothing sets this variable"),
        ("run:2", "-c $(nproc)", "only the shell that runs the script knows its value"),
        ("run:2", "--queues=$QUEUES", "only the shell that runs the script knows its value"),
    ]
    assert [each.doubtful for each in found.remarks] == [False, True, True]


def test_each_remark_names_the_file_and_line_once(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("\nmkdir -p /run/x\n")
    found = of_script(tmp_path, f". {tmp_path}/more\n. {tmp_path}/more\n. /nonexistent/env\ncelery worker >> /log 2>&1")
    assert remarks(found, tmp_path) == [
        ("more:2", "mkdir -p /run/x", "procman does not run it before Celery"),
        ("run:4", ". /nonexistent/env", "/nonexistent/env cannot be read, and the variables that it sets are unknown"),
        ("run:5", ">> /log", "the process manager keeps and rotates the log"),
        ("run:5", "2>&1", "the process manager keeps and rotates the log"),
        ("run:5", "a shell without exec", "a stop reached only the shell, and Celery kept running"),
    ]


def test_remark_about_a_text_on_the_command_line_has_the_place_of_the_program() -> None:
    found = understood(["sh", "-c", "mkdir /x; exec celery worker -c $(nproc)"], {}, None, place=PLACE)
    assert [each.place for each in found.remarks] == [PLACE, PLACE]


def test_script_that_starts_celery_by_an_unknown_condition_is_a_problem(tmp_path: Path) -> None:
    found = of_script(tmp_path, "if pgrep x; then\n  exec celery worker\nfi\n")
    assert found.command is None
    assert found.problem == (
        f"whether its start script {tmp_path}/run starts Celery depends on `if pgrep x`, "
        "which only a shell can evaluate"
    )
    assert found.remarks == (
        Remark(f"{tmp_path}/run:2", "if pgrep x", "its outcome is unknown, and nothing in it is imported", False, True),
    )


@pytest.mark.parametrize(
    "text", ["exec celery worker | tee /x", "celery beat &", "for i in 1 2; do celery worker; done"]
)
def test_celery_that_only_a_shell_can_start_is_a_problem(tmp_path: Path, text: str) -> None:
    assert "only a shell can evaluate" in of_script(tmp_path, text).problem


@pytest.mark.parametrize(
    "text",
    [
        'exec celery -A shop "$COMMAND" # worker\nexec celery worker',
        "OPTIONS=(-A shop worker)\nexec celery ${OPTIONS[@]}",
        'OPTIONS="worker $X"\ncelery -A shop $OPTIONS &',
    ],
)
def test_celery_whose_words_are_elsewhere_is_a_problem(tmp_path: Path, text: str) -> None:
    assert "starts no Celery worker or beat that can be understood" in of_script(tmp_path, text).problem


@pytest.mark.parametrize(
    "text", ["exec celery flower # worker", "exec gunicorn x\ncelery worker", "run # celery worker"]
)
def test_script_of_another_program_is_no_problem(tmp_path: Path, text: str) -> None:
    assert of_script(tmp_path, text).problem == ""


def test_entry_point_of_a_virtualenv_is_no_start_script(tmp_path: Path) -> None:
    text = "#!/opt/env/bin/python\nimport re\nfrom celery.__main__ import main\n# celery worker\n"
    (tmp_path / "celery").write_text(text)
    found = understood([str(tmp_path / "celery"), "multi", "start", "a"], {}, None, place=PLACE)
    assert (found.command, found.problem, found.remarks) == (None, "", ())
    assert understood([str(tmp_path / "celery"), "worker"], {}, None, place=PLACE).command


def test_script_that_starts_another_script_is_followed(tmp_path: Path) -> None:
    inner = script(tmp_path, 'export B=2\ncd /srv/inner\nexec /env/bin/celery -A x "$@"\n', "inner")
    found = of_script(tmp_path, f'export A=1\numask 027\nmkdir /x\nexec {inner} worker "$@"\n', "-Q", "mail")
    assert command_of(found).values == {"queues": ["mail"]}
    assert (found.environment, found.directory, found.values) == (
        {"A": "1", "B": "2"},
        Path("/srv/inner"),
        {"umask": "027"},
    )
    assert remarks(found, tmp_path) == [("run:4", "mkdir /x", "procman does not run it before Celery")]


@pytest.mark.parametrize(("before", "keeps_shell"), [("", True), ("exec ", False)])
def test_script_that_another_starts_without_exec_is_followed(tmp_path: Path, before: str, keeps_shell: bool) -> None:
    inner = tmp_path / "inner"
    inner.write_text('#!/bin/sh\nexec celery -A shop worker -Q "$1"\n')
    found = of_script(tmp_path, f"mkdir -p /x\ncd {tmp_path} && {before}./inner mail")
    assert found.command
    assert (found.command.values, found.keeps_shell) == ({"queues": ["mail"]}, keeps_shell)
    assert "./inner" not in repr(found.remarks)


def test_scripts_that_start_each_other_end(tmp_path: Path) -> None:
    found = of_script(tmp_path, f"# celery worker\nexec {tmp_path}/run\n")
    assert found.command is None


@pytest.mark.parametrize(
    ("line", "user"),
    [
        ("su www-data -c '/env/bin/celery -A x worker -c 3'", "www-data"),
        ('N=3; su - www-data -s /bin/sh -c "cd /srv && exec /env/bin/celery -A x worker -c $N"', "www-data"),
        ("sudo -u www-data sh -c 'cd /srv; /env/bin/celery -A x worker -c 3'", "www-data"),
        ("pkill -f 'celery worker'; exec /env/bin/celery -A x worker -c 3", None),
    ],
)
def test_command_in_the_text_of_another_shell_is_found(tmp_path: Path, line: str, user: str | None) -> None:
    found = of_script(tmp_path, line)
    assert command_of(found).project == {"app": "x", "virtualenv": "/env"}
    assert (command_of(found).values, found.user, found.directory) == ({"concurrency": 3}, user, Path("/srv"))


def test_words_of_celery_multi_are_returned(tmp_path: Path) -> None:
    found = of_script(tmp_path, 'NODES="a b"\nexec /env/bin/celery multi start $NODES -c 2\n')
    assert (found.words, found.problem) == (("/env/bin/celery", "multi", "start", "a", "b", "-c", "2"), "")


@pytest.mark.parametrize("kind", ["fifo", "directory", "binary", "missing", "huge"])
def test_file_that_is_no_script_is_not_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "run"
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "directory":
            file.mkdir()
        case "binary":
            file.write_bytes(b"#!/bin/sh\0exec celery worker")
        case "huge":
            file.write_text("#!/bin/sh\nexec celery worker\n" + "#" * 100_000)
    assert understood([str(file)], {}, None, place=PLACE) == Understood((str(file),))
    text = f". {file}\nexec celery beat"
    assert command_of(understood(["sh", "-c", text], {}, None, place=PLACE)).kind is Kind.BEAT


@pytest.mark.root("only root can give a directory away")
def test_root_reads_no_variables_from_a_file_that_a_user_can_replace(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("PASSWORD=hunter22\n")
    secret.chmod(0o600)
    directory = tmp_path / "of-user"
    directory.mkdir()
    (directory / "env").symlink_to(secret)
    os.chown(directory, 65534, 65534)
    text = f"set -a\n. {directory}/env\nexec celery worker"
    for user in (None, "nobody"):
        found = understood(["sh", "-c", text], {}, None, place=PLACE, user=user)
        assert (found.environment, found.environment_files) == ({}, ())
        assert "cannot be read" in found.remarks[0].consequence


def test_command_that_a_script_runs_beside_itself_is_that_of_its_arguments(tmp_path: Path) -> None:
    text = 'trap drain TERM\nexport A=1\n"$@" &\nwait $!\n'
    found = of_script(tmp_path, text, "ddtrace-run", "/opt/shop/env/bin/celery", "-A", "shop", "worker")
    assert command_of(found).project == {"virtualenv": "/opt/shop/env", "app": "shop"}
    assert (found.wrapper, found.environment) == (("ddtrace-run",), {"A": "1"})
    assert ("run:4", '"$@" &') in [each[:2] for each in remarks(found, tmp_path)]
    assert of_script(tmp_path, text, "uwsgi", "shop.ini").command is None


@pytest.mark.root("only root can give a directory away")
def test_root_reads_a_script_that_a_user_can_replace_as_this_user(tmp_path: Path) -> None:
    secret = script(tmp_path, "exec celery -A root-only worker\n", "secret")
    secret.chmod(0o700)
    directory = tmp_path / "of-user"
    directory.mkdir()
    (directory / "run").symlink_to(secret)
    os.chown(directory, 65534, 65534)
    assert understood(["sh", str(directory / "run")], {}, None, place=PLACE, user="nobody").command is None
    assert understood(["sh", str(secret)], {}, None, place=PLACE, user="nobody").command
