"""Build Kubernetes from Debian's source package, once, below .cache/kubernetes: 12 minutes of one processor."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.celery_environments import CACHE

DIRECTORY = CACHE / "kubernetes"
BINARIES = DIRECTORY / "bin"
ROOT = DIRECTORY / "root"
"""Where Debian's packages are unpacked: Go, etcd, containerd, runc and the CNI plugins."""

VERSION = "1.20.2"
SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
PACKAGES = (
    *("golang-1.19-go", "golang-1.19-src", "golang-github-modern-go-reflect2-dev"),
    *("etcd-server", "containerd", "runc", "containernetworking-plugins"),
)
REFLECT = "github.com/modern-go/reflect2"
"""The version in the source dereferences nil with Go 1.18 and later; Debian's package is a later one."""

TAG = "+k8s:openapi-gen"
NOT_PUBLISHED = ("code-generator", "sample-apiserver", "gengo", "kube-openapi")
"""Directories of vendor/k8s.io with the tag, whose types the server does not publish."""

PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

// What holds the namespaces of a pod: it ends on TERM and reaps orphans.
func main() {
	ended := make(chan os.Signal, 8)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for each := range ended {
		if each != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
"""


def binaries() -> Path:
    """Return the directory of the programs in `SERVERS`, and of `pause`, after building them if needed."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (DIRECTORY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (DIRECTORY / "complete").exists():
            _unpack()
            _generate()
            _build()
            (DIRECTORY / "complete").touch()
    return BINARIES


def _unpack() -> None:
    for name in ("apt/state/lists/partial", "apt/cache/archives/partial", "debs", "root", "bin"):
        (DIRECTORY / name).mkdir(parents=True, exist_ok=True)
    sources = "".join(
        f"{kind} [signed-by={KEYRING}] http://deb.debian.org/debian {SUITE} main\n" for kind in ("deb", "deb-src")
    )
    (DIRECTORY / "sources.list").write_text(sources)
    _apt("update")
    _apt("--download-only", "source", "kubernetes", where=DIRECTORY / "debs")
    _apt("download", *PACKAGES, where=DIRECTORY / "debs")
    for package in sorted((DIRECTORY / "debs").glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(ROOT)])
    source = _source()
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    [archive] = (DIRECTORY / "debs").glob("kubernetes_*.orig.tar.gz")
    _run(["tar", "-xzf", str(archive), "-C", str(source), "--strip-components=1"])
    shutil.rmtree(source / "vendor" / REFLECT)
    shutil.copytree(ROOT / "usr/share/gocode/src" / REFLECT, source / "vendor" / REFLECT)


def _generate() -> None:
    """Write the only generated file that the source does not have: the schemas that the server publishes."""
    source, generator = _source(), DIRECTORY / "openapi-gen"
    _go("build", "-o", str(generator), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen", where=source)
    tagged = {
        str(file.parent.relative_to(source))
        # `vendor` has links to `staging`, which a pattern with ** would not follow.
        for place in (source / "pkg", *(source / "vendor/k8s.io").iterdir())
        for file in place.rglob("*.go")
        if place.name not in NOT_PUBLISHED and f"{TAG}=" in file.read_text(encoding="utf-8")
    }
    words = [
        *(str(generator), "--logtostderr", "-O", "zz_generated.openapi"),
        *("-i", ",".join(f"k8s.io/kubernetes/{each}" for each in sorted(tagged))),
        *("-p", "k8s.io/kubernetes/pkg/generated/openapi", "-r", str(DIRECTORY / "violations")),
        *("-h", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"),
    ]
    _run(words, where=source, environment=_environment())


def _source() -> Path:
    # Debian builds in a GOPATH, without modules.
    return DIRECTORY / "gopath/src/k8s.io/kubernetes"


def _build() -> None:
    package = "k8s.io/kubernetes/vendor/k8s.io/component-base/version"
    settings = {"gitVersion": f"v{VERSION}", "gitMajor": "1", "gitMinor": VERSION.split(".")[1]}
    flags = ["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in settings.items())]
    for name in SERVERS:
        print(f"building {name}", flush=True)
        _go("build", "-ldflags", " ".join(flags), "-o", str(BINARIES / name), f"./cmd/{name}", where=_source())
    pause = DIRECTORY / "gopath/src/pause"
    pause.mkdir(exist_ok=True)
    (pause / "main.go").write_text(PAUSE)
    _go("build", "-ldflags", "-s -w", "-o", str(BINARIES / "pause"), ".", where=pause)


def _go(*words: str, where: Path) -> None:
    _run([str(ROOT / "usr/lib/go-1.19/bin/go"), *words], where=where, environment=_environment())


def _environment() -> dict[str, str]:
    go = ROOT / "usr/lib/go-1.19"
    return {
        **os.environ,
        "PATH": f"{go}/bin:{os.environ['PATH']}",
        "GOROOT": str(go),
        "GOPATH": str(DIRECTORY / "gopath"),
        "GOCACHE": str(DIRECTORY / "gocache"),
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
    }


def _apt(*words: str, where: Path = DIRECTORY) -> None:
    options = {
        "Dir::Etc::SourceList": DIRECTORY / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": DIRECTORY / "apt/state",
        "Dir::Cache": DIRECTORY / "apt/cache",
        "APT::Sandbox::User": "root",
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", "--quiet", "--quiet", *given, *words], where=where)


def _run(words: Sequence[str], where: Path | None = None, environment: dict[str, str] | None = None) -> None:
    # At the lowest priority: what else runs on the machine goes first.
    done = subprocess.run(["nice", "-n", "19", *words], cwd=where, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"exit status {done.returncode} of {' '.join(words)}")
