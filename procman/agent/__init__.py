"""What runs on the project's own Python: syntax of Python 3.6, standard library only, nothing of procman imported."""

LAUNCHER = "launcher.py"
"""The file that starts a program."""

BESIDE_LAUNCHER = (
    "asking.py",
    "beat_hooks.py",
    "environment_file.py",
    "heartbeat.py",
    "notify.py",
    "observed.py",
    "run_files.py",
    "self_healing.py",
    "settings.py",
    "threads.py",
    "verdict.py",
    "worker_hooks.py",
)
"""What it imports from its own directory."""
