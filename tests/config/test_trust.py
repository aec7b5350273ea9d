"""Which files root may use (S3). Owners are compared with any given uid, so most tests do not need root."""

from __future__ import annotations

import os
import pwd
import struct
from pathlib import Path

import pytest

from procman.config.trust import require_trust, trust_problems
from procman.errors import ConfigurationError

US = frozenset({0, os.geteuid()})
NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.root("only root can give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file that only this user can write to, in such a directory."""
    directory = tmp_path / "project"
    directory.mkdir(mode=0o755)
    path = directory / "procman.toml"
    path.touch(0o644)
    return path


def test_file_that_only_trusted_users_can_write_to_is_trusted(file: Path) -> None:
    assert trust_problems(file, US) == []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o646, "every user can write to {file} (chmod o-w {file})"),
        (0o666, "every user can write to {file} (chmod o-w {file})"),
        (0o602, "every user can write to {file} (chmod o-w {file})"),
    ],
)
def test_world_writable_file_is_not_trusted(file: Path, mode: int, reason: str) -> None:
    file.chmod(mode)
    assert trust_problems(file, US) == [reason.format(file=file)]


def test_world_writable_directory_is_not_trusted(file: Path) -> None:
    file.parent.chmod(0o777)
    assert trust_problems(file, US) == [f"every user can write to {file.parent} (chmod o-w {file.parent})"]


def test_world_writable_directory_further_up_is_not_trusted(file: Path) -> None:
    file.parent.parent.chmod(0o703)
    assert trust_problems(file, US) == [
        f"every user can write to {file.parent.parent} (chmod o-w {file.parent.parent})"
    ]


def test_sticky_directory_is_trusted_further_up_but_not_as_the_parent(file: Path) -> None:
    file.parent.parent.chmod(0o1777)
    assert trust_problems(file, US) == []
    file.parent.chmod(0o1777)
    assert trust_problems(file, US) == [f"every user can write to {file.parent} (move the file elsewhere)"]


def test_every_problem_on_the_way_is_reported(file: Path) -> None:
    file.chmod(0o666)
    file.parent.chmod(0o777)
    assert len(trust_problems(file, US)) == 2


def test_name_with_a_space_is_quoted_in_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "two words"
    path.touch()
    path.chmod(0o646)
    assert trust_problems(path, US) == [f"every user can write to {path} (chmod o-w '{path}')"]


def test_link_is_followed_and_its_directory_is_checked(file: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir(mode=0o755)
    link = links / "procman.toml"
    link.symlink_to("../project/procman.toml")
    assert trust_problems(link, US) == []
    links.chmod(0o1777)
    assert trust_problems(link, US) == [f"every user can write to {links} (move the file elsewhere)"]
    links.chmod(0o755)
    file.chmod(0o646)
    assert trust_problems(link, US) == [f"every user can write to {file} (chmod o-w {file})"]
    file.chmod(0o644)
    file.parent.chmod(0o757)
    assert trust_problems(link, US) == [f"every user can write to {file.parent} (chmod o-w {file.parent})"]


def test_linked_directory_on_the_way_is_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent, target_is_directory=True)
    assert trust_problems(tmp_path / "link" / "procman.toml", US) == []
    file.parent.chmod(0o757)
    assert trust_problems(tmp_path / "link" / "procman.toml", US) != []


def test_link_in_a_sticky_directory_on_the_way_cannot_be_replaced(file: Path, tmp_path: Path) -> None:
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (sticky / "link").symlink_to(file.parent, target_is_directory=True)
    assert trust_problems(sticky / "link" / "procman.toml", US) == []
    sticky.chmod(0o777)
    assert trust_problems(sticky / "link" / "procman.toml", US) != []


def test_circular_links_give_a_message(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ConfigurationError, match="points back to itself"):
        trust_problems(tmp_path / "a", US)


def test_file_of_an_untrusted_user_is_not_trusted(file: Path) -> None:
    others = {os.geteuid() + 1}
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert f"{file} belongs to the user {name} (chown root {file})" in trust_problems(file, others)


