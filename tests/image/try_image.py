"""Tries the unpacked image in fresh namespaces, as a container runtime would start the image.

`check_image.sh` runs the script as root, inside a fresh network namespace (so ports are free), with the image's root
folder, the output of `buildah inspect` and a folder for state. Command, user, environment, health check and stop
signal are the image's own. The root file system is mounted read-only, and a check proves the mount first.
Standard library only, so that the script runs without a set-up.
"""

from __future__ import annotations

import ast
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_DEADLINE = 60.0  # seconds; every wait polls a condition
_READ_ONLY = "Read-only file system"
_PAGE = "http://127.0.0.1:8765"
_BRIDGE = "http://127.0.0.1:3978"
_GATEWAY = "http://127.0.0.1:8766"
_TOKEN = "a-token-for-this-check"
_ALICE = f"{_PAGE}/api/chats/personal-alice/messages"

# $1 root, $2 data, $3 user:group, then the command. `exec` to the end: the command is process 1, as in a container.
_ENTER = """
set -e
root=$1 data=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero random urandom; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mount -o remount,ro "$root/dev"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups="${user#*:}" "$root" "$@"
"""

# Prints the rights of process 1 from inside the container, where a leftover id or capability would show.
_RIGHTS = """
import json, os
wanted = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs")
lines = (line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"pid": os.getpid(), **{name: rest.split() for name, rest in lines if name in wanted}}))
"""

# Prints whether sources were found, shipped sources without bytecode, and shipped build tools.
_SHIPPED = """
import importlib.util, pathlib, sys
sources = [path for path in pathlib.Path(sys.prefix).rglob("*.py")]
cold = [str(p) for p in sources if not pathlib.Path(importlib.util.cache_from_source(p)).exists()]
tools = [name for name in ("pip", "setuptools", "hatchling", "pytest") if
         any(pathlib.Path(sys.prefix).glob(f"lib/python*/site-packages/{name}"))]
print(len(sources) > 1000, cold[:3], tools)
"""


class Broken(Exception):
    """The image fails a check; the message names the observation."""


