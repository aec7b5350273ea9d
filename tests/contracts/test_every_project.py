"""Two projects on one host, one of them damaged: the list, and the status and health of all of them."""

from __future__ import annotations

import json

from tests.attacks.host import TOML, AttackedHost
from tests.output.test_openmetrics import series

MILL = TOML.replace('"catmaid"', '"mill"').replace("{project}", "").replace("{rest}", "")


def procman(host: AttackedHost, words: str) -> tuple[int, str, str]:
    done = host.run(f"cd / && exec procman {words}", "root", check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_all_projects_are_listed_and_a_damaged_one_hides_no_other(host: AttackedHost) -> None:
    assert procman(host, "list") == (0, "", "no project is installed\n")
    assert procman(host, "status --all") == (0, "no project is installed\n", "")
    assert procman(host, "health --all --format nagios")[:2] == (3, "PROCMAN UNKNOWN - no project is installed\n")
    host.write("/etc/mill/procman.toml", MILL)
    for project in ("catmaid", "mill"):
        host.root(f"procman --config /etc/{project}/procman.toml install --no-check --wait 30")

    status, listed, _ = procman(host, "list")
    assert status == 0
    assert rows(listed) == [
        ["PROJECT", "SCOPE", "BACKEND", "RUNNING", "HEALTH", "GENERATION", "CONFIGURATION"],
        ["catmaid", "system", "supervisor", "2/2", "ok", "1", "/etc/catmaid/procman.toml"],
        ["mill", "system", "supervisor", "2/2", "ok", "1", "/etc/mill/procman.toml"],
    ]
    assert [each["running"] for each in json.loads(procman(host, "list --json")[1])["projects"]] == [2, 2]

    status, shown, _ = procman(host, "status --all")
    assert status == 0
    assert [row for row in shown.splitlines() if row.endswith(":")] == ["catmaid (system):", "mill (system):"]
    document = json.loads(procman(host, "status --all --json")[1])
    assert [each["project"] for each in document["projects"]] == ["catmaid", "mill"]
    status, shown, _ = procman(host, "health --all --format nagios")
    text, _, data = shown.partition(" | ")
    assert (status, text) == (0, "PROCMAN OK - catmaid OK: 2 of 2 running; mill OK: 2 of 2 running")
    labels = [label.partition("=")[0] for label in data.split()]
    assert len(labels) == len(set(labels))
    assert any(label.startswith("'mill.free_mib_") for label in labels)

    # Where the file of a project was, that project is still meant.
    assert "several projects are installed: catmaid, mill\n" in procman(host, "status")[2]
    host.root("mv /etc/mill/procman.toml /root/")
    lost = host.run("cd /etc/mill && procman status", "root")
    assert lost.stderr == "procman: /etc/mill/procman.toml: no such file; using the installed generation 1 of mill\n"
    assert "mill-one  RUNNING" in lost.stdout

    host.root("echo > /var/lib/procman/mill/generations/1/manifest.json")
    host.procman("stop one")
    status, listed, _ = procman(host, "list")
    assert status == 1
    assert rows(listed)[1][3:5] == ["1/2", "ok"]
    assert rows(listed)[2][:5] == ["mill", "-", "-", "-", "unknown"]
    assert "mill: unknown: /var/lib/procman/mill/generations/1/manifest.json cannot be read: " in listed
    status, shown, _ = procman(host, "status --all")
    assert status == 4
    assert "catmaid-two  RUNNING" in shown
    assert "mill: unknown: /var/lib/procman/mill/generations" in shown
    documents = json.loads(procman(host, "health --all --json")[1])
    assert (documents["level"], documents["exit_status"]) == ("UNKNOWN", 3)
    assert [each.get("level") for each in documents["projects"]] == ["OK", None]
    status, shown, _ = procman(host, "health --all --format nagios")
    assert (status, shown.startswith("PROCMAN UNKNOWN - mill UNKNOWN: /var/lib/")) == (3, True)
    assert "; catmaid OK: 1 of 2 running, 1 stopped | " in shown
    status, shown, _ = procman(host, "health --all --format openmetrics")
    assert status == 3
    levels = {next(iter(labels)): level for (name, labels), level in series(shown).items() if name == "procman_level"}
    assert levels == {("project", "catmaid"): 0.0, ("project", "mill"): 3.0}


def test_all_is_not_combined_with_a_project_or_a_name(host: AttackedHost) -> None:
    for words in ("status --all --project catmaid", "--config /etc/x status --all", "status --all one"):
        assert procman(host, words)[0] == 2, words
    assert procman(host, "health --all one")[0] == 3
