"""A certificate authority for one cluster, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"


@dataclass(frozen=True)
class Authority:
    """The authority in `directory`, and the files that it has signed there."""

    directory: Path

    @classmethod
    def create(cls, directory: Path) -> Authority:
        """Create the authority, and the key that signs the tokens of service accounts."""
        directory.mkdir(parents=True)
        made = cls(directory)
        made._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", "/CN=procman",
                      "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
        made._openssl("genrsa", "-out", "accounts.key", "2048")
        made._openssl("rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")
        return made

    def path(self, name: str) -> str:
        """Return the path of one of its files."""
        return str(self.directory / name)

    def sign(self, name: str, subject: str, addresses: tuple[str, ...] = ()) -> None:
        """Make NAME.key and NAME.crt for `subject`, such as /O=system:masters/CN=admin."""
        names = ",".join(f"IP:{address}" for address in addresses) or f"DNS:{name}"
        extensions = self.directory / f"{name}.extensions"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject,
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", DAYS, "-extfile", extensions.name, "-out", f"{name}.crt")  # fmt: skip

    def kubeconfig(self, name: str, server: str) -> Path:
        """Write the file with which the program NAME talks to `server`."""
        path = self.directory / f"{name}.kubeconfig"
        certificate, key = self.path(f"{name}.crt"), self.path(f"{name}.key")
        path.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server}", certificate-authority: "{self.path("ca.crt")}"}}}}]
users: [{{name: u, user: {{client-certificate: "{certificate}", client-key: "{key}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
""")
        return path

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.directory, capture_output=True, check=True)
