"""`procman check` on a booted Debian with RabbitMQ: real errors of the broker, and limits of the host."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project
from .machine import Host
from .projects import EXISTING, START_SECONDS, toml, under_supervisor

URLS = {
    "refused": f"amqp://catmaid:{SECRET}@localhost:5673//",
    "dns": f"amqp://catmaid:{SECRET}@no-such-host.invalid//",
    "password": f"amqp://catmaid:not-{SECRET}@localhost:5672//",
    "vhost": f"amqp://catmaid:{SECRET}@localhost:5672/no-such-vhost",
    "plain": f"amqps://catmaid:{SECRET}@localhost:5672//",
}
WORDS = {
    "refused": "nothing listens there",
    "dns": "the host name cannot be resolved",
    "password": "it rejects the user or password",
    "vhost": "the virtual host does not exist",
    "plain": "it expects no TLS on this port",
}


def check(project: Project, user: str | None = None) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status and the results that are not OK."""
    done = project.procman("check", "--json", user=user, check=False)
    assert SECRET not in done.stdout + done.stderr
    results = json.loads(done.stdout)["results"]
    return done.returncode, [result for result in results if result["level"] != "OK"]


def named(host: Host, name: str, text: str = "") -> Project:
    return Project(host, name, text or toml(name))


def test_valid_project_has_no_critical_result(stocked: Host) -> None:
    project = named(stocked, "looked")
    status, unsound = check(project)
    assert (status, [result for result in unsound if result["level"] == "CRITICAL"]) == (0, [])
    found = json.loads(project.procman("check", "--json").stdout)["results"]
    assert {"PM711", "PM721", "PM731", "PM741"} <= {each["code"] for each in found if each["level"] == "OK"}
    [files] = [each for each in found if each["code"] == "PM764"]
    limit = stocked.run("systemctl show -p LimitNOFILESoft --value no-such.service").stdout.strip()
    assert files["detail"].endswith(f"for 2 pool processes, of at most {limit}")
    written = stocked.run(
        "find /etc /var/lib /var/log /usr/local -xdev -newer /etc/procman-looked.toml -name '*looked*'"
    )
    assert written.stdout == ""


def test_causes_of_a_failed_connection_are_distinguished(stocked: Host) -> None:
    def trouble(kind: str) -> list[dict[str, Any]]:
        stocked.write(f"/etc/looked/{kind}.env", f"CELERY_BROKER_URL={URLS[kind]}\n", mode=0o600)
        text = toml(f"looked-{kind}").replace("/etc/catmaid/celery.env", f"/etc/looked/{kind}.env")
        status, unsound = check(named(stocked, f"looked-{kind}", text))
        assert status == 1
        return [result for result in unsound if result["level"] == "CRITICAL"]

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(URLS, pool.map(trouble, URLS), strict=True))
    for kind, results in found.items():
        assert [result["code"] for result in results] == ["PM721"], kind
        assert WORDS[kind] in results[0]["detail"]
        assert results[0]["hint"]


def test_account_guest_and_a_broker_of_several_that_is_down_are_warnings(stocked: Host) -> None:
    down = f"amqp://catmaid:{SECRET}@localhost:5673//"
    stocked.write("/etc/looked/guest.env", f"CELERY_BROKER_URL=amqp://guest:guest@localhost//;{down}\n", mode=0o600)
    text = toml("looked-guest").replace("/etc/catmaid/celery.env", "/etc/looked/guest.env")
    _, unsound = check(named(stocked, "looked-guest", text))
    found = {result["code"]: result for result in unsound}
    assert (found["PM727"]["level"], found["PM721"]["level"]) == ("WARNING", "WARNING")
    # kombu uses only IPv4 for localhost in a URL.
    cause = "one of 2 brokers: nothing listens there (Connection refused)"
    assert found["PM721"]["detail"] == f"cannot connect to amqp://catmaid:***@127.0.0.1:5673//, {cause}"


def test_directory_that_the_sandbox_makes_read_only_is_reported(stocked: Host) -> None:
    text = toml("looked-closed").replace(f'writable_paths = ["{DATA}"]', "")
    _, unsound = check(named(stocked, "looked-closed", text))
    forbidden = [result for result in unsound if result["code"] == "PM754"]
    assert any(f"{DATA}/media" in result["detail"] for result in forbidden)


