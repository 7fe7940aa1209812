"""Tries the unpacked image in a namespace of its own, as a container runtime would start it.

`check_image.sh` calls this as root, inside a fresh network namespace (so ports are free), with the image's root
folder, its configuration as JSON and a folder for state. Command, user, environment, health check and stop signal are
the image's own. Read-only is a read-only mount, and is proved before anything else is believed. Standard library only.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DEADLINE = 60.0  # seconds; every wait polls a condition
_READ_ONLY = "Read-only file system"
_PAGE = "http://127.0.0.1:8765"
_BRIDGE = "http://127.0.0.1:3978"
_GATEWAY = "http://127.0.0.1:8766"
_GATEWAY_TOKEN = "a-token-for-this-check"  # noqa: S105  of a stand-in that lives as long as this check

# $1 root, $2 data, $3 user:group, then the command. `exec` to the end: the command is process 1, as in a container.
_ENTER = """
set -e
root=$1 data=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero random urandom; do : >"$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
mount -o remount,ro "$root/dev"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups="${user#*:}" "$root" "$@"
"""


class Broken(Exception):
    """The image does not do what it must; the message says what."""


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked image: its root folder and what `docker image inspect` calls its Config."""

    root: Path
    config: dict[str, Any]

    def command(self, argv: list[str], data: Path, env: dict[str, str], user: str | None = None) -> list[str]:
        """The command line that runs `argv` inside, with only `data` to be written."""
        data.mkdir(parents=True, exist_ok=True)
        owner, group = map(int, self.config["User"].split(":"))
        for path in (data, *data.rglob("*")):
            if path.stat().st_uid == 0:
                shutil_chown(path, owner, group)
        settings = [*self.config["Env"], *(f"{name}={value}" for name, value in env.items())]
        inside = ["env", "-i", "-C", self.config["WorkingDir"], *settings, *argv]
        namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        enter = ["sh", "-c", _ENTER, "sh", str(self.root), str(data), user or self.config["User"]]
        return [*namespaces, *enter, *inside]
