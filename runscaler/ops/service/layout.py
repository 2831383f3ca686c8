"""Where services, configurations and logs are, for the whole host or for one user."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Layout:
    """`is_user` tells services of a user from those of the host. `root` stands for /, so that an image or a
    test can have a tree of its own; `uid`, `gid`, `account` and `home` are the user's."""

    is_user: bool
    uid: int
    gid: int
    account: str
    home: Path
    root: Path = Path("/")

    @classmethod
    def of_this_process(cls, *, is_user: bool, root: Path = Path("/")) -> Self:
        entry = _entry(os.geteuid())
        account, fallback = (entry.pw_name, entry.pw_dir) if entry else (str(os.geteuid()), "/")
        home = Path(os.environ.get("HOME") or fallback)
        return cls(is_user, os.geteuid(), os.getegid(), account, home, root)

    @classmethod
    def of_account(cls, account: str, *, root: Path = Path("/")) -> Self:
        """A user's services. Raises KeyError if there is no such account."""
        entry = pwd.getpwnam(account)
        return cls(True, entry.pw_uid, entry.pw_gid, account, Path(entry.pw_dir), root)

    @property
    def is_whole_host(self) -> bool:
        """Whether root is the host's own, and only the superuser may write there."""
        return not self.is_user and self.root == Path("/")

    @property
    def etc_config(self) -> Path:
        return self.root / "etc/runner/config.toml"

    @property
    def user_config(self) -> Path:
        return self.home / ".config/runner/config.toml"

    @property
    def config(self) -> Path:
        """Where the configuration of a service of this level belongs."""
        return self.user_config if self.is_user else self.etc_config

    @property
    def legacy_config(self) -> Path:
        return self.root / "etc/runscaler/config.toml"

    @property
    def units(self) -> Path:
        return self.home / ".config/systemd/user" if self.is_user else self.root / "etc/systemd/system"

    @property
    def plists(self) -> Path:
        folder = "Library/LaunchAgents" if self.is_user else "Library/LaunchDaemons"
        return (self.home if self.is_user else self.root) / folder

    @property
    def launchd_log(self) -> Path:
        return self.home / "Library/Logs/runner.log" if self.is_user else self.root / "var/log/runner.log"

    def give(self, path: Path) -> None:
        """Make a new file or folder the user's, if this process is the superuser and the user is not."""
        if self.is_user and os.geteuid() == 0 and self.uid != 0:
            os.chown(path, self.uid, self.gid)

    def make_folder(self, path: Path) -> list[Path]:
        """Make a folder and its missing parents; returns what was made, outermost first."""
        if path.exists():
            return []
        made = self.make_folder(path.parent)
        path.mkdir(mode=0o755)
        self.give(path)
        return [*made, path]


def _entry(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None