def test_paths_that_a_sandbox_hides_are_named_and_the_printed_lines_show_them(stocked: Host) -> None:
    hiding = 'TemporaryFileSystem = ["/usr/local", "/run", "/var/lib"]'
    text = toml("looked-hidden")
    status, unsound = check(named(stocked, "looked-hidden", f"{text}\n[systemd.directives]\n{hiding}\n"))
    reported = {result["program"]: result for result in unsound if result["code"] == "PM754"}
    assert (status, {result["level"] for result in reported.values()}) == (1, {"CRITICAL"})
    worker, beat = reported["looked-hidden-celery"], reported["looked-hidden-celery-beat"]
    for path in ("/usr/local/lib/procman/looked-hidden", "/var/lib/procman/looked-hidden", "/run/systemd/notify"):
        assert f"{path}, " in worker["detail"]
    shown = "\n".join(beat["hint"].splitlines()[1:])
    project = named(stocked, "looked-hidden", f"{text}\n{shown}\n{hiding}\n")
    assert [result for result in check(project)[1] if result["code"] == "PM754"] == []
    try:
        project.procman("install", "--no-check", "--wait", str(START_SECONDS))
    finally:
        project.procman("uninstall", "--purge")


def test_short_stop_timeout_and_disabled_management_interface_are_reported(stocked: Host) -> None:
    text = under_supervisor(toml("looked-debian"), EXISTING.replace("extend_stop_timeout = true\n", ""))
    text = text.replace("[health]", '[health]\nmanagement_url = "http://127.0.0.1:15999"')
    _, unsound = check(named(stocked, "looked-debian", text))
    reported = {result["code"]: result for result in unsound}
    of_the_host = "\n".join(result["detail"] for result in unsound if result["code"] == "PM773")
    assert "supervisor.service loses running tasks when it stops" in of_the_host
    assert "After=rabbitmq-server.service postgresql.service" in of_the_host
    assert "rabbitmq-plugins enable rabbitmq_management" in reported["PM725"]["hint"]


OLD_UNIT = f"""
[Service]
User=www-data
WorkingDirectory={PROJECTS}
EnvironmentFile=/etc/catmaid/celery.env
ExecStart={VIRTUALENV}/bin/celery -A mysite worker -n old@%%h -Q looked-beside
"""


def test_worker_of_a_unit_that_stays_is_critical_unless_it_is_adopted_or_meant_to_stay(stocked: Host) -> None:
    def reported(text: str) -> dict[str, Any] | None:
        _, unsound = check(named(stocked, "looked-beside", text))
        return next((each for each in unsound if each["code"] == "PM748"), None)

    text = toml("looked-beside").replace("[beat]\n", "")
    stocked.write("/etc/systemd/system/old-celery.service", OLD_UNIT)
    stocked.run("systemctl daemon-reload && systemctl start old-celery")
    try:
        found = reported(text)
        assert found
        assert (found["level"], found["program"]) == ("CRITICAL", "looked-beside-celery")
        assert ", old-celery.service is another worker of mysite" in found["detail"]
        assert found["hint"].splitlines() == [
            'To replace it, write in [worker.celery]: adopts = ["systemd:old-celery.service"]',
            'If it is meant to stay, write in [project]: beside = ["old-celery.service"]',
        ]
        adopting = '[worker.celery]\nadopts = ["systemd:old-celery.service"]'
        assert reported(text.replace("[worker.celery]", adopting)) is None
        assert reported(text.replace("[project]", '[project]\nbeside = ["old-celery"]')) is None
    finally:
        stocked.run("systemctl stop old-celery; rm /etc/systemd/system/old-celery.service; systemctl daemon-reload")


@pytest.mark.parametrize("user", ["www-data", "nobody"])
def test_user_without_permission_is_advised_to_use_sudo(stocked: Host, user: str) -> None:
    done = named(stocked, "looked").procman("check", user=user, check=False)
    assert done.returncode == 1
    assert "sudo" in done.stderr
