"""S2: a secret that was written into a file of procman is not spread; tests/attacks follows one everywhere."""

from __future__ import annotations

from tests.attacks.host import STRANGER, AttackedHost

CANARY = "s2-of-the-canary"
SECTION = "/etc/procman/supervisor/conf.d/catmaid-one.conf"


def test_secret_written_by_hand_is_neither_shown_nor_copied_for_other_users(host: AttackedHost) -> None:
    host.procman("install")
    section = host.path(SECTION)
    section.write_text(section.read_text() + f'environment=DB_PASSWORD="{CANARY}",URL="amqp://guest:{CANARY}@host//"\n')
    shown = [
        host.procman(words, check=False) for words in ("status", "diff -v", "check", "health", "install --dry-run -v")
    ]
    shown += [host.procman("install"), host.procman("history"), host.procman("uninstall")]
    assert not [done.args for done in shown if CANARY in done.stdout + done.stderr]
    assert "***" in shown[1].stdout
    # The file was backed up, readable for root only.
    kept = host.root(f"grep -rl {CANARY} /var/lib/procman").split()
    assert [path.split("/")[5] for path in kept] == ["set-aside"]
    assert host.run(f"cat {kept[0]}", STRANGER, check=False).returncode != 0