@needs_root
def test_file_and_directories_of_a_service_user_are_not_trusted(file: Path) -> None:
    os.chown(file, NOBODY.pw_uid, -1)
    assert trust_problems(file, US) == [f"{file} belongs to the user nobody (chown root {file})"]
    os.chown(file, 0, -1)
    os.chown(file.parent, NOBODY.pw_uid, -1)
    assert trust_problems(file, US) == [f"{file.parent} belongs to the user nobody (chown root {file.parent})"]


@needs_root
def test_link_of_another_user_is_not_trusted(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    os.lchown(link, NOBODY.pw_uid, -1)
    assert trust_problems(link, US) == [f"{link} belongs to the user nobody (chown -h root {link})"]


@needs_root
def test_owner_without_a_name_is_reported_by_number(file: Path) -> None:
    os.chown(file, 65_432, 65_432)
    file.chmod(0o664)
    assert trust_problems(file, US) == [f"{file} belongs to uid 65432 (chown root {file})"]
    assert trust_problems(file, {0, 65_432}) == [f"the group 65432 can write to {file} (chmod g-w {file})"]


@needs_root
def test_writable_group_is_trusted_only_if_all_its_members_are(file: Path) -> None:
    file.chmod(0o664)
    os.chown(file, 0, 0)
    assert trust_problems(file, US) == []
    os.chown(file, 0, pwd.getpwnam("www-data").pw_gid)
    assert trust_problems(file, US) == [f"the group www-data can write to {file} (chmod g-w {file})"]
    assert trust_problems(file, {0, pwd.getpwnam("www-data").pw_uid}) == []


ACCESS_LIST = (
    struct.pack("<I", 2)
    + struct.pack("<HHI", 0x01, 6, 0xFFFFFFFF)  # user::rw-
    + struct.pack("<HHI", 0x02, 6, NOBODY.pw_uid)  # user:nobody:rw-
    + struct.pack("<HHI", 0x04, 4, 0xFFFFFFFF)  # group::r--
    + struct.pack("<HHI", 0x10, 6, 0xFFFFFFFF)  # mask::rw-
    + struct.pack("<HHI", 0x20, 4, 0xFFFFFFFF)  # other::r--
)
"""The attribute that `setfacl -m u:nobody:rw` sets (linux/posix_acl_xattr.h)."""


@needs_root
def test_access_list_that_lets_another_user_write_is_detected(file: Path) -> None:
    assert trust_problems(file, US) == []
    try:
        os.setxattr(file, "system.posix_acl_access", ACCESS_LIST)
    except OSError as error:
        pytest.skip(f"this file system has no access lists: {error}")
    assert trust_problems(file, US) == [f"the group root can write to {file} (chmod g-w {file})"]


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_untrusted_file_is_reported_with_path_culprit_and_remedy(file: Path) -> None:
    file.chmod(0o646)
    with pytest.raises(ConfigurationError) as raised:
        require_trust(file, {"SUDO_UID": str(file.stat().st_uid)})
    assert raised.value.problems == (
        (
            f"{file}: refusing to use this file as root, because other users can modify it: "
            f"every user can write to {file} (chmod o-w {file})"
        ),
    )
    assert raised.value.hint == "Fix that, or move the file to a directory that only root can write to, such as /etc."


@pytest.mark.usefixtures("as_root")
def test_only_the_user_behind_sudo_is_trusted(file: Path) -> None:
    if file.stat().st_uid == 0:
        os.chown(file, NOBODY.pw_uid, -1)
        os.chown(file.parent, NOBODY.pw_uid, -1)
    require_trust(file, {"SUDO_UID": str(file.stat().st_uid)})
    for uid in ("", "12345", "nobody", "-1", "²"):
        with pytest.raises(ConfigurationError):
            require_trust(file, {"SUDO_UID": uid})


def test_other_users_may_use_any_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file.chmod(0o666)
    require_trust(file, {})
