"""The systemd backend on a booted Debian, with RabbitMQ and the user www-data."""

from __future__ import annotations

import json
import re

import pytest

from .catmaid import DATA, Project, counted, send, show
from .machine import Host
from .projects import START_SECONDS, all_running, are_started, toml, wait_for

ABROAD = """
[project]
name = "abroad"
app = "none"
directory = "/home/abroad/project"
virtualenv = "/opt/procman"
user = "www-data"
backend = "systemd"
writable_paths = ["/tmp/exchange"]

[command.look]
argv = ["sh", "-c", "{script}"]
launcher = false
start_seconds = 0

[systemd]
sandbox = "strict"
"""

LOOK = "cat here > /tmp/exchange/read; ls /home > /tmp/exchange/homes; touch here2; exec sleep 100000"

SLOW = "[Service]\nType=oneshot\nExecStart=/bin/sleep 300\n"


def pids(project: Project) -> dict[str, int | None]:
    return {name: each["pid"] for name, each in project.status().items()}


def test_install_starts_healthy_programs_and_a_second_one_changes_nothing(catmaid: Project) -> None:
    assert all_running(catmaid)()
    before = pids(catmaid)
    assert len(before) == 12
    assert "nothing changed" in catmaid.procman("install").stdout
    assert pids(catmaid) == before


@pytest.mark.parametrize("sandbox", ["default", "strict"])
def test_tasks_work_in_the_sandbox(catmaid: Project, fenced: Project, sandbox: str) -> None:
    project = {"default": catmaid, "strict": fenced}[sandbox]
    where = f"{DATA}/{project.name}.json"
    number = {"default": 1, "strict": 2}[sandbox]
    send(project.host, "exercise.tasks.everything", [number, f"{project.name}.json"], queue=project.name)
    project.host.wait_for(lambda: project.host.run(["test", "-s", where], check=False).returncode == 0, START_SECONDS)
    found = json.loads(project.host.run(["cat", where]).stdout)
    assert found == {
        "numpy": 1,
        "subprocess": "42\n",
        "name": "127.0.0.9",
        "localhost": ["127.0.0.1", "::1"],
        "temporary file": "/tmp",
        "semaphore": 1,
        "nice": True,
        "psutil": True,
        "writes elsewhere": "nowhere",
        "processes of others": 0,
        "secret": True,
    }


def test_installed_units_have_the_exposure_of_the_rendered_ones(catmaid: Project, fenced: Project) -> None:
    for unit, bound in (("catmaid-celery", 20), ("catmaid-celery-beat", 20), ("fenced-celery", 11)):
        catmaid.host.run(f"systemd-analyze security --no-pager --threshold={bound} {unit}.service")


def test_secret_is_passed_to_the_program_and_not_shown_by_systemd(catmaid: Project) -> None:
    host = catmaid.host
    assert (
        "s3cret" not in host.run("systemctl show 'catmaid*'; systemctl cat 'catmaid*'; ps axww; journalctl -b").stdout
    )
    searched = "/etc/systemd /usr/local /var/lib/procman /var/log/catmaid /run/systemd"
    with_secret = host.run(f"grep -rl s3cret {searched}", check=False).stdout.split()
    # Each worker's record for the watcher is as private as its environment in /proc.
    assert {path.rpartition("/")[2] for path in with_secret} == {"broker.json"}
    assert set(host.run(["stat", "-c", "%a %U", *with_secret]).stdout.splitlines()) == {"600 www-data"}
    assert host.run("cat /run/credentials/catmaid-celery.service/environment", "nobody", check=False).returncode != 0


def test_worker_under_a_wrapper_notifies_systemd_from_its_main_process(catmaid: Project) -> None:
    unit = show(catmaid.host, "catmaid-hold-1", "MainPID", "StatusText", "ActiveState")
    assert unit["ActiveState"] == "active"
    # systemd accepts the status of the main process only (NotifyAccess=main).
    assert "it is consuming" in unit["StatusText"]
    variables = catmaid.host.run(f"cat /proc/{unit['MainPID']}/environ").stdout.split("\0")
    assert {"UNDER=wrapper", f"PROCMAN_WRAPPED={unit['MainPID']}"} <= {*variables}
    assert catmaid.status()["catmaid-hold-1"]["pid"] == int(unit["MainPID"])