@dataclass(frozen=True, slots=True)
class Box:
    """The image with a writable data folder and a set of environment variables."""

    root: Path
    config: Mapping[str, Any]
    data: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, *inside: str, user: str | None = None) -> list[str]:
        """The command line to run `inside` as process 1 of a container."""
        if not self.data.exists():
            self.data.mkdir(parents=True)
            # a runtime gives a new volume the owner of the image's folder
            owner = (self.root / "data").stat()
            os.chown(self.data, owner.st_uid, owner.st_gid)
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in self.env.items())]
        namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
        enter = ["sh", "-c", _ENTER, "sh", str(self.root), str(self.data), user or self.config["User"]]
        return [*namespaces, *enter, "env", "-i", "-C", self.config["WorkingDir"], *variables, *inside]

    def run(self, *inside: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        command = self.command(*inside, user=user)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE)

    @contextmanager
    def running(self, *inside: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command in the background for the time of the block; its output goes to `log`."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.command(*inside), stdout=log, stderr=log)
            try:
                yield process
            finally:
                # the kernel drops --kill-child when the user changes; the end of process 1 ends its whole namespace
                if process.poll() is None:
                    os.kill(_process_one(process), signal.SIGKILL)
                process.wait()

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")


def main(root: Path, config: Mapping[str, Any], state: Path) -> None:
    """Run all checks in order, up to the first failure. Raises: Broken."""
    state.mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    box = Box(root, config, state / "bridge")
    _check_rights(box)
    _check_read_only(box)
    _check_contents(box)
    _check_settings_are_asked_for(box)
    teams = Box(root, config, state / "teams")
    gateway = Box(root, config, state / "gateway")
    serve_gateway = ("teams-bridge", "simulate", "gateway", "--token", _TOKEN)
    with teams.running("teams-bridge", "simulate", "teams"), gateway.running(*serve_gateway):
        _until("the simulator serves", lambda: _answers(_PAGE) and _answers(_GATEWAY))
        settings = _printed_settings(teams.log) | {
            "GOCLAW_URL": _GATEWAY,
            "GOCLAW_TOKEN": _TOKEN,
            "GOCLAW_AGENT": "demo",
            "COLUMNS": "200",
        }
        box = Box(root, config, state / "bridge", settings)
        _check_doctor(box, "will be made in /data")
        _check_manifest(box)
        _check_run(box)
    _print("all of it worked")


def _check_rights(box: Box) -> None:
    seen = json.loads(_ok(box.run("python3", "-c", _RIGHTS)))
    user, group = box.config["User"].split(":")
    expected = {
        "pid": 1,
        "Uid": [user] * 4,
        "Gid": [group] * 4,
        "Groups": [group],
        "CapPrm": ["0" * 16],
        "CapEff": ["0" * 16],
        "NoNewPrivs": ["1"],
    }
    _require(seen == expected and int(user) >= 10000, f"rights are {seen}")
    _print(f"process 1 is {user}:{group}, without capabilities")


def _check_read_only(box: Box) -> None:
    for user in (box.config["User"], "0:0"):
        for path in ("/x", "/tmp/x", "/opt/bridge/x"):  # noqa: S108  must be refused
            refused = box.run("touch", path, user=user)
            _require(refused.returncode != 0 and _READ_ONLY in refused.stderr, f"touch {path} as {user}: {refused}")
    _ok(box.run("touch", "/data/x"))
    _print("root file system read-only, for root too (touch /x fails); /data can be written")


def _check_contents(box: Box) -> None:
    shipped = _ok(box.run("python3", "-c", _SHIPPED)).strip()
    _require(shipped == "True [] []", f"sources, some without bytecode, build tools: {shipped}")
    for secret in ("etc/pip.conf", "run/secrets/ca", "root/.cache/pip", "src", "tools"):
        _require(not (box.root / secret).exists(), f"/{secret} is in the image")
    authorities = box.root / "etc/ssl/certs/ca-certificates.crt"
    _require(authorities.is_file(), "the base has no CA certificates")
    source = (Path(__file__).parents[2] / "bridge" / "__init__.py").read_text(encoding="utf-8")
    wanted = ast.literal_eval(source.rpartition("__version__ = ")[2])
    version = _ok(box.run("teams-bridge", "version")).strip()
    _require(version == wanted, f"version {version} instead of {wanted}")
    python = _ok(box.run("python3", "--version")).strip()
    _print(f"teams-bridge {version} on {python}, all bytecode there, no build tools, no secrets")


def _check_settings_are_asked_for(box: Box) -> None:
    refused = box.run(*box.config["Cmd"])
    _require(refused.returncode == 2 and "TEAMS_APP_ID: is not set" in refused.stderr, str(refused))
    _print("run without settings: exit code 2, says which")


def _check_doctor(box: Box, store: str) -> None:
    found = box.run("teams-bridge", "doctor")
    _require(found.returncode == 0 and store in found.stdout, f"doctor: {found.stdout}{found.stderr}")
    for line in found.stdout.splitlines():
        _print(f"doctor   {line}")


def _check_manifest(box: Box) -> None:
    _print("manifest " + _ok(box.run("teams-bridge", "manifest")).strip())
    with zipfile.ZipFile(box.data / "appPackage.zip") as package:
        names = sorted(package.namelist())
    _require(names == ["color.png", "manifest.json", "outline.png", "vi.json", "zh.json"], f"the package holds {names}")


def _check_run(box: Box) -> None:
    health = box.config["Healthcheck"]["Test"]
    _require(health[0] == "CMD", f"the health check needs a shell: {health}")
    _require(box.run(*health[1:]).returncode == 1, "the health check passes without a bridge")
    with box.running(*box.config["Cmd"]) as process:
        _until("the bridge is healthy", lambda: box.run(*health[1:]).returncode == 0, process, box.log)
        _print("run: healthy by the image's own health check")
        listening = _listening()
        _require((3978, "00000000") in listening and (3979, "0100007F") in listening, f"listeners: {listening}")
        _print("listeners: 0.0.0.0:3978, and the admin listener on 127.0.0.1:3979 only")
        public = Box(box.root, box.config, box.data, {**box.env, "BRIDGE_PUBLIC_URL": _BRIDGE})
        _check_doctor(public, "in use by a running bridge")
        _require(_request(_ALICE, {"as": "alice", "text": "I'm Alice"})[0] == 201, "the chat page refuses")
        _until("the agent answers", lambda: any("Alice" in text for text in _bot_texts()), process, box.log)
        _print("a message went through Teams' protocol to the agent and its answer came back")
        started = time.monotonic()
        os.kill(_process_one(process), signal.Signals[box.config["StopSignal"]])
        code = process.wait(_DEADLINE)
        took = time.monotonic() - started
    lines = box.log.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    _require(code == 0 and "stopped" in events, f"after {box.config['StopSignal']}: exit code {code}, log {events}")
    _print(f"{box.config['StopSignal']}: ended in order after {took:.1f} s, exit code 0")
    store = (box.data / "bridge.db").stat()
    _require(f"{store.st_uid}:{store.st_gid}" == box.config["User"], "the store belongs to somebody else")
    _require(store.st_mode & 0o077 == 0, "others can read the store")


def _printed_settings(log: Path) -> dict[str, str]:
    lines = (line.strip() for line in log.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if line.startswith("TEAMS_"))


def _bot_texts() -> list[str]:
    messages = json.loads(_request(_ALICE)[1])["messages"]
    return [message["text"] for message in messages if message["from"]["bot"]]


def _listening() -> set[tuple[int, str]]:
    """Listening IPv4 ports, each with its address as in /proc/net/tcp (hexadecimal, little-endian)."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {(int(row[1][9:], 16), row[1][:8]) for row in rows if row[3] == "0A"}


def _process_one(unshare: subprocess.Popen[bytes]) -> int:
    """The host's process id of the container's process 1, the only child of `unshare`."""
    return int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())


def _request(address: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST if there is a body."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.netloc, timeout=5)
    try:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if content else {}
        connection.request("POST" if content else "GET", where.path or "/", content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _answers(address: str) -> bool:
    try:
        return _request(address)[0] > 0
    except OSError:
        return False


def _until(
    what: str, holds: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not holds():
        gone = process is not None and process.poll() is not None
        if gone or time.monotonic() > deadline:
            raise Broken(f"not seen: {what}\n{log.read_text() if log else ''}")
        time.sleep(0.2)


def _ok(result: subprocess.CompletedProcess[str]) -> str:
    _require(result.returncode == 0, f"{result.args[-3:]}: {result.stdout}{result.stderr}")
    return result.stdout


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())["Docker"]["config"], Path(sys.argv[3]))
    except Broken as broken:
        sys.exit(f"BROKEN: {broken}")
