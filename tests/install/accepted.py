"""Checks that the process managers' own parsers accept the files on disk, at any moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from supervisor.options import ServerOptions

from tests.install import sample

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")


def assert_accepted(base: Path) -> None:
    """Let supervisord and systemd read all files, as they would if they were started now."""
    _read_by_supervisord(base / "etc/supervisor/conf.d")
    units = sorted(str(path) for path in sample.directories(base).units.glob("*.service"))
    if SYSTEMD_ANALYZE and units:
        environment = {"PATH": os.defpath, "SYSTEMD_UNIT_PATH": str(Path(units[0]).parent)}
        command = [SYSTEMD_ANALYZE, "verify", "--man=no", "--recursive-errors=no", *units]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def _read_by_supervisord(included: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        main = Path(directory, "supervisord.conf")
        main.write_text(f"[supervisord]\n[include]\nfiles = {included}/*.conf\n")
        options = ServerOptions()
        options.here = directory
        # A ValueError contains the reason why supervisord would not start.
        options.read_config(str(main))
        names = {group.name for group in options.configroot.supervisord.process_group_configs}
        assert names == {path.stem for path in included.glob("*.conf") if "[program:" in path.read_text()}
