"""What runs on the project's own Python: syntax of Python 3.6, standard library only, nothing of procman imported."""

LAUNCHER = "launcher.py"
"""The file that starts a program."""

BESIDE_LAUNCHER = (
    "beat_hooks.py",
    "environment_file.py",
    "heartbeat.py",
    "native_threads.py",
    "queue_poller.py",
    "run_files.py",
    "sd_notify.py",
    "self_healing.py",
    "settings.py",
    "verdict.py",
    "worker_hooks.py",
    "worker_state.py",
)
"""What it imports from its own directory."""