def test_memory_limits_and_out_of_memory_policy_are_applied(catmaid: Project) -> None:
    # Control groups may be version 1 here, which has no events, so the loaded properties are compared.
    desired = ("OOMPolicy", "KillMode", "Restart", "Type", "StartLimitIntervalUSec")
    assert show(catmaid.host, "catmaid-celery", *desired) == {
        "OOMPolicy": "continue",
        "KillMode": "mixed",
        "Restart": "always",
        "Type": "notify",
        "StartLimitIntervalUSec": "0",
    }


def test_watchdog_leaves_a_program_the_time_of_a_stop_whatever_the_default_of_the_host(catmaid: Project) -> None:
    host, default = catmaid.host, "/etc/systemd/system.conf.d/abort.conf"
    host.write(default, "[Manager]\nDefaultTimeoutAbortSec=7\n")
    host.run("systemctl daemon-reload")
    try:
        found = show(host, "catmaid-celery", "TimeoutAbortUSec", "TimeoutStopUSec")
        assert found["TimeoutAbortUSec"] == found["TimeoutStopUSec"]
    finally:
        host.run(f"rm {default} && systemctl daemon-reload")


def test_drop_in_of_the_administrator_applies_and_is_reported(catmaid: Project) -> None:
    host, drop_in = catmaid.host, "/etc/systemd/system/catmaid-celery.service.d/local.conf"
    host.write(drop_in, "[Service]\nKillMode=control-group\nTimeoutStopSec=5\n")
    host.run("systemctl daemon-reload")
    assert drop_in in catmaid.status()["catmaid-celery"]["detail"]
    send(host, "counting.tasks.hold", [300, 4], queue="catmaid")
    wait_for(are_started(host, 300), START_SECONDS)
    # The drop-in would kill the pool at once; procman's own stop still lets the task finish.
    catmaid.procman("stop", "catmaid-celery")
    assert counted(host, "finished")[300] == 1
    host.run(["rm", "-r", "/etc/systemd/system/catmaid-celery.service.d"])
    catmaid.procman("start", "catmaid-celery")
    assert catmaid.status()["catmaid-celery"]["detail"] == ""


def test_program_that_waits_for_another_unit_names_it(fenced: Project) -> None:
    host, beat = fenced.host, "fenced-celery-beat"
    fenced.procman("stop", beat)
    host.write("/run/systemd/system/slow.service", f"[Unit]\nBefore={beat}.service\n{SLOW}")
    try:
        host.run(f"systemctl daemon-reload; systemctl start --no-block slow.service {beat}.service")
        found = fenced.status()[beat]
        assert (found["state"], found["wanted"], found["detail"]) == ("STARTING", True, "waiting for slow")
        assert f"{beat}: warning PM101: starting: waiting for slow" in fenced.procman("health", check=False).stdout
    finally:
        host.run("systemctl stop slow.service; rm /run/systemd/system/slow.service; systemctl daemon-reload")
    fenced.procman("start", beat)
    wait_for(all_running(fenced), START_SECONDS)


def test_unit_that_needs_only_a_reload_restarts_nothing_and_another_command_does(fenced: Project) -> None:
    text, unit = toml("fenced", "strict"), "fenced-celery.service"
    before = pids(fenced)
    other = text.replace("after = [", 'after = ["resolver.service", ')
    fenced.write(other.replace("concurrency = 2", "concurrency = 2\nstop_timeout_seconds = 333"))
    assert "restarted" not in fenced.procman("install", "--no-check").stdout
    assert pids(fenced) == before
    loaded = show(fenced.host, unit, "TimeoutStopUSec", "TimeoutAbortUSec", "After", "NeedDaemonReload")
    assert (loaded["TimeoutStopUSec"], loaded["NeedDaemonReload"]) == ("6min 3s", "no")
    assert "resolver.service" in loaded["After"].split()
    fenced.write(text.replace("concurrency = 2", "concurrency = 1"))
    fenced.procman("install", "--no-check")
    after = pids(fenced)
    assert {name for name in before if before[name] != after[name]} == {"fenced-celery"}
    fenced.write(text)
    fenced.procman("install", "--no-check", "--wait", "60")


