"""The export to Compose: the launch of a host in services, and nothing secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from procman.deploy.render import write_below
from procman.export.containers import volume_name
from procman.launch import agent_source, launch_of
from tests.export.projects import FULL, expanded, export, project, readme, rendered, rendering


def services(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(export(text, "compose")["compose.yaml"])
    return found


def mounted(service: dict[str, Any], path: str) -> dict[str, Any]:
    """Return how a file of the host is mounted at the same path, and see that Compose does not read it."""
    assert "env_file" not in service
    return {"type": "bind", "source": path, "target": path, "read_only": True}


@pytest.mark.parametrize("text", [readme(), FULL], ids=["readme", "full"])
def test_every_service_is_launched_as_on_a_host(tmp_path: Path, text: str) -> None:
    found = services(text)["services"]
    described = project(tmp_path, text, "compose")
    assert list(found) == [program.name for program in described.programs]
    for program in described.programs:
        launch, service = launch_of(described, program), expanded(found[program.name])
        assert service["entrypoint"] == list(launch.argv)
        assert service["environment"] == dict(launch.environment)
        assert service["working_dir"] == str(launch.directory)
        assert service["user"] == launch.user
        assert mounted(service, str(launch.environment_file)) in service["volumes"]


def test_stop_waits_longer_than_the_program_needs() -> None:
    found = services(FULL)["services"]
    graces = {name: service["stop_grace_period"] for name, service in found.items()}
    assert graces["shop-celery-1"] == "630s"
    assert graces["shop-slow"] == "7230s"
    assert graces["shop-manual"] == "60s"
    assert graces["shop-celery-beat"] == "90s"


def test_readable_by_the_agent_and_restarted() -> None:
    found = services(FULL)
    slow, beat = found["services"]["shop-slow"], found["services"]["shop-celery-beat"]
    assert slow["init"] is True
    assert slow["restart"] == "unless-stopped"
    probe = ["CMD", "/srv/env/bin/python", "-IS", "/usr/local/lib/procman/shop/probe.py", "live"]
    assert slow["healthcheck"]["test"] == beat["healthcheck"]["test"] == probe
    assert "healthcheck" not in found["services"]["shop-flower"]
    assert slow["tmpfs"] == ["/var/lib/procman/shop/run/shop-slow"]
    agent = {"type": "bind", "source": "./agent", "target": "/usr/local/lib/procman/shop", "read_only": True}
    assert agent in slow["volumes"]
    secrets = mounted(slow, "/etc/shop/secrets.env")
    media = [{"type": "volume", "source": "data-srv-media", "target": "/srv/media"}]
    media += [{"type": "volume", "source": "data-var-cache-media", "target": "/var/cache/media"}]
    assert slow["volumes"] == [agent, secrets, *media]
    schedule = {"type": "volume", "source": "schedule", "target": "/var/lib/shop"}
    assert beat["volumes"] == [agent, secrets, schedule, *media]
    assert found["volumes"] == {"data-srv-media": {}, "data-var-cache-media": {}, "schedule": {}}


def test_name_of_a_volume_depends_on_its_path_alone() -> None:
    # Otherwise data would be mounted at another path after the order changed.
    text = FULL.replace('["/srv/media", "/var/cache/media"]', '["/var/cache/media", "/srv/media"]')
    volumes = services(text)["services"]["shop-slow"]["volumes"]
    assert {each["source"]: each["target"] for each in volumes if each["type"] == "volume"} == {
        "data-srv-media": "/srv/media",
        "data-var-cache-media": "/var/cache/media",
    }


PATHS = ("/a/b", "/a-b", "/a_b", "/A/b", "/a/b/c", "/-", "/ü", f"/{'x' * 100}", f"/{'x' * 100}y", f"/y{'x' * 100}")


def test_no_two_paths_have_a_volume_of_one_name() -> None:
    names = [volume_name(Path(path)) for path in PATHS]
    assert len(set(names)) == len(PATHS)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", name) for name in names)


def test_limits_and_manual_start() -> None:
    found = services(FULL.replace("autostart = false", "autostart = false\ntasks_max = 9"))["services"]
    assert found["shop-celery-2"]["mem_limit"] == "700m"
    assert found["shop-manual"]["pids_limit"] == 9
    assert found["shop-manual"]["profiles"] == ["manual"]
    assert "profiles" not in found["shop-slow"]
    assert found["shop-slow"]["image"] == "${SHOP_IMAGE:-registry.example.org/shop:1}"


def test_stop_signal_of_a_command() -> None:
    text = FULL.replace("[command.flower]", '[command.flower]\nstop_signal = "INT"\nuser = "web"\ngroup = "web"')
    flower = services(text)["services"]["shop-flower"]
    assert (flower["stop_signal"], flower["user"]) == ("SIGINT", "web:web")


def test_agent_is_that_of_a_host() -> None:
    files = export(readme(), "compose")
    assert [*files][-1] == "agent/launcher.py"
    agent = {name: text for name, text in files.items() if name.startswith("agent/")}
    assert len(agent) > 40
    assert all(text == agent_source(Path(name).name) for name, text in agent.items())


def test_export_is_deterministic_and_reads_no_secret() -> None:
    # The environment file does not even exist.
    assert rendered(FULL, "compose") == rendering(FULL, "compose")


def test_environment_file_overrides_as_on_a_host(tmp_path: Path) -> None:
    secrets, run = tmp_path / "secrets.env", tmp_path / "run"
    secrets.write_text("SAME='the $HOME of the file'\n")
    run.mkdir()
    text = FULL.replace("/etc/shop/secrets.env", str(secrets)).replace("/srv/shop", str(tmp_path))
    text = text.replace("/srv/env", sys.prefix).replace(
        '["celery", "-A", "shop", "flower", "--port=$(PORT)"]', '["env"]'
    )
    write_below(rendering(text, "compose"), tmp_path / "out")
    service = expanded(yaml.safe_load((tmp_path / "out" / "compose.yaml").read_text())["services"]["shop-flower"])
    agent, *others = service["volumes"]
    assert mounted(service, str(secrets)) in others
    words = [word.replace(agent["target"], str(tmp_path / "out" / agent["source"])) for word in service["entrypoint"]]
    environment = service["environment"] | {"PROCMAN_RUN_DIRECTORY": str(run)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=100)
    assert "SAME=the $HOME of the file" in done.stdout.splitlines()
    assert service["environment"]["SAME"] == "x"


def test_variable_that_yaml_reads_as_something_else_stays_a_name() -> None:
    environment = services(FULL.replace('SAME = "other"', 'NO = "x"'))["services"]["shop-slow"]["environment"]
    assert environment["NO"] == "x"


def test_dockerfile_copies_the_agent() -> None:
    files = export(FULL, "dockerfile")
    lines = [line for line in files["Dockerfile.procman"].splitlines() if line and not line.startswith("#")]
    assert lines[0] == 'COPY ["agent/", "/usr/local/lib/procman/shop/"]'
    assert lines[1].startswith("RUN install -d -o www-data /var/lib/procman/shop/run/shop-celery-1 ")
    # A new volume gets the owner of its directory in the image.
    assert lines[1].endswith("/shop-celery-beat /var/lib/shop /srv/media /var/cache/media")
    assert len(lines) == 2
    assert files["agent/probe.py"] == agent_source("probe.py")


def test_dockerfile_gives_each_user_its_directories() -> None:
    text = FULL.replace("[command.flower]", '[command.flower]\nuser = "web"\ngroup = "web"').replace(
        '"/srv/media", ', '"/tmp", "/srv/media", '
    )
    line = export(text, "dockerfile")["Dockerfile.procman"].split("RUN ")[1].splitlines()[0]
    assert line.endswith(" && install -d -o web -g web /var/lib/procman/shop/run/shop-flower")
    # Its mode lets everyone write.
    assert "/tmp" not in line.split()
