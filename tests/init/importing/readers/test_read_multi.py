"""The defaults of Celery's init scripts become one program per node, as the scripts would start them."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Stop
from procman.init.importing.readers import read_init_d, read_multi, read_units
from procman.model import Kind
from procman.sources import Source

DEFAULTS = """\
CELERY_BIN="/opt/shop/env/bin/celery"
CELERY_APP="shop"
CELERYD_NODES="fast slow export"
CELERYD_CHDIR="/opt/shop/src"
CELERYD_OPTS="--time-limit=3600 -Q:fast fast -Q:slow slow -Q:export export,reports -c:fast 8 -c 2 --beat:fast"
CELERYD_USER="www-data"
CELERYD_GROUP="www-data"
CELERYD_LOG_FILE="/var/log/celery/%n%I.log"
CELERYD_PID_FILE="/var/run/celery/%n.pid"
DJANGO_SETTINGS_MODULE="shop.settings.production"
export DJANGO_SETTINGS_MODULE
"""

CELERYD = """\
#!/bin/sh -e
### BEGIN INIT INFO
# Provides: celeryd
### END INIT INFO
SCRIPT_NAME="$(basename "$0")"
CELERY_DEFAULTS=${CELERY_DEFAULTS:-"/etc/default/${SCRIPT_NAME}"}
. "$CELERY_DEFAULTS"
CELERYD_MULTI=${CELERYD_MULTI:-"$CELERY_BIN multi"}
su "$CELERYD_USER" -c "$CELERYD_MULTI start $CELERYD_NODES $CELERYD_OPTS"
"""

CELERYBEAT = """\
#!/bin/bash
if test -f /etc/default/celeryd; then . /etc/default/celeryd; fi
EXTRA_CONFIG="/etc/default/${SCRIPT_NAME}"
su "$CELERYBEAT_USER" -c "$CELERYBEAT $CELERYBEAT_OPTS"
"""


def host(tmp_path: Path, **files: str) -> Path:
    """Write files: `celeryd_script` into /etc/init.d, others into /etc/default."""
    for name, text in files.items():
        place = "etc/init.d" if name.endswith("_script") else "etc/default"
        path = tmp_path / place / name.removesuffix("_script")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def of_defaults(root: Path, name: str = "celeryd") -> Reading:
    return read_multi.read([root / "etc/default" / name], {}, root)


def of_scripts(root: Path, *names: str) -> Reading:
    return read_init_d.read([root / "etc/init.d" / name for name in names], {}, root)


def only(reading: Reading) -> Existing:
    [program] = reading.programs
    return program


def values(program: Existing) -> dict[str, object]:
    assert program.command
    return program.command.values


def test_each_node_is_a_program(tmp_path: Path) -> None:
    reading = of_scripts(host(tmp_path, celeryd=DEFAULTS, celeryd_script=CELERYD), "celeryd")
    assert reading.remarks == ()
    assert reading.files == (tmp_path / "etc/init.d/celeryd", tmp_path / "etc/default/celeryd")
    fast, slow, export = reading.programs
    common = {"loglevel": "info", "time_limit_seconds": 3600}
    assert values(fast) == {**common, "hostname": "fast@%h", "queues": ["fast"], "concurrency": 8}
    assert values(slow) == {**common, "hostname": "slow@%h", "queues": ["slow"], "concurrency": 2}
    assert values(export) == {**common, "hostname": "export@%h", "queues": ["export", "reports"], "concurrency": 2}
    assert fast.command
    assert slow.command
    assert (fast.command.with_beat, slow.command.with_beat) == (True, False)
    assert fast.command.project == {"app": "shop", "directory": "/opt/shop/src", "virtualenv": "/opt/shop/env"}
    assert (fast.label, fast.name) == (f"node fast of {tmp_path}/etc/init.d/celeryd", "fast")
    assert [str(each.source) for each in reading.programs] == [
        "init.d:celeryd:fast",
        "init.d:celeryd:slow",
        "init.d:celeryd:export",
    ]
    for each in reading.programs:
        assert (each.user, each.group, each.problem) == ("www-data", None, "")
        assert each.environment == {"DJANGO_SETTINGS_MODULE": "shop.settings.production"}
        assert each.place == f"{tmp_path}/etc/default/celeryd:3"
        assert each.stop == Stop("TERM", None, "main", "never")


def test_defaults_of_a_script_are_those_of_the_script(tmp_path: Path) -> None:
    root = host(tmp_path, celeryd=DEFAULTS, celeryd_script=CELERYD)
    assert of_defaults(root).programs == of_scripts(root, "celeryd").programs


def test_defaults_alone_are_read_without_a_source_and_without_a_user(tmp_path: Path) -> None:
    reading = of_defaults(host(tmp_path, celeryd="CELERY_APP=shop\nCELERYD_NODES=2\nCELERYD_OPTS='-c:1 3'\n"))
    assert [(each.name, each.source, each.user) for each in reading.programs] == [
        ("celery1", None, None),
        ("celery2", None, None),
    ]
    assert values(reading.programs[0]) == {"hostname": "celery1@%h", "loglevel": "info", "concurrency": 3}
    [remark] = reading.remarks
    assert remark.what == f"there is no {tmp_path}/etc/init.d/celeryd, which would read it"
    assert remark.doubtful


def test_script_without_defaults_starts_one_node(tmp_path: Path) -> None:
    program = only(of_scripts(host(tmp_path, celeryd_script=CELERYD), "celeryd"))
    assert (program.name, program.user, program.source) == ("celery", "celery", Source("init.d", "celeryd", "celery"))


def test_beat_reads_both_files(tmp_path: Path) -> None:
    own = "CELERYBEAT_OPTS='-s /var/lib/shop/schedule'\nexport SENTRY_DSN=https://key@sentry.example/1\n"
    root = host(tmp_path, celeryd=DEFAULTS, celerybeat=own, celerybeat_script=CELERYBEAT)
    reading = of_scripts(root, "celerybeat")
    beat = only(reading)
    assert beat.command
    assert (beat.command.kind, beat.command.schedule_file) == (Kind.BEAT, "/var/lib/shop/schedule")
    assert beat.command.project == {"app": "shop", "directory": "/opt/shop/src", "virtualenv": "/opt/shop/env"}
    assert (str(beat.source), beat.user, values(beat)) == ("init.d:celerybeat", "www-data", {"loglevel": "info"})
    assert set(beat.environment) == {"DJANGO_SETTINGS_MODULE", "SENTRY_DSN"}
    assert [each.name for each in reading.files] == ["celerybeat", "celeryd", "celerybeat"]


@pytest.mark.parametrize(("name", "names"), [("celeryd", ["fast", "slow", "export"]), ("celerybeat", ["celerybeat"])])
def test_script_that_leaves_all_to_its_defaults_is_known_by_them(tmp_path: Path, name: str, names: list[str]) -> None:
    script = f'#!/bin/sh\n. /etc/default/{name}\n. /lib/celery-functions\nrun_celery "$1"\n'
    own = {"celeryd": DEFAULTS, "celerybeat": "CELERYBEAT_OPTS='-l debug'\n"}[name]
    reading = of_scripts(host(tmp_path, **{name: own, f"{name}_script": script}), name)
    assert [each.name for each in reading.programs] == names
    assert all(each.command for each in reading.programs)


def test_defaults_of_a_beat_alone_invent_no_worker(tmp_path: Path) -> None:
    beat = only(of_defaults(host(tmp_path, celerybeat="CELERY_APP=x\nCELERYBEAT_OPTS='-l debug'\n"), "celerybeat"))
    assert beat.command
    assert beat.command.kind is Kind.BEAT


def test_variables_are_expanded_as_a_shell_does_and_the_rest_is_reported(tmp_path: Path) -> None:
    text = (
        'HOME_OF=/opt/shop\nCELERY_BIN=$HOME_OF/bin/celery\nCELERYD_NODES=a\nCELERYD_CHDIR="$(cat /x)"\nulimit -n 9\n'
    )
    reading = of_defaults(host(tmp_path, celeryd=f"{text}CELERYD_ULIMIT='-n 4096'\n", celeryd_script=CELERYD))
    program = only(reading)
    assert program.words[0] == "/opt/shop/bin/celery"
    assert [(each.place.rpartition(":")[2], each.what) for each in (*reading.remarks, *program.remarks)] == [
        ("4", 'CELERYD_CHDIR="$(cat /x)"'),
        ("5", "ulimit -n 9"),
        ("6", "ulimit -n 4096"),
    ]


@pytest.mark.parametrize("name", ["CELERYD_OPTS", "CELERYD_NODES", "CELERY_APP"])
def test_workers_whose_options_only_a_shell_knows_are_not_imported(tmp_path: Path, name: str) -> None:
    file = tmp_path / "celeryd"
    file.write_text(f'{DEFAULTS}{name}="-Q mail $(nproc)"\n')
    assert all(name in each.problem and each.command is None for each in read_multi.read([file], {}).programs)


def test_variables_for_the_script_do_not_reach_celery(tmp_path: Path) -> None:
    text = "export CELERYD_NODES=a CELERY_APP=x CELERY_LOADER=django CELERY_BIN=/b/celery\nexport A=1\nB=2\n"
    program = only(of_defaults(host(tmp_path, celeryd=text, celeryd_script=CELERYD)))
    assert program.environment == {"CELERY_LOADER": "django", "A": "1"}


def test_options_that_celery_multi_refuses_are_a_problem(tmp_path: Path) -> None:
    root = host(tmp_path, celeryd="CELERYD_NODES='a b'\nCELERYD_OPTS='-c:3 1'\n", celeryd_script=CELERYD)
    assert only(of_defaults(root)).problem == "celery multi refuses its options: there is no node 3"


def test_unit_of_celery_multi_has_one_program_per_node(tmp_path: Path) -> None:
    (tmp_path / "celeryd").write_text(DEFAULTS.replace("\nexport DJANGO_SETTINGS_MODULE", ""))
    unit = tmp_path / "celery.service"
    unit.write_text(f"""\
