"""The code that runs on the project's own Python: Python 3.6 syntax, standard library only, no import of procman."""

LAUNCHER = "launcher.py"
"""The file that starts each program."""

BESIDE_LAUNCHER = (
    "beat_hooks.py",
    "beat_lock.py",
    "broker_digest.py",
    "broker_errors.py",
    "broker_record.py",
    "changed_code.py",
    "environment_file.py",
    "failed_sends.py",
    "graceful_stop.py",
    "handback.py",
    "heartbeat.py",
    "heartbeat_format.py",
    "local_time.py",
    "mapped_file.py",
    "memory_events.py",
    "native_threads.py",
    "own_events.py",
    "pool_ends.py",
    "pool_processes.py",
    "process_end.py",
    "queue_poller.py",
    "reserved_messages.py",
    "routed_queues.py",
    "run_files.py",
    "sd_notify.py",
    "self_healing.py",
    "settings.py",
    "stop_requests.py",
    "strict_json.py",
    "task_record.py",
    "task_recorder.py",
    "variable_rules.py",
    "verdict.py",
    "worker_hooks.py",
    "worker_state.py",
)
"""The files that the launcher imports from its own directory."""
