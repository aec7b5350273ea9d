"""The disposable host behaves like a real one, and nothing of it remains."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import cgroups
from .cache import CACHE, filling_the_cache
from .machine import CommandError, Host
from .overlay import HostError, Overlay, follow
from .packages import wheelhouse

REPOSITORY = Path(__file__).parents[2]

GREET_BROKER = """
import socket
with socket.create_connection(("127.0.0.1", 5672), 10) as connection:
    connection.sendall(b"AMQP\\0\\0\\x09\\x01")
    print(connection.recv(4096))
"""

STOPS_ORDERLY = "systemd-run --service-type=exec -p ExecStop='touch /root/stopped-orderly' sleep 1000"

HOLD_A_HOST = """
import signal, sys
from tests.host.machine import Host
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background commands are born without
signal.signal(signal.SIGTERM, signal.SIG_DFL)
class Announced(Host):
    def _is_up(self):
        print(self._overlay.name, flush=True)
        return super()._is_up()
with Announced():
    sys.stdin.read()
"""


def traces(name: str) -> list[str]:
    """Return the processes, mounts and control groups of a host that exist on the machine."""
    found = [str(group) for group in Path("/sys/fs/cgroup").glob(f"**/{name}*")]
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if name in mounts.read_text():
                found.append(str(mounts))
        except OSError:
            continue
    return found


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def test_systemd_is_process_1_and_nothing_has_failed(host: Host) -> None:
    assert host.run("cat /proc/1/comm").stdout == "systemd\n"
    assert host.failed_units() == []
    assert host.run("systemctl is-system-running").stdout == "running\n"


def test_rabbitmq_is_a_service_and_answers_on_the_loopback(host: Host) -> None:
    assert host.run("systemctl is-active rabbitmq-server").stdout == "active\n"
    answer = host.run(["python3", "-c", GREET_BROKER]).stdout
    assert "RabbitMQ" in answer


def test_there_is_no_network_but_the_loopback(host: Host) -> None:
    assert [line.split()[0] for line in host.run("ip -brief link").stdout.splitlines()] == ["lo"]


def test_commands_run_as_root_or_as_a_user_with_an_environment_of_their_own(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKED", "yes")
    assert host.run("id -un; pwd; echo ${LEAKED-none}").stdout == "root\n/\nnone\n"
    ids = host.run(
        "id -un; id -Gn; id -ru; echo $HOME $XDG_RUNTIME_DIR ${LEAKED-none} $GIVEN",
        user="www-data",
        environment={"GIVEN": "a b"},
    )
    assert ids.stdout == "www-data\nwww-data\n33\n/var/www /run/user/33 none a b\n"


def test_a_failing_command_shows_its_output(host: Host) -> None:
    with pytest.raises(CommandError, match=r"(?s)status 7.*spoken.*shouted"):
        host.run("echo spoken; echo shouted >&2; exit 7")
    assert host.run("exit 7", check=False).returncode == 7
    assert host.run("cat", input="given").stdout == "given"


def test_a_command_that_takes_too_long_is_killed(host: Host) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        host.run("sleep 4711 | sleep 4711", timeout=0.5)
    host.wait_for(lambda: not host.run("pgrep -f 'sleep [4]711'", check=False).stdout, 5)


def test_real_root_is_not_written(host: Host) -> None:
    for place in (
        "/etc/written-inside",
        "/usr/local/written-inside",
        "/var/lib/written-inside",
        "/root/written-inside",
    ):
        host.run(["touch", place])
        assert host.path(place).exists()
        assert not Path(place).exists()
    assert host.run("systemd-detect-virt --container").stdout == "systemd-nspawn\n"


def test_files_that_installers_write_stay_in_the_overlay(tmp_path: Path) -> None:
    before = Path("/etc/passwd").read_bytes(), mounts()
    real = tmp_path / "real"
    real.mkdir()
    with Overlay(bind=[real]) as overlay:
        overlay.run(["sh", "-c", "echo changed > /etc/passwd; rm -r /var/lib/dpkg; touch /run/real/file; umount /proc"])
        assert overlay.path("/etc/passwd").read_text() == "changed\n"
        assert not overlay.path("/var/lib/dpkg").exists()
        with pytest.raises(HostError, match=r"(?s)status 3 of sh.*why"):
            overlay.run(["sh", "-c", "echo why; exit 3"])
    assert (Path("/etc/passwd").read_bytes(), mounts()) == before
    assert Path("/var/lib/dpkg/status").exists()
    assert (real / "file").exists()


def test_in_a_chroot_too_commands_run_in_the_overlay(tmp_path: Path) -> None:
    written = "/var/tmp/written-in-an-overlay-made-in-a-chroot"
    chroot = f"mount --bind / {tmp_path} && mount --rbind /proc {tmp_path}/proc && exec chroot {tmp_path} "
    make = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.host.overlay import Overlay\n"
        f"with Overlay() as overlay: overlay.run(['touch', {written!r}]); print(overlay.path({written!r}).exists())"
    )
    shell = ["unshare", "--mount", "sh", "-c", chroot + shlex.join([sys.executable, "-c", make])]
    try:
        assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "True\n"
        assert not Path(written).exists()
    finally:
        Path(written).unlink(missing_ok=True)


def test_layer_restores_written_and_removed_files(tmp_path: Path) -> None:
    archive = tmp_path / "layer.tar"
    with Overlay() as overlay:
        overlay.run(
            ["sh", "-c", "mkdir /etc/new; echo new > /etc/new/file; rm /etc/hostname; rm -r /etc/apt; mkdir /etc/apt"]
        )
        overlay.pack(archive)
    with Overlay(archive) as overlay:
        assert overlay.path("/etc/new/file").read_text() == "new\n"
        assert not overlay.path("/etc/hostname").exists()
        assert list(overlay.path("/etc/apt").iterdir()) == []


def test_links_in_paths_are_followed_inside_the_host(host: Host) -> None:
    host.write("/var/run/through-a-link/file", "inside", mode=0o600, owner="www-data:daemon")
    assert not Path("/run/through-a-link").exists()
    assert (
        host.run("stat -c '%a %U:%G' /run/through-a-link/file; cat /run/through-a-link/file").stdout
        == "600 www-data:daemon\ninside"
    )
    assert host.path("/var/run/through-a-link/file") == host.path("/run/through-a-link/file")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/plain/x", "plain/x"),
        ("absolute/x", "etc/x"),
        ("relative/x", "etc/x"),
        ("/../../x", "x"),
        ("up/x", "x"),
        ("chain", "etc"),
    ],
)
def test_no_link_leads_out_of_a_root(tmp_path: Path, path: str, found: str) -> None:
    for name, target in {"absolute": "/etc", "relative": "./etc", "up": "../../../..", "chain": "absolute"}.items():
        (tmp_path / name).symlink_to(target)
    assert follow(tmp_path, path) == tmp_path / found


def test_circular_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(HostError, match="too many links"):
        follow(tmp_path, "ring")


def test_debians_supervisor_is_installed_and_starts_when_asked() -> None:
    with Host(services=()) as host:
        assert (
            host.run("systemctl is-enabled supervisor; systemctl is-active supervisor", check=False).stdout
            == "disabled\ninactive\n"
        )
        host.run("systemctl start supervisor")
        host.wait_for(lambda: host.run("supervisorctl pid", check=False).stdout.strip().isdigit(), 20)


def test_a_virtualenv_is_made_from_wheels_without_a_network(host: Host) -> None:
    wheels = wheelhouse(["vine==5.1.0"])
    host.run("useradd --create-home builder")
    host.run("python3 -m venv ~/env", user="builder")
    host.run(f"~/env/bin/pip install --no-index --find-links {wheels} vine", user="builder")
    assert host.run("~/env/bin/python -c 'import vine; print(vine.__version__)'", user="builder").stdout == "5.1.0\n"
    host.run("userdel --remove builder")


def test_files_are_kept_across_a_power_cycle() -> None:
    with Host(services=()) as host:
        assert host.run("systemctl is-active rabbitmq-server", check=False).stdout == "inactive\n"
        host.run(STOPS_ORDERLY)
        host.power_off()
        with pytest.raises(HostError, match="switched off"):
            host.run("true")
        host.boot()
        assert host.run("rm /root/stopped-orderly && systemctl is-system-running").stdout == "running\n"
        host.run(STOPS_ORDERLY)
        host.cut_power()
        host.boot()
        assert not host.path("/root/stopped-orderly").exists()


def test_mounts_of_the_host_are_invisible_to_the_machine(host: Host) -> None:
    assert "procman-host" not in mounts()
    assert traces(host._overlay.name), "traces() finds nothing even while a host is up"


def test_nothing_is_left_after_a_failure_at_boot() -> None:
    before = mounts()
    impatient = Host(boot_timeout=0.5)
    with pytest.raises(HostError, match="did not boot within"):
        impatient.__enter__()
    assert traces(impatient._overlay.name) == []
    assert mounts() == before


def test_nothing_is_left_after_an_exception_inside() -> None:
    with pytest.raises(ZeroDivisionError), Overlay() as overlay:  # noqa: PT012
        assert traces(overlay.name)
        raise ZeroDivisionError
    assert traces(overlay.name) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_tests_are_ended_by(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_A_HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
        env=environment,
        start_new_session=True,
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        try:
            assert traces(name), "there was nothing to clean up"
            holder.send_signal(how)
            holder.wait(20)
        finally:
            holder.kill()
    if how is signal.SIGKILL:
        Host.wait_for(
            lambda: not [trace for trace in traces(name) if "cgroup" not in trace], 20, "its processes are gone"
        )
        cgroups.sweep()
    assert traces(name) == []


def test_a_living_hosts_groups_are_not_swept(host: Host) -> None:
    before = traces(host._overlay.name)
    cgroups.sweep()
    assert {trace for trace in before if "cgroup" in trace} <= set(traces(host._overlay.name))
    assert host.run("true").returncode == 0


def test_cache_contains_no_incomplete_files(host: Host) -> None:
    with filling_the_cache(), filling_the_cache("trixie"):  # another host may be filling it
        assert not list(CACHE.glob("**/*.part"))