def test_program_whose_restart_lost_its_terminal_should_run(fenced: Project) -> None:
    worker = "fenced-celery"
    send(fenced.host, "exercise.tasks.last", [77], queue="fenced")
    wait_for(lambda: counted(fenced.host, "started")[77] == 1, START_SECONDS)
    # The tests themselves may run under nohup, which ignores SIGHUP for every process that it starts.
    words = f"env --default-signal=HUP procman --config {fenced.configuration} restart --no-check {worker}"
    pid = fenced.host.run(f"{words} > /dev/null 2>&1 & echo $!").stdout.strip()
    wait_for(lambda: fenced.state(worker) == "STOPPING", START_SECONDS)
    assert "being restarted by root" in fenced.procman("status", check=False).stdout
    fenced.host.run(f"kill -HUP {pid}")
    wait_for(lambda: fenced.host.run(f"kill -0 {pid}", check=False).returncode != 0, START_SECONDS)
    fenced.host.run(f"touch {DATA}/freed-77", "www-data")
    wait_for(lambda: fenced.state(worker) == "STOPPED", START_SECONDS)
    status = fenced.procman("status", check=False)
    assert (status.returncode, fenced.status()[worker]["wanted"]) == (3, True)
    assert f"procman start {worker}" in status.stdout
    fenced.procman("start", worker)
    wait_for(all_running(fenced), START_SECONDS)
    events = fenced.procman("events", "--json", "-n", "2", worker).stdout
    assert [json.loads(line)["what"] for line in events.splitlines()][-1] == "started"


def test_journal_is_shown_or_refused_with_the_remedy(catmaid: Project) -> None:
    assert "ready." in catmaid.procman("logs", "catmaid-celery", "-n", "200").stdout
    host = catmaid.host
    refused = host.run(["procman", "--project", "catmaid", "logs", "catmaid-celery"], "www-data", check=False)
    assert refused.returncode == 1
    assert "systemd-journal" in refused.stderr
    status = host.run(["procman", "--project", "catmaid", "status"], "www-data")
    assert "catmaid-celery" in status.stdout
    forbidden = host.run(["procman", "--project", "catmaid", "stop"], "www-data", check=False)
    assert forbidden.returncode == 1
    assert "sudo" in forbidden.stderr


def test_journal_of_several_units_is_one_stream_with_their_programs(catmaid: Project) -> None:
    printed = catmaid.procman("logs", "--since", "today", "celery", "celery-beat").stdout
    at = r"\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    assert re.search(rf"^catmaid-celery      {at}\[.* ready\.$", printed, re.MULTILINE)
    assert re.search(rf"^catmaid-celery-beat {at}\[.* beat: Starting", printed, re.MULTILINE)
    # A message of systemd itself.
    assert re.search(rf"^catmaid-celery-beat {at}Started catmaid-celery-beat\.service", printed, re.MULTILINE)
    times = re.findall(r"^[\w-]+ +\| (.{19})", printed, re.MULTILINE)
    assert times == sorted(times)


def test_page_about_a_program_has_its_unit_and_the_end_of_its_journal(catmaid: Project) -> None:
    page = catmaid.procman("status", "celery").stdout
    assert "  Defined in: /etc/systemd/system/catmaid-celery.service\n" in page
    assert "         Log: the journal\n" in page
    assert re.search(r"^last lines of its log:\n  \S+ (catmaid-celery|systemd)\[\d+\]: ", page, re.MULTILINE)


def test_project_in_a_home_directory_reads_its_files_and_shares_a_directory_in_tmp(stocked: Host) -> None:
    host = stocked
    for home in ("abroad", "neighbour"):
        host.write(f"/home/{home}/project/here", f"{home}\n")
    abroad = Project(host, "abroad", ABROAD.format(script=LOOK))
    host.run("install -d -o www-data /tmp/exchange")
    abroad.procman("install", "--no-check")
    wait_for(lambda: host.run("test -e /tmp/exchange/homes", check=False).returncode == 0, START_SECONDS)
    assert host.run("cat /tmp/exchange/read").stdout == "abroad\n"
    assert host.run("cat /tmp/exchange/homes").stdout == "abroad\n"
    assert host.run("ls /home/abroad/project").stdout == "here\n"
    abroad.procman("uninstall", "--purge")