[Service]
Type=forking
User=www-data
EnvironmentFile={tmp_path}/celeryd
WorkingDirectory=/opt/shop/src
ExecStart=/bin/sh -c '${{CELERY_BIN}} -A $CELERY_APP multi start $CELERYD_NODES \\
    --pidfile=${{CELERYD_PID_FILE}} --logfile=${{CELERYD_LOG_FILE}} $CELERYD_OPTS'
ExecStop=/bin/sh -c '${{CELERY_BIN}} multi stopwait $CELERYD_NODES --pidfile=${{CELERYD_PID_FILE}}'
Restart=always
LimitNOFILE=4096
TimeoutStopSec=900
""")
    reading = read_units.read([unit], {}, tmp_path)
    assert [(each.name, str(each.source)) for each in reading.programs] == [
        ("fast", "systemd:celery.service:fast"),
        ("slow", "systemd:celery.service:slow"),
        ("export", "systemd:celery.service:export"),
    ]
    fast, slow, _ = reading.programs
    assert values(fast) == {"time_limit_seconds": 3600, "hostname": "fast@%h", "queues": ["fast"], "concurrency": 8}
    assert values(slow) == {"time_limit_seconds": 3600, "hostname": "slow@%h", "queues": ["slow"], "concurrency": 2}
    assert fast.command
    assert (fast.command.with_beat, fast.user, fast.directory) == (True, "www-data", Path("/opt/shop/src"))
    assert (fast.environment_files, fast.stop.reaches) == ((tmp_path / "celeryd",), "main")
    assert (fast.systemd_directives, fast.values) == ({"LimitNOFILE": "4096"}, {"stop_timeout_seconds": 900})
    assert [each for program in reading.programs for each in program.remarks] == []


def test_any_other_script_is_followed_with_start(tmp_path: Path) -> None:
    text = """\
#!/bin/sh
### BEGIN INIT INFO
NODES="a b"
export SHOP=1
start() { cd /opt/shop && /opt/shop/env/bin/celery multi start $NODES -A shop -c 2; }
case "$1" in
  start) start ;;
  stop) /opt/shop/env/bin/celery multi stopwait $NODES ;;
esac
"""
    reading = of_scripts(host(tmp_path, shop_script=text), "shop")
    assert [(each.name, str(each.source), each.directory) for each in reading.programs] == [
        ("a", "init.d:shop:a", Path("/opt/shop")),
        ("b", "init.d:shop:b", Path("/opt/shop")),
    ]
    assert reading.programs[0].environment == {"SHOP": "1"}


def test_hostile_file_is_bounded(tmp_path: Path) -> None:
    root = host(tmp_path, celeryd="CELERYD_NODES=a\n" * 100_000)
    with pytest.raises(ProcmanError, match="larger than"):
        of_defaults(root)
    (root / "etc/default/celeryd").write_bytes(b"\0\xff" * 10)
    with pytest.raises(ProcmanError, match="not a text file"):
        of_defaults(root)
