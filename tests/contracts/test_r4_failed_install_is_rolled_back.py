"""R4: an install that does not become healthy is rolled back to the previous generation; and `rollback` does the same
by hand."""

from __future__ import annotations

import json
import re

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

DIES = ["sh", "-c", "echo the reason; sleep 0.2; exit 3"]
PATIENT, IMPATIENT = ("--wait", "60"), ("--wait", "8")


def sleeping(**seconds: int) -> str:
    """Return commands that sleep for `seconds`, or with 0 a command that prints a reason and exits."""
    return "\n".join(
        f"[command.{name}]\nargv = {json.dumps(['sleep', str(value)] if value else DIES)}"
        for name, value in seconds.items()
    )


def pids(product: Product) -> dict[str, int]:
    return {name.removeprefix("catmaid-"): each["pid"] for name, each in product.status().items()}


def commands(product: Product) -> dict[str, str]:
    """Return the command lines of the processes, by program."""
    return {name: product.command_line(pid) for name, pid in pids(product).items()}


def generations(product: Product) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(product.procman("history", "--json").stdout)["generations"]
    return found


def test_worker_that_dies_after_its_start_is_rolled_back_and_the_end_of_its_log_is_shown(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 1\n[beat]")
    product.procman("install", *PATIENT)
    before = pids(product)
    # A worker notices the missing module only after it has imported the app.
    product.configure("[worker.celery]\nconcurrency = 1\nextra_arguments = ['--include=no_such_module']\n[beat]")
    failed = product.procman("install", "--wait", "25", check=False)
    assert failed.returncode == 1
    assert re.search(r"catmaid-celery: was not healthy within 25 s: .* times?\)", failed.stderr)
    assert "No module named 'no_such_module'" in failed.stderr
    assert "Rolled back to generation 1, which is now generation 3." in failed.stderr
    assert "Now running: catmaid-celery, catmaid-celery-beat." in failed.stderr
    after = product.status()
    # Its restarts before the rollback no longer count.
    worker = after["catmaid-celery"]
    assert (worker["restarts"], worker["health"]["level"]) == (0, "OK")
    assert "no_such_module" not in product.command_line(after["catmaid-celery"]["pid"])
    # Beat was not reached.
    assert after["catmaid-celery-beat"]["pid"] == before["celery-beat"]
    assert "procman.toml differs from the restored generation 1" in product.procman("status").stdout
    assert "no_such_module" in product.procman("diff").stdout


def test_first_failure_ends_the_install_and_programs_not_reached_stay_untouched(product: Product) -> None:
    product.configure(sleeping(a=1000, b=1000, c=1000, d=1000))
    product.environment["SUDO_USER"] = "deploy"
    product.procman("install", *PATIENT, "--message", "3f2a9c1 Sleep\n\nwith redis://:abc@localhost")
    before = pids(product)
    product.configure(sleeping(a=2000, b=0, c=2000, e=2000))
    failed = product.procman("install", *IMPATIENT, check=False)
    assert failed.returncode == 1
    assert "  | the reason" in failed.stderr
    reported = failed.stdout.splitlines()
    assert reported == [
        "catmaid-d: stopped and unloaded",
        "catmaid-a: restarted",
        "catmaid-b: restarted",
        "catmaid-e: was already unloaded",
        "catmaid-a: restarted",
        "catmaid-b: restarted",
        "catmaid-d: added and started",
    ]
    assert {name: line.split()[-1] for name, line in commands(product).items()} == dict.fromkeys("abcd", "1000")
    after = pids(product)
    assert after["c"] == before["c"]
    assert [each["brought_back"] for each in generations(product)] == [None, None, 1]
    assert [(each["by"], each["message"]) for each in generations(product)] == [
        ("deploy", "3f2a9c1 Sleep with redis://:***@localhost"),
        ("deploy", None),
        ("deploy", "catmaid-b failed in generation 2"),
    ]
    shown = product.procman("history").stdout.splitlines()
    assert "  deploy  supervisor " in shown[1]
    assert "  3f2a9c1 Sleep with redis://:***@localhost  oldest" in shown[1]
    assert re.search(r"  -  +\+ catmaid-e", shown[2])
    assert [line[:14].split() for line in shown] == [["GENERATION"], ["1"], ["2"], ["*", "3"]]
    assert shown[2].endswith("+ catmaid-e, - catmaid-d, ~ catmaid-a, ~ catmaid-b, and 1 more")
    assert "rolled back to generation 1; " in shown[3]

    # A second rollback continues from there, and never returns to a generation that was rolled back.
    (product.directory / "s/procman/catmaid/generations/1/made.json").unlink()
    product.configure(sleeping(a=3000, b=1000, c=1000, d=1000))
    product.procman("install", *PATIENT)
    rolled_back = product.procman("rollback", *PATIENT, "-m", "too long")
    assert [each["by"] for each in generations(product)] == [None, *["deploy"] * 4]
    assert generations(product)[-1]["message"] == "too long"
    assert rolled_back.stdout.splitlines()[:2] == [
        "catmaid-a: restarted",
        "catmaid: 1 file updated; rolled back to generation 3 (generation 5)",
    ]
    assert "next      edit" in rolled_back.stdout
    assert commands(product)["a"].endswith("1000")
    nothing_before = product.procman("rollback", check=False)
    assert nothing_before.returncode == 1
    assert "generation 5 has no earlier generation to roll back to" in nothing_before.stderr
    assert "there is no generation 9; available: 1, 2, 3, 4, 5" in product.procman("rollback", "9", check=False).stderr
    difference = product.procman("diff", "--generation", "4", "--exit-code", check=False)
    assert difference.returncode == 1
    assert "sleep 3000" in difference.stdout
    product.procman("rollback", "4")
    assert commands(product)["a"].endswith("3000")
    assert "nothing changed" in product.procman("install", *PATIENT).stdout
    assert generations(product)[-1]["changes"] == ["~ catmaid-a"]


def test_failed_first_install_keeps_healthy_programs_and_removes_the_others(product: Product) -> None:
    product.configure(sleeping(a=0))
    nothing = product.procman("install", *IMPATIENT, check=False)
    assert nothing.returncode == 1
    assert "Stopped and removed, because there is no previous generation: catmaid-a\n" in nothing.stderr
    assert "Nothing is installed now." in nothing.stderr
    assert not (product.directory / "c").exists()
    eventually(lambda: not product.processes(), "no process is left")
    kept = product.procman("install", *IMPATIENT, "--keep-failed", check=False)
    assert kept.stderr.endswith("to remove it: procman uninstall\n")
    product.procman("uninstall")

    idle = "[command.idle]\nargv = ['sleep', '1000']\nautostart = false\n"
    product.configure(sleeping(a=1000) + "\n" + idle + sleeping(b=0, c=1000))
    failed = product.procman("install", *IMPATIENT, check=False)
    assert failed.returncode == 1
    assert "because there is no previous generation: catmaid-b\n" in failed.stderr
    assert list(pids(product)) == ["a", "idle", "c"]
    assert "catmaid-b was removed because it did not become healthy" in product.procman("status").stdout
    a = pids(product)["a"]

    # The same command tries the same again, and --keep-failed keeps the failed program.
    kept = product.procman("install", *IMPATIENT, "--keep-failed", check=False)
    assert kept.returncode == 1
    assert "Nothing was rolled back" in kept.stderr
    assert kept.stderr.endswith("to return to the previous generation: procman rollback\n")
    assert product.status()["catmaid-b"]["state"] in ("BACKOFF", "STARTING", "EXITED")
    product.configure(idle + sleeping(a=1000, b=1000, c=1000))
    product.procman("install", *PATIENT)
    assert pids(product)["a"] == a
    assert "in sync" in product.procman("status").stdout


def test_failed_rollback_is_reported_and_not_repeated(product: Product) -> None:
    needed = product.directory / "needed"
    needed.touch()
    fickle = json.dumps(["sh", "-c", f"test -e {needed} && exec sleep 1000"])
    product.configure(f"[command.a]\nargv = {fickle}")
    product.procman("install", *PATIENT)
    needed.unlink()
    product.configure(sleeping(a=0))
    failed = product.procman("install", *IMPATIENT, check=False)
    assert failed.returncode == 1
    assert failed.stderr.count("catmaid-a: was not healthy within") == 2
    assert "Rolled back to generation 1, which is now generation 3." in failed.stderr
    assert "not healthy after the rollback either: catmaid-a; procman stops here" in failed.stderr
    assert [each["brought_back"] for each in generations(product)] == [None, None, 1]

    # If a rollback cannot be prepared, the new generation stays installed, and that is reported.
    needed.touch()
    product.procman("restart")
    for stored in (product.directory / "s/procman/catmaid/generations/3/files").iterdir():
        stored.write_text("damaged")
    product.configure(sleeping(a=0))
    failed = product.procman("install", *IMPATIENT, check=False)
    assert failed.returncode == 1
    assert "Cannot roll back to generation 3" in failed.stderr
    assert "is missing or damaged" in failed.stderr
    assert "Now running: nothing; catmaid-a: " in failed.stderr


def test_program_stopped_on_purpose_is_not_started_by_a_rollback(product: Product) -> None:
    """R11."""
    product.configure(sleeping(a=1000, b=1000, c=1000))
    product.procman("install", *PATIENT)
    product.procman("stop", "a", "c")
    product.configure(sleeping(a=2000, b=0))
    failed = product.procman("install", *IMPATIENT, check=False)
    assert failed.returncode == 1
    found = product.status()
    assert {name: (each["state"], each["wanted"]) for name, each in found.items()} == {
        "catmaid-a": ("STOPPED", False),
        "catmaid-b": ("RUNNING", True),
        "catmaid-c": ("STOPPED", False),
    }
    product.procman("install", *IMPATIENT, check=False)
    assert product.status()["catmaid-c"]["wanted"] is False
    product.procman("start", "c")
    assert product.status()["catmaid-c"]["wanted"] is True
