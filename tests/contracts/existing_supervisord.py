"""A supervisord that existed before procman, with programs that procman does not manage."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.product import Product, eventually


class ExistingSupervisord:
    """A supervisord that existed before procman, with a program that procman does not manage."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.directory = product.directory / "etc"
        self.include = self.directory / "conf.d"
        self.include.mkdir(parents=True)
        self.configuration = self.directory / "supervisord.conf"
        self.write(
            "supervisord.conf",
            f"""
            [supervisord]
            logfile={self.directory}/supervisord.log
            pidfile={self.directory}/supervisord.pid
            [unix_http_server]
            file={self.directory}/sock
            [rpcinterface:supervisor]
            supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
            [supervisorctl]
            serverurl=unix://{self.directory}/sock
            [include]
            files=conf.d/*.conf
            """,
        )
        self.write("conf.d/other.conf", "[program:other]\ncommand=sleep 1000\n")

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    def start(self) -> None:
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)]
        subprocess.run(command, check=True, env=self.product.environment, cwd=self.directory)
        eventually(lambda: self.ctl("pid").returncode == 0, "supervisord answers")

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.configuration), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def pid(self, name: str) -> int:
        return int(self.ctl("pid", name).stdout)


def documented_by_catmaid(existing: ExistingSupervisord) -> Path:
    """Write CATMAID's documented programs: in a group, and with the stop timeout that loses tasks."""
    script = existing.write(
        "run-celery.sh",
        f"""
        #!/bin/bash
        ENVDIR={existing.product.virtualenv}
        DJANGODIR={existing.product.code}
        DJANGO_SETTINGS_MODULE=mysite.settings
        cd $DJANGODIR
        source $ENVDIR/bin/activate
        export DJANGO_SETTINGS_MODULE=$DJANGO_SETTINGS_MODULE
        export PYTHONPATH=$DJANGODIR:$PYTHONPATH
        export DEMO_DATA_DIRECTORY={existing.product.data}
        exec celery -A mysite worker -l info
        """,
    )
    script.chmod(0o755)
    return existing.write(
        "conf.d/catmaid.conf",
        f"""
        ; the web application
        [program:catmaid-app]
        command=sleep 1000

        [program:catmaid-celery]
        command={script}
        stopasgroup=true
        stopwaitsecs=10
        startsecs=1

        [group:catmaid]
        programs=catmaid-app,catmaid-celery
        """,
    )
