#!/usr/bin/env -S python3 -IS
"""A fake `tart` (tart.md 16): the same commands, texts, exit codes, files and locks, without a Mac.

It stands alone: one file, standard library only, imported by nobody. Put on PATH as `tart` (which
`runscaler.testing.fake_tart_home.FakeTart` does) it keeps its VMs in TART_HOME as the real one does; a
VM's "guest" is a process tree of this host that lives in `vms/NAME/guest/` and dies with `tart run`.

    FAKE_TART_HOST     what all TART_HOMEs of one pretended host share: limit, leases, registry, journal
    FAKE_TART_KNOBS    a JSON file, read at every call: latencies, failures, state (class Knobs)

`run` is three kinds of process: the command itself holds the locks and takes the signals; its child is
the guest, which ends everything in it when the command is gone, also by SIGKILL; a child of that serves
each connection to the guest agent. Imports are few, and late where they are slow: it must start fast.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import struct
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    Json = dict[str, Any]

VERSION = "2.32.1"
BUILD = "fake"
ADMIN_HOME = "/Users/admin"
AGENT_PATH = "/bin:/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin"
TOOLS = {"shutdown": "/sbin", "halt": "/sbin", "sudo": "/usr/bin", "pgrep": "/usr/bin", "pkill": "/usr/bin"}
"""What a guest finds under these names and directories is ours: the host's would look at the host."""
DISK_FILES = ("disk.img", "nvram.bin")
NEVER_CLONED = ("control.sock", "runscaler.json", "run.log")
SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
CHUNK = 65536
MEBI, GIGA, GIBI, DAY = 1 << 20, 10**9, 1 << 30, 86400.0

LATENCY: dict[str, float] = {
    "start": 0.0,  # of every command
    "clone": 0.02,
    "set": 0.005,
    "limit": 0.02,  # until `run` learns that the host's limit is reached
    "boot_socket": 0.03,
    "boot_agent": 0.2,  # after boot_socket
    "exec_connect": 0.005,
    "exec_pause": 1.0,  # before the first retry; then 1.6 times the last
    "exec_patience": 30.0,
    "stop": 0.01,
    "delete": 0.005,
    "list": 0.005,
    "get": 0.0,
    "prune": 0.01,
    "pull": 0.2,  # in all, after the manifest
}
"""Seconds that steps take where the knobs say nothing: a Mac's, scaled down; exec's retries unscaled."""

STATE: Json = {
    "version": VERSION,
    "limit": 2,  # running macOS guests on the host
    "leaked": 0,  # so many more the kernel believes in
    "leak_on_kill": False,  # each `run` that was SIGKILLed stays counted until reboot
    "lease_places": 253,
    "lease_seconds": DAY,
    "keychain_locked": False,
    "agent": {},  # VM name (`*` at the end: any that begin so) -> "up" | "never"
    "host_cpu": 0,  # 0 = as many as asked for
    "before_2_31": False,  # list says SizeOnDisk, not Accessed
    "pull_steps": 4,
}

KEYCHAIN_TEXT = "Failed to generate keypair: Interaction is not allowed with the Security Server."
KEYCHAIN_NOTE = (
    "Failed to retrieve credentials using Keychain, authentication may fail: "
    "Keychain returned unsuccessful status -25308"
)
LIMIT_TEXT = "The number of VMs exceeds the system limit"
UNREADABLE = "The data couldn’t be read because it isn’t in the correct format."
STARTED_BADLY = 'Error Domain=VZErrorDomain Code=1 "The virtual machine failed to start." UserInfo={}'
STOPPED_BADLY = 'Error Domain=VZErrorDomain Code=1 "The virtual machine stopped unexpectedly." UserInfo={}'


# --- failures and output ---------------------------------------------------------------------------------


class Failure(Exception):
    """The command ends: `text` on stderr, with `code`."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


def foreign(text: str) -> Failure:
    """An error that is not tart's own, or one of validation (tart.md 4)."""
    return Failure(f"Error: {text}")


def vm_missing(name: str) -> Failure:
    return Failure(f'the specified VM "{name}" does not exist', 2)


def say(text: str) -> None:
    write_all(1, f"{text}\n".encode(errors="surrogateescape"))


def complain(text: str) -> None:
    write_all(2, f"{text}\n".encode(errors="surrogateescape"))


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def swift_json(value: object, chance: Chance) -> str:
    """As Foundation writes it: `"key" : value`, `/` escaped, keys in any order."""
    if isinstance(value, list):
        inner = ",\n".join(swift_json(one, chance) for one in value)
        return f"[\n{inner}\n]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda _: chance.unit())
        return "{\n" + ",\n".join(f'  "{key}" : {swift_json(value[key], chance)}' for key in keys) + "\n}"
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/")


# --- knobs -----------------------------------------------------------------------------------------------


class Chance:
    """Random numbers, the same ones for the same seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._drawn = seed, 0

    def unit(self) -> float:
        return self.integer() / 2**32

    def integer(self) -> int:
        """Below 2³²."""
        self._drawn += 1
        return zlib.crc32(b"%d/%b/%d" % (self._drawn, self._seed, self._drawn))

    def mac(self) -> str:
        """Locally administered, unicast."""
        octets = (self.integer() & 0xFF for _ in range(5))
        return ":".join(f"{octet:02x}" for octet in (self.integer() & 0xFC | 2, *octets))


class Knobs:
    """What `$FAKE_TART_KNOBS` says: {"seed", "latency": {}, "state": {}, "rules": []}.

    A latency is seconds or [seconds, jitter]. A rule is {command, name?, contains?, when, nth?, times?,
    chance?, do, after?, seconds?, code?, text?, stream?, signal?}: see `matching` and `apply`.
    """

    def __init__(self, path: str, host: str) -> None:
        self._host = host
        self._said: Json = {}
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            self._said = json.load(file)
        self.chance = Chance(os.urandom(8))
        self.deaf: set[int] = set()
        """Signals that `run` is to ignore."""

    def about(self, label: str) -> None:
        """Draw this call's random numbers from the seed, if there is one."""
        if "seed" in self._said:
            self.chance = Chance(f"{self._said['seed']} {label} {self._ordinal(label)}".encode())

    def state(self, name: str) -> Any:
        return self._said.get("state", {}).get(name, STATE[name])

    def agent(self, name: str) -> str:
        wanted = [value for key, value in self.state("agent").items() if named_by(key, (name,))]
        return wanted[-1] if wanted else "up"

    def seconds(self, step: str) -> float:
        said = self._said.get("latency", {}).get(step, LATENCY[step])
        base, jitter = said if isinstance(said, list) else (said, 0.0)
        return max(0.0, float(base) + float(jitter) * (2 * self.chance.unit() - 1))

    def pause(self, step: str) -> None:
        time.sleep(self.seconds(step))

    def fire(self, command: str, when: str, names: Iterable[str], argv: Iterable[str] = ()) -> None:
        """Do what the rules say about this moment; raises Failure for `exit`."""
        for rule in self.matching(command, when, names, argv):
            time.sleep(rule.get("after", 0.0))
            self.apply(rule)

    def matching(
        self, command: str, when: str, names: Iterable[str], argv: Iterable[str] = ()
    ) -> Iterator[Json]:
        """The rules for this moment; `nth` and `times` count the moments that the rest of it fits."""
        names, line = tuple(names), " ".join(argv)
        for rule in self._said.get("rules", ()):
            fits = rule["command"] == command and rule.get("when", "before") == when
            if fits and named_by(rule.get("name", "*"), names) and rule.get("contains", "") in line:
                first = rule.get("nth", 1)
                times = rule.get("times", 1 if "nth" in rule else 0)
                ordinal = self._ordinal(str(rule.get("id") or sorted(rule.items())))
                in_turn = ordinal >= first and (not times or ordinal < first + times)
                if in_turn and self.chance.unit() < rule.get("chance", 1.0):
                    yield rule

    def apply(self, rule: Json) -> None:
        deed, text = rule["do"], rule.get("text", "")
        if deed == "exit" and rule.get("stream", "stderr") == "stderr":
            raise Failure(text, rule.get("code", 1))
        if text:
            (say if rule.get("stream") == "stdout" else complain)(text)
        if deed == "exit":
            raise Failure("", rule.get("code", 1))
        if deed == "hang":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            while True:
                time.sleep(3600)
        if deed == "kill":
            os.kill(os.getpid(), rule.get("signal", signal.SIGKILL))
        if deed == "delay":
            time.sleep(rule["seconds"])
        if deed == "ignore":
            self.deaf.add(rule.get("signal", signal.SIGINT))

    def _ordinal(self, label: str) -> int:
        """How often it was asked for this label on this host, this time included."""
        path = os.path.join(self._host, "counts", f"{zlib.crc32(label.encode()):08x}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, b".")
            return os.lseek(fd, 0, os.SEEK_CUR)
        finally:
            os.close(fd)


def named_by(pattern: str, names: tuple[str, ...]) -> bool:
    if pattern.endswith("*"):
        return pattern == "*" or any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


# --- files and locks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def flocked(path: str, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold `flock` on a file or directory; `waiting` is called if another has it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if not try_flock(fd):
            if waiting is not None:
                waiting()
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_owner(path: str) -> int:
    """The process that has the POSIX lock of this file; 0 = none."""
    darwin = sys.platform == "darwin"
    layout = "qqihh" if darwin else "hhqqi4x"
    ask = (0, 0, 0, fcntl.F_RDLCK, 0) if darwin else (fcntl.F_RDLCK, 0, 0, 0, 0)
    fd = os.open(path, os.O_RDWR)
    try:
        answer = struct.unpack(layout, fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(layout, *ask)))
    finally:
        os.close(fd)
    kind, pid = (answer[3], answer[2]) if darwin else (answer[0], answer[4])
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def copy_tree(source: str, target: str) -> None:
    os.mkdir(target)
    for entry in os.scandir(source):
        there = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), there)
        elif entry.is_dir():
            copy_tree(entry.path, there)
        elif entry.is_file():
            copy_file(entry.path, there)
    os.chmod(target, os.stat(source).st_mode & 0o7777 | 0o700)


def copy_file(source: str, target: str) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        while data := old.read(1 << 20):
            new.write(data)
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o7777)


def remove_tree(path: str) -> None:
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def remove_stubborn(path: str) -> None:
    """As `remove_tree`, where somebody may still be writing."""
    for _ in range(200):
        try:
            return remove_tree(path)
        except FileNotFoundError:
            if not os.path.exists(path):
                return None
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        time.sleep(0.01)
    return remove_tree(path)


def write_json(path: str, value: object) -> None:
    """Truncate and write in place: whoever reads meanwhile sees half of it."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value))


def allocated(path: str) -> int:
    """Bytes on disk."""
    status = os.lstat(path)
    inner = sum(allocated(entry.path) for entry in os.scandir(path)) if os.path.isdir(path) else 0
    return status.st_blocks * 512 + (0 if os.path.islink(path) else inner)


# --- virtual machines and images -------------------------------------------------------------------------


class Vm:
    """One local VM: its directory, which may be incomplete or missing."""

    def __init__(self, home: str, name: str, path: str = "") -> None:
        self.home, self.name = home, name
        self.path = path or os.path.join(home, "vms", name)
        self.config_path = self.file("config.json")

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def exists(self) -> bool:
        return os.path.exists(self.config_path)

    def complete(self) -> bool:
        return self.exists() and all(os.path.exists(self.file(name)) for name in DISK_FILES)

    def opened(self) -> Vm:
        if not self.exists():
            raise vm_missing(self.name)
        if not self.complete():
            raise Failure("VM is missing some of its files (config.json, disk.img or nvram.bin)")
        return self

    def config(self) -> Json:
        try:
            with open(self.config_path, encoding="utf-8") as file:
                config: Json = json.load(file)
            octets = [int(octet, 16) for octet in config["macAddress"].split(":")]
        except FileNotFoundError:
            text = "The file “config.json” couldn’t be opened because there is no such file."
            raise foreign(text) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise foreign(UNREADABLE) from None
        if len(octets) != 6 or not all(0 <= octet <= 255 for octet in octets):
            raise foreign(UNREADABLE)
        return config

    def pid(self) -> int:
        """Of the `tart run` that has it. Not to be asked by that one: closing the file frees its lock."""
        try:
            return lock_owner(self.config_path)
        except FileNotFoundError:
            text = "The file “config.json” couldn’t be opened because there is no such file."
            raise foreign(text) from None

    def suspended(self) -> bool:
        return os.path.exists(self.file("state.vzvmsave"))

    def state(self) -> str:
        if self.pid():
            return "running"
        return "suspended" if self.suspended() else "stopped"

    def disk_bytes(self) -> int:
        return os.stat(self.file("disk.img")).st_size


def local_vms(home: str) -> list[Vm]:
    names = sorted(os.listdir(os.path.join(home, "vms")))
    return [vm for vm in (Vm(home, name) for name in names) if vm.complete()]


class Image:
    """HOST/NAMESPACE:TAG or HOST/NAMESPACE@sha256:HEX, and where it lies below a root like cache/OCIs."""

    def __init__(self, text: str) -> None:
        place, self.by_digest, digest = text.partition("@")
        last = place.rpartition("/")[2]
        self.tag = digest if self.by_digest else last.partition(":")[2] or "latest"
        self.place = place if self.by_digest or ":" not in last else place.rpartition(":")[0]
        self.host = self.place.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.place}@{self.tag}" if self.by_digest else f"{self.place}:{self.tag}"

    def path(self, root: str) -> str:
        host, _, namespace = self.place.partition("/")
        return os.path.join(root, host.replace(":", "%3A"), namespace, self.tag)

    def digest(self, root: str) -> str:
        """`sha256:HEX`; empty if it is not there."""
        path = os.path.realpath(self.path(root))
        return os.path.basename(path) if os.path.isdir(path) else ""


def cache_root(home: str) -> str:
    return os.path.join(home, "cache", "OCIs")


def cached_images(home: str) -> list[tuple[str, str]]:
    """(full name, directory), each image under its tags and its digest."""
    found = []
    for folder, names, _ in os.walk(cache_root(home)):
        place = os.path.relpath(folder, cache_root(home)).replace("%3A", ":")
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("sha256:") and not os.path.islink(path):
                found.append((f"{place}@{name}", path))
            elif os.path.islink(path) and os.path.isdir(path):
                found.append((f"{place}:{name}", os.path.realpath(path)))
        names[:] = [name for name in names if not name.startswith("sha256:")]
    return sorted(found)


def collect_garbage(home: str) -> None:
    """Delete what nobody holds in tmp/; two at once get in each other's way, and say so."""
    folder = os.path.join(home, "tmp")
    try:
        for name in os.listdir(folder):
            with_lock = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                if try_flock(with_lock):
                    remove_tree(os.path.join(folder, name))
            finally:
                os.close(with_lock)
    except OSError:
        complain(f"Failed to perform garbage collection: “{name}” couldn’t be removed.")


@contextlib.contextmanager
def temporary(call: Call) -> Iterator[str]:
    """A locked entry of tmp/; what is still there at the end goes."""
    path = os.path.join(call.home, "tmp", uuid())
    os.mkdir(path)
    with flocked(path):
        try:
            yield path
        finally:
            if os.path.exists(path):
                remove_tree(path)


def uuid() -> str:
    digits = os.urandom(16).hex().upper()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# --- the command line ------------------------------------------------------------------------------------


class Syntax:
    """What a command takes; with `rest`, all that follows the first argument belongs to the last."""

    def __init__(self, arguments: str, options: str = "", flags: str = "", *, rest: bool = False) -> None:
        self.arguments = arguments.split()
        self.options, self.flags, self.rest = options.split(), flags.split(), rest


SYNTAX = {
    "list": Syntax("", "--source --format", "--quiet -q"),
    "get": Syntax("name", "--format"),
    "pull": Syntax("remote-name", "--concurrency", "--insecure --deduplicate"),
    "clone": Syntax("source-name new-name", "--concurrency --prune-limit", "--insecure --deduplicate"),
    "set": Syntax("name", "--cpu --memory --display --disk-size", "--random-mac --random-serial"),
    "run": Syntax(
        "name",
        "--dir --disk --net-bridged --net-softnet-allow --net-softnet-block --net-softnet-expose "
        "--root-disk-opts --serial-path",
        "--no-graphics --no-audio --no-clipboard --serial --recovery --vnc --vnc-experimental --rosetta "
        "--nested --net-softnet --net-host --captures-system-keys --suspendable --no-trackpad --no-pointer "
        "--no-keyboard",
    ),
    "exec": Syntax("name command", "", "-i --interactive -t --tty", rest=True),
    "ip": Syntax("name", "--wait --resolver"),
    "stop": Syntax("name", "--timeout -t"),
    "suspend": Syntax("name"),
    "delete": Syntax("name..."),
    "prune": Syntax("", "--entries --older-than --space-budget", "--gc"),
    "fqn": Syntax("name"),
}
WHOLE_NUMBERS = {
    "--concurrency", "--prune-limit", "--cpu", "--memory", "--disk-size", "--wait", "--timeout", "-t",
    "--older-than", "--space-budget",
}  # fmt: skip
CHOICES = {
    "--source": ("local", "oci"),
    "--format": ("text", "json"),
    "--entries": ("caches", "vms"),
    "--resolver": ("dhcp", "arp", "agent"),
}


class Call:
    """One call of the command: its words, its place, its knobs."""

    def __init__(self, command: str, words: list[str]) -> None:
        self.command, self.argv = command, words
        self.home = os.environ.get("TART_HOME") or os.path.expanduser("~/.tart")
        self.host = host_folder(self.home)
        self.knobs = Knobs(os.environ.get("FAKE_TART_KNOBS", ""), self.host)
        self.options: dict[str, str] = {}
        self.words: list[str] = []
        self.stdin = b""
        """What it read so far, for the journal."""
        for folder in ("vms", "tmp", "cache/OCIs", "cache/IPSWs"):
            os.makedirs(os.path.join(self.home, folder), exist_ok=True)

    @property
    def name(self) -> str:
        return self.words[0]

    def has(self, *options: str) -> bool:
        return any(option in self.options for option in options)

    def number(self, option: str, otherwise: int = 0) -> int:
        return int(self.options.get(option, otherwise))

    def fire(self, when: str, command: str = "", names: Iterable[str] = ()) -> None:
        self.knobs.fire(command or self.command, when, names or self.words[:2], self.argv)


def host_folder(home: str) -> str:
    folder = os.environ.get("FAKE_TART_HOST") or os.path.join(home, "fake-host")
    os.makedirs(os.path.join(folder, "running"), exist_ok=True)
    return folder


def parse(call: Call) -> None:
    """Sort the words of the command line; a usage error has code 64."""
    syntax = SYNTAX[call.command]
    words = list(call.argv)
    while words:
        word = words.pop(0)
        if syntax.rest and call.words:
            call.words += [word, *words]
            break
        if word.startswith("-") and word != "-":
            parse_option(call, syntax, word, words)
        else:
            call.words.append(word)
    check_count(call, syntax)


def parse_option(call: Call, syntax: Syntax, word: str, words: list[str]) -> None:
    option, given, value = word.partition("=")
    if option in syntax.flags and not given:
        call.options[option] = ""
        return
    if option not in syntax.options:
        raise usage(call.command, f"Unknown option '{option}'")
    if not given and (not words or words[0].startswith("-")):
        raise usage(call.command, f"Missing value for '{option} <{option.lstrip('-')}>'")
    value = value if given else words.pop(0)
    number = option in WHOLE_NUMBERS and not value.isdecimal()
    if number or value not in CHOICES.get(option, (value,)):
        raise usage(call.command, f"The value '{value}' is invalid for '{option} <{option.lstrip('-')}>'")
    call.options[option] = value


def check_count(call: Call, syntax: Syntax) -> None:
    many = syntax.rest or any(name.endswith("...") for name in syntax.arguments)
    if len(call.words) < len(syntax.arguments):
        missing = syntax.arguments[len(call.words)]
        raise usage(call.command, f"Missing expected argument '<{missing}>'")
    if len(call.words) > len(syntax.arguments) and not many:
        raise usage(call.command, f"Unexpected argument '{call.words[len(syntax.arguments)]}'")


def usage(command: str, text: str) -> Failure:
    arguments = "".join(f" <{name}>" for name in SYNTAX[command].arguments)
    options = " [<options>]" if SYNTAX[command].options or SYNTAX[command].flags else ""
    see = f"  See 'tart {command} --help' for more information."
    return Failure(f"Error: {text}\nUsage: tart {command}{options}{arguments}\n{see}", 64)


# --- commands about what lies on disk --------------------------------------------------------------------


def do_list(call: Call) -> None:
    call.knobs.pause("list")
    source = call.options.get("--source", "")
    rows = [] if source == "oci" else [local_row(call, vm) for vm in local_vms(call.home)]
    if source != "local":
        rows += [image_row(call, name, path) for name, path in cached_images(call.home)]
    if call.has("-q", "--quiet"):
        for row in rows:
            say(row["Name"])
    elif call.options.get("--format") == "json":
        say(swift_json(rows, call.knobs.chance))
    else:
        say("Source Name Disk Size Accessed State")
        for row in rows:
            say(" ".join(str(value) for key, value in row.items() if key != "Running"))


def local_row(call: Call, vm: Vm) -> Json:
    state = vm.state()
    try:
        return row_of(call, "local", vm.name, vm.path, vm.disk_bytes(), state)
    except FileNotFoundError as error:
        file = os.path.basename(error.filename)
        raise foreign(f"The file “{file}” couldn’t be opened because there is no such file.") from None


def image_row(call: Call, name: str, path: str) -> Json:
    return row_of(call, "OCI", name, path, Vm(call.home, name, path).disk_bytes(), "stopped")


def row_of(call: Call, source: str, name: str, path: str, disk: int, state: str) -> Json:
    size = allocated(path) // GIGA
    accessed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(path).st_atime))
    dated = {"SizeOnDisk": size} if call.knobs.state("before_2_31") else {"Accessed": accessed}
    return {
        "Source": source,
        "Name": name,
        "Disk": disk // GIGA,
        "Size": size,
        **dated,
        "Running": state == "running",
        "State": state,
    }


def do_get(call: Call) -> None:
    call.knobs.pause("get")
    vm = Vm(call.home, call.name).opened()
    config, state = vm.config(), vm.state()
    display = config.get("display", {})
    answer = {
        "OS": config["os"],
        "CPU": config["cpuCount"],
        "Memory": config["memorySize"] // MEBI,
        "Disk": vm.disk_bytes() // GIGA,
        "DiskFormat": config.get("diskFormat", "raw"),
        "Size": f"{allocated(vm.path) / GIGA:.3f}",
        "Display": f"{display.get('width', 1024)}x{display.get('height', 768)}",
        "Running": state == "running",
        "State": state,
    }
    if call.options.get("--format") == "json":
        say(swift_json(answer, call.knobs.chance))
    else:
        say(" ".join(answer))
        say(" ".join(str(value) for value in answer.values()))


def do_fqn(call: Call) -> None:
    image = Image(call.name)
    digest = image.digest(cache_root(call.home))
    if "/" not in call.name or not digest:
        raise vm_missing(call.name)
    say(f"{image.place}@{digest}")


def do_pull(call: Call) -> None:
    if Vm(call.home, call.name).exists():
        say(f'"{call.name}" is a local image, nothing to pull here!')
    elif "/" not in call.name:
        raise Failure(f"Error: improper image name: {call.name}")
    else:
        pull(call, Image(call.name))


def pull(call: Call, image: Image) -> None:
    """Copy the image from the host's registry folder into the cache, with the registry's lock held."""
    call.fire("before", "pull", [str(image)])
    say(f"pulling {image}...")
    if call.knobs.state("keychain_locked"):
        say(KEYCHAIN_NOTE)
    say("pulling manifest...")
    registry = os.path.join(call.host, "registry")
    digest = image.digest(registry)
    if not digest:
        details = '{\\"errors\\":[{\\"code\\":\\"MANIFEST_UNKNOWN\\",\\"message\\":\\"manifest unknown\\"}]}'
        text = f'UnexpectedHTTPStatusCode(when: "pulling manifest", code: 404, details: "{details}")'
        raise foreign(text)
    check_login(image, os.path.realpath(image.path(registry)))
    folder = os.path.join(cache_root(call.home), image.host.replace(":", "%3A"))
    os.makedirs(folder, exist_ok=True)
    with flocked(folder, waiting=lambda: say("waiting for lock...")):
        fill_cache(call, image, digest)
    call.fire("after", "pull", [str(image)])


def check_login(image: Image, path: str) -> None:
    try:
        with open(os.path.join(path, "login"), encoding="utf-8") as file:
            wanted = file.read()
    except FileNotFoundError:
        return
    host = os.environ.get("TART_REGISTRY_HOSTNAME", image.host)
    given = ":".join(os.environ.get(f"TART_REGISTRY_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if (host, given) != (image.host, wanted):
        why = "received unexpected HTTP status code 401 while retrieving an authentication token"
        raise foreign(f'AuthFailed(why: "{why}")')


def fill_cache(call: Call, image: Image, digest: str) -> None:
    cached = Image(f"{image.place}@{digest}")
    place, link = cached.path(cache_root(call.home)), image.path(cache_root(call.home))
    if image.digest(cache_root(call.home)) == digest:
        say(f"{cached} image is already cached and linked!")
    elif os.path.isdir(place):
        say(f"{cached} image is already cached! creating a symlink...")
    else:
        download(call, image, place)
    os.utime(place)
    if not image.by_digest:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(digest, link)


def download(call: Call, image: Image, place: str) -> None:
    source = os.path.realpath(image.path(os.path.join(call.host, "registry")))
    steps, seconds = call.knobs.state("pull_steps"), call.knobs.seconds("pull")
    say("pulling disk (24.7 GB compressed)...")
    with temporary(call) as entry:
        for step in range(steps + 1):
            say(f"{100 * step // steps}%")
            if step == steps // 2:
                call.fire("during", "pull", [str(image)])
            time.sleep(seconds / steps if step < steps else 0.0)
        say("pulling NVRAM...")
        copy_tree(source, os.path.join(entry, "image"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(entry, "image", "login"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.rename(os.path.join(entry, "image"), place)


def do_clone(call: Call) -> None:
    source_name, new_name = call.words
    if "/" in new_name:
        raise usage("clone", "<new-name> should be a local name")
    source = source_of_clone(call, source_name)
    with temporary(call) as entry, flocked(call.home):
        mac = source.config()["macAddress"]
        taken = any(vm.config()["macAddress"] == mac for vm in local_vms(call.home))
        made = Vm(call.home, new_name, os.path.join(entry, "vm"))
        copy_vm(source, made)
        if taken and not source.suspended():
            write_json(made.config_path, made.config() | {"macAddress": call.knobs.chance.mac()})
        call.knobs.pause("clone")
        call.fire("during")
        replace_vm(made.path, Vm(call.home, new_name).path, os.path.join(entry, "old"))


def source_of_clone(call: Call, name: str) -> Vm:
    """A local VM, or a cached image, which is pulled first if it is not there."""
    if "/" not in name:
        return Vm(call.home, name).opened()
    image = Image(name)
    if not image.digest(cache_root(call.home)):
        pull(call, image)
    path = os.path.realpath(image.path(cache_root(call.home)))
    os.utime(path)
    return Vm(call.home, name, path).opened()


def copy_vm(source: Vm, made: Vm) -> None:
    """What tart copies, and the guest's files, which the real one has in the disk."""
    os.mkdir(made.path)
    for name in ("config.json", *DISK_FILES):
        copy_file(source.file(name), made.file(name))
    if source.suspended():
        copy_file(source.file("state.vzvmsave"), made.file("state.vzvmsave"))
    if os.path.isdir(source.file("guest")):
        copy_tree(source.file("guest"), made.file("guest"))


def replace_vm(made: str, place: str, aside: str) -> None:
    """Put it in its place, whatever is there, running or not (tart.md 1)."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(place, aside)
    os.rename(made, place)
    if os.path.exists(aside):
        remove_stubborn(aside)


def do_set(call: Call) -> None:
    call.knobs.pause("set")
    vm = Vm(call.home, call.name).opened()
    config = vm.config()
    config.pop("displayRefit", None)
    set_resources(call, config)
    if call.has("--random-mac"):
        config["macAddress"] = call.knobs.chance.mac()
    if call.has("--display"):
        width, _, height = call.options["--display"].partition("x")
        config["display"] = {"width": int(width), "height": int(height)}
    call.fire("during")
    write_json(vm.config_path, config)


def set_resources(call: Call, config: Json) -> None:
    cpu, memory = call.number("--cpu"), call.number("--memory") * MEBI
    least_cpu, least_memory = config.get("cpuCountMin", 1), config.get("memorySizeMin", 1)
    if cpu and cpu < least_cpu:
        text = f"VM should have {least_cpu} CPU cores at minimum (requested {cpu})"
        raise foreign(f"LessThanMinimalResourcesError: {text}")
    if memory and memory < least_memory:
        text = f"VM should have {least_memory} bytes of memory at minimum (requested {memory})"
        raise foreign(f"LessThanMinimalResourcesError: {text}")
    config.update({"cpuCount": cpu} if cpu else {}, **({"memorySize": memory} if memory else {}))


def do_delete(call: Call) -> None:
    for name in call.words:
        call.knobs.pause("delete")
        if "/" in name:
            delete_image(call, name)
        else:
            delete_vm(call, Vm(call.home, name))


def delete_image(call: Call, name: str) -> None:
    image = Image(name)
    link = image.path(cache_root(call.home))
    if not image.digest(cache_root(call.home)):
        raise vm_missing(name)
    path = os.path.realpath(link)
    if os.path.islink(link):
        os.unlink(link)
    siblings = [os.path.join(os.path.dirname(path), name) for name in os.listdir(os.path.dirname(path))]
    if not any(os.path.islink(one) and os.path.realpath(one) == path for one in siblings):
        remove_tree(path)


def delete_vm(call: Call, vm: Vm) -> None:
    """A directory without config.json is "not there", and stays."""
    try:
        fd = os.open(vm.config_path, os.O_RDWR)
    except FileNotFoundError:
        raise vm_missing(vm.name) from None
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Failure(f'VM "{vm.name}" is running') from None
    wait_for_guest(vm)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(vm.config_path)
    call.fire("during", names=[vm.name])
    remove_stubborn(vm.path)
    os.close(fd)


def do_prune(call: Call) -> None:
    """Of the caches only: nobody here should prune VMs."""
    if not call.has("--older-than", "--space-budget", "--gc"):
        raise Failure("Error: at least one pruning criteria must be specified", 64)
    call.knobs.pause("prune")
    if call.options.get("--entries", "caches") != "caches":
        raise Failure("Error: the fake does not prune VMs")
    entries = prunable(call.home)
    if call.has("--older-than"):
        latest = time.time() - call.number("--older-than") * DAY
        prune([path for accessed, path in entries if accessed <= latest])
    if call.has("--space-budget"):
        prune(over_budget(prunable(call.home), call.number("--space-budget") * GIBI))
    call.fire("during")


def prunable(home: str) -> list[tuple[float, str]]:
    """(last access, path) of images and IPSWs, the newest first."""
    folder = os.path.join(home, "cache", "IPSWs")
    paths = {path for _, path in cached_images(home)}
    paths |= {os.path.join(folder, name) for name in os.listdir(folder)}
    return sorted(((os.stat(path).st_atime, path) for path in paths), reverse=True)


def over_budget(entries: list[tuple[float, str]], budget: int) -> list[str]:
    doomed = []
    for _, path in entries:
        size = allocated(path)
        if size <= budget:
            budget -= size
        else:
            doomed.append(path)
    return doomed


def prune(paths: list[str]) -> None:
    for path in paths:
        if os.path.isfile(path):
            os.unlink(path)
            continue
        remove_tree(path)
        folder = os.path.dirname(path)
        for name in os.listdir(folder):
            link = os.path.join(folder, name)
            if os.path.islink(link) and not os.path.exists(link):
                os.unlink(link)


# --- the host: what all TART_HOMEs share -----------------------------------------------------------------


class Host:
    """Who runs macOS guests here, and who has which address. A process holds the `flock` of its entry."""

    def __init__(self, call: Call) -> None:
        self._knobs, self._home, self._folder = call.knobs, call.home, call.host
        self._entry = -1

    def admit(self, vm: Vm, config: Json) -> None:
        """Count this VM; Failure if the host's limit is reached."""
        with self._locked():
            darwin = sum(entry["os"] == "darwin" for entry in self._entries())
            full = darwin + self._knobs.state("leaked") >= self._knobs.state("limit")
            if config["os"] != "darwin" or not full:
                self._enter(vm, config)
                return
        self._knobs.pause("limit")
        others = [one.name for one in local_vms(self._home) if one.name != vm.name and one.pid()]
        hint = f" (other running VMs: {', '.join(others)})" if others else ""
        raise Failure(LIMIT_TEXT + hint)

    def leave(self) -> None:
        with self._locked():
            os.unlink(self._entry_path(os.getpid()))
            os.close(self._entry)
            self._connect()

    def address(self, mac: str) -> str:
        """Empty without a lease."""
        with self._locked():
            lease: Json = self._leases().get(mac, {})
            return str(lease.get("ip", ""))

    def _enter(self, vm: Vm, config: Json) -> None:
        self._entry = os.open(self._entry_path(os.getpid()), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        fcntl.flock(self._entry, fcntl.LOCK_EX)
        entry = {"os": config["os"], "mac": config["macAddress"], "path": vm.path, "name": vm.name}
        os.write(self._entry, json.dumps(entry | {"pid": os.getpid()}).encode())
        self._lease(config["macAddress"])
        self._connect()

    def _entries(self) -> list[Json]:
        """Of the living; those of the dead go, unless the kernel is to leak them."""
        found = []
        for name in os.listdir(os.path.join(self._folder, "running")):
            path = self._entry_path(name)
            with open(path, encoding="utf-8") as file:
                dead = try_flock(file.fileno())
                if dead and not self._knobs.state("leak_on_kill"):
                    os.unlink(path)
                else:
                    found.append(json.loads(file.read() or "{}") | {"dead": dead})
        return [entry for entry in found if "os" in entry]

    def _lease(self, mac: str) -> None:
        leases, now = self._leases(), time.time()
        taken = {lease["ip"] for one, lease in leases.items() if one != mac}
        free = [f"192.168.64.{number}" for number in range(2, 255)]
        ips = [leases[mac]["ip"]] if mac in leases else [ip for ip in free if ip not in taken]
        if mac in leases or len(leases) < self._knobs.state("lease_places"):
            leases[mac] = {"ip": ips[0], "expires": now + self._knobs.state("lease_seconds")}
            write_json(os.path.join(self._folder, "leases"), leases)

    def _leases(self) -> Json:
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self._folder, "leases")) as file:
            return {mac: one for mac, one in json.load(file).items() if one["expires"] > time.time()}
        return {}

    def _connect(self) -> None:
        """A guest without an address, or with another's MAC, is offline: its file `offline` says so."""
        alive = [entry for entry in self._entries() if not entry["dead"]]
        macs, leases = [entry["mac"] for entry in alive], self._leases()
        for entry in alive:
            path = os.path.join(entry["path"], "offline")
            with contextlib.suppress(FileNotFoundError):
                if entry["mac"] not in leases or macs.count(entry["mac"]) > 1:
                    open(path, "w").close()
                else:
                    os.unlink(path)

    def _entry_path(self, name: object) -> str:
        return os.path.join(self._folder, "running", str(name))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with flocked(os.path.join(self._folder, "running")):
            yield


def do_ip(call: Call) -> None:
    vm = Vm(call.home, call.name).opened()
    address = Host(call).address(vm.config()["macAddress"])
    if not address:
        time.sleep(max(1, call.number("--wait")))
        raise Failure("no IP address found" + ("" if vm.pid() else ", is your VM running?"))
    say(address)


# --- run: the command ------------------------------------------------------------------------------------

SIGNALS = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM)


def do_run(call: Call) -> int:
    vm = Vm(call.home, call.name)
    if not vm.exists():
        raise foreign(f'the specified VM "{vm.name}" does not exist')
    vm.opened()
    with flocked(call.home):
        config = without_collision(call, vm)
        lock = os.open(vm.config_path, os.O_RDWR)  # never closed, nor the file opened again: it would unlock
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f'VM "{vm.name}" is already running!', 2) from None
    check_host(call, config)
    host = Host(call)
    host.admit(vm, config)
    try:
        return live(call, vm)
    finally:
        host.leave()


def without_collision(call: Call, vm: Vm) -> Json:
    """The VM's configuration, with a new MAC if a running VM has it."""
    config = vm.config()
    others = [other for other in local_vms(call.home) if other.name != vm.name]
    if any(other.pid() and other.config()["macAddress"] == config["macAddress"] for other in others):
        say("There is already a running VM with the same MAC address!")
        say("Resetting VM to assign a new MAC address...")
        config["macAddress"] = call.knobs.chance.mac()
        write_json(vm.config_path, config)
    return config


def check_host(call: Call, config: Json) -> None:
    if call.knobs.state("keychain_locked"):
        raise Failure(KEYCHAIN_TEXT)
    host_cpu = call.knobs.state("host_cpu")
    if host_cpu and config["cpuCount"] > host_cpu:
        raise Failure(STARTED_BADLY)


def live(call: Call, vm: Vm) -> int:
    """The VM's life; whatever ends it, all of its guest is gone at the return."""
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if vm.suspended():
        say("restoring VM state from a snapshot...")
        os.unlink(vm.file("state.vzvmsave"))
        say("resuming VM...")
    guest = GuestProcess(call, vm)
    try:
        return serve_signals(call, vm, guest)
    finally:
        guest.end()


def serve_signals(call: Call, vm: Vm, guest: GuestProcess) -> int:
    rules = list(call.knobs.matching("run", "during", [vm.name]))
    if rules:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, rules[0].get("after", 0.0)))
    while True:
        number = signal.sigwait(SIGNALS)
        if number in call.knobs.deaf:
            continue
        if number == signal.SIGCHLD and guest.ended():
            return guest.verdict()
        if number == signal.SIGALRM:
            call.knobs.apply(rules[0])
        if number == signal.SIGINT:
            say("Stopping VM...")
            return 0
        if number == signal.SIGUSR1:
            return suspend(vm, guest)
        if number == signal.SIGUSR2:
            say("Requesting guest OS to stop...")
            guest.end()
            return guest.verdict()


def suspend(vm: Vm, guest: GuestProcess) -> int:
    say("pausing VM to take a snapshot...")
    guest.end()
    say("creating a snapshot...")
    open(vm.file("state.vzvmsave"), "w").close()
    say("snapshot created successfully! shutting down the VM...")
    return 0


class GuestProcess:
    """The guest as `run` sees it. It ends when the pipe to it is closed, be it by the death of `run`."""

    def __init__(self, call: Call, vm: Vm) -> None:
        self._mark = f"{os.getpid()}.{time.time_ns()}"
        self._status: int | None = None
        lifeline, self._lifeline = os.pipe()
        held = hold_guest(vm)
        tools = guest_tools(call)
        self._pid = os.fork()
        if not self._pid:
            os.close(self._lifeline)
            become_guest(Guest(call, vm, self._mark, tools), lifeline, held)
        os.close(lifeline)
        os.close(held)

    def ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def end(self) -> None:
        if self._lifeline < 0:
            return
        os.close(self._lifeline)
        self._lifeline = -1
        if self._status is None:
            self._status = os.waitpid(self._pid, 0)[1]
        kill_guest(self._pid, self._mark)

    def verdict(self) -> int:
        if self._status:
            say(f"guest has stopped the virtual machine due to error: {STOPPED_BADLY}")
            return 1
        say("guest has stopped the virtual machine")
        return 0


def hold_guest(vm: Vm) -> int:
    """The guest's own lock, a stopgap of the fake: dying takes it a moment longer than `run`."""
    fd = os.open(vm.file("guest.log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def wait_for_guest(vm: Vm) -> None:
    if os.path.exists(vm.file("guest.log")):
        os.close(hold_guest(vm))


def guest_tools(call: Call) -> str:
    """A folder with those commands that must be the guest's own; made once a host."""
    folder = os.path.join(call.host, "guest-bin")
    if not os.path.isdir(folder):
        made = f"{folder}.{os.getpid()}"
        os.mkdir(made)
        for name in TOOLS:
            with open(os.path.join(made, name), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o755)
                file.write(tool_script(name))
        try:
            os.rename(made, folder)
        except OSError:
            remove_tree(made)
    return folder


def tool_script(name: str) -> str:
    if name in ("shutdown", "halt"):
        return '#!/bin/sh\nkill -USR2 "${FAKE_TART_GUEST%%.*}"\n'
    if name == "sudo":
        return '#!/bin/sh\nwhile case "$1" in -*) true;; *) false;; esac do shift; done\nexec "$@"\n'
    return f"#!/bin/sh\nexec '{sys.executable}' -IS '{os.path.abspath(__file__)}' {name} \"$@\"\n"


# --- run: the guest --------------------------------------------------------------------------------------


def become_guest(guest: Guest, lifeline: int, held: int) -> NoReturn:
    """In the child: a session of its own, nothing open but what it needs; its errors go to guest.log."""
    code = 1
    try:
        os.setsid()
        silence(keep=(lifeline, held), errors=held)
        code = guest.live(lifeline)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        kill_guest(os.getpid(), guest.mark)
        os._exit(code)


def silence(keep: tuple[int, ...], errors: int) -> None:
    """Default signals, no inherited descriptors: they may be locks and pipes of whoever started us."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    low = 3
    for fd in sorted({*keep, null}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1024)


class Guest:
    """The guest's first process: boots, answers on control.sock, serves each connection in a child."""

    def __init__(self, call: Call, vm: Vm, mark: str, tools: str) -> None:
        self.mark = mark
        self._call, self._vm, self._tools = call, vm, tools
        self._home = vm.file("guest")
        self._orders, self._order = -1, -1
        self._servers: set[int] = set()
        self._frozen_until = self._agent_from = 0.0

    def live(self, lifeline: int) -> int:
        """Until the pipe from `run` closes (0), or an order to crash (its code)."""
        self._orders, self._order = os.pipe()
        os.makedirs(os.path.join(self._home, "tmp"), exist_ok=True)
        os.chdir(self._vm.path)
        if select.select([lifeline], [], [], self._call.knobs.seconds("boot_socket"))[0]:
            return 0
        listener = listen("control.sock")
        self._agent_from = time.monotonic() + self._call.knobs.seconds("boot_agent")
        while True:
            watched: list[Any] = [lifeline, self._orders]
            frozen = self._frozen()
            ready, _, _ = select.select([*watched, *([] if frozen else [listener])], [], [], 0.5)
            self._reap()
            if lifeline in ready:
                return 0
            if self._orders in ready and (code := self._obey(os.read(self._orders, CHUNK))):
                return code
            if listener in ready:
                self._accept(listener, lifeline)

    def _accept(self, listener: socket.socket, lifeline: int) -> None:
        connection, _ = listener.accept()
        with connection:
            down = time.monotonic() < self._agent_from or Call("agent", []).knobs.agent(self._vm.name) != "up"
            if down:
                return
            pid = os.fork()
            if not pid:
                listener.close()
                os.close(lifeline)
                self._serve(connection)
            self._servers.add(pid)

    def _serve(self, connection: socket.socket) -> NoReturn:
        try:
            Session(connection, self).serve()
        except OSError:
            pass  # the other end is gone
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(0)

    def _reap(self) -> None:
        for pid in list(self._servers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._servers.discard(pid)

    def _obey(self, lines: bytes) -> int:
        """Orders of a test, from a connection: crash CODE, agent SECONDS, freeze SECONDS."""
        for line in lines.decode().splitlines():
            order, _, value = line.partition(" ")
            if order == "crash":
                return int(value)
            if order == "agent":
                self._agent_from = time.monotonic() + float(value)
                for pid in self._servers:
                    os.kill(pid, signal.SIGTERM)
            if order == "freeze":
                self._frozen_until = time.monotonic() + float(value)
                signal_guest(os.getpid(), self.mark, signal.SIGSTOP)
        return 0

    def _frozen(self) -> bool:
        if self._frozen_until and time.monotonic() >= self._frozen_until:
            self._frozen_until = 0.0
            signal_guest(os.getpid(), self.mark, signal.SIGCONT)
        return self._frozen_until > 0

    def order(self, text: str) -> None:
        os.write(self._order, f"{text}\n".encode())

    def environment(self) -> dict[str, str]:
        return {
            "HOME": self._home,
            "TMPDIR": os.path.join(self._home, "tmp"),
            "USER": "admin",
            "LOGNAME": "admin",
            "SHELL": "/bin/zsh",
            "PATH": f"{self._tools}:{AGENT_PATH}",
            "FAKE_TART_HOST": os.path.abspath(self._call.host),
            "FAKE_TART_GUEST": self.mark,
            "FAKE_TART_OFFLINE": self._vm.file("offline"),
        }

    def translated(self, words: list[str]) -> list[str]:
        """Paths of a Mac in any argument become those of this guest."""
        for name, folder in TOOLS.items():
            words = [word.replace(f"{folder}/{name}", f"{self._tools}/{name}") for word in words]
        return [word.replace(ADMIN_HOME, self._home) for word in words]

    def enter(self, words: list[str]) -> None:
        """Go home, and note the arguments as the agent does."""
        os.chdir(self._home)
        log = os.open("tmp/tart-guest-agent.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        write_all(log, f"exec {json.dumps(words)}\n".encode())
        os.close(log)


def listen(path: str) -> socket.socket:
    """By a relative path: those of a socket are short."""
    import socket

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    return listener


# --- the private protocol between exec and the guest agent ------------------------------------------------
# A frame is a letter, the length of its data (4 bytes), the data. After the SETTINGS frame the client
# sends r(equest) or o(rder), then i(nput), an empty one at its end; the agent sends s(tarted), o(utput),
# e(rror output), at last x (exit code) or f(ailure).


def send_frame(connection: socket.socket, kind: bytes, data: bytes = b"") -> None:
    connection.sendall(kind + struct.pack("!I", len(data)) + data)


def receive_frame(connection: socket.socket) -> tuple[bytes, bytes]:
    """(b"", b"") at the end of the connection."""
    head = receive(connection, 5)
    if len(head) < 5:
        return b"", b""
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], receive(connection, length)


def receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := connection.recv(length - len(data))):
        data += more
    return data


class Session:
    """One connection to the guest agent, in a process of its own."""

    def __init__(self, connection: socket.socket, guest: Guest) -> None:
        self._connection, self._guest = connection, guest
        self._pid = 0
        self._input: int | None = None
        self._waiting, self._input_ends = b"", False
        self._sources: dict[int, bytes] = {}

    def serve(self) -> None:
        self._connection.sendall(SETTINGS_FRAME)
        kind, data = receive_frame(self._connection)
        if kind == b"o":
            self._guest.order(data.decode())
        elif kind == b"r":
            words = [word.decode(errors="surrogateescape") for word in data.split(b"\0")]
            self._run(words[1:], interactive=words[0] == "-i")

    def _run(self, words: list[str], *, interactive: bool) -> None:
        self._guest.enter(words)
        try:
            self._spawn(self._guest.translated(words), interactive=interactive)
        except OSError as error:
            why = str(error.strerror)
            text = why if why.startswith("exec: ") else f"fork/exec {words[0]}: {why.lower()}"
            send_frame(self._connection, b"f", text.encode(errors="surrogateescape"))
            return
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._break())
        send_frame(self._connection, b"s")
        while self._sources:
            self._pump()
        self._report()

    def _spawn(self, words: list[str], *, interactive: bool) -> None:
        environment = self._guest.environment()
        program = found_on_path(words[0], environment["PATH"])
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        in_end, self._input = os.pipe() if interactive else (os.open(os.devnull, os.O_RDONLY), None)
        self._pid = os.posix_spawn(
            program,
            words,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, in_end, 0),
                (os.POSIX_SPAWN_DUP2, out_end, 1),
                (os.POSIX_SPAWN_DUP2, err_end, 2),
            ],
        )
        for fd in (in_end, out_end, err_end):
            os.close(fd)
        if self._input is not None:
            os.set_blocking(self._input, False)
        self._sources = {out: b"o", err: b"e"}

    def _pump(self) -> None:
        writable = [self._input] if self._waiting and self._input is not None else []
        readable: list[Any] = [self._connection, *self._sources]
        ready, room, _ = select.select(readable, writable, [])
        if self._connection in ready:
            self._take_input()
        for fd in [fd for fd in self._sources if fd in ready]:
            data = os.read(fd, CHUNK)
            if data:
                send_frame(self._connection, self._sources[fd], data)
            else:
                del self._sources[fd]
                os.close(fd)
        if room:
            self._feed()

    def _take_input(self) -> None:
        kind, data = receive_frame(self._connection)
        if not kind:
            self._break()
        self._waiting += data
        self._input_ends = self._input_ends or not data
        self._feed()

    def _feed(self) -> None:
        if self._input is None:
            return
        try:
            if self._waiting:
                self._waiting = self._waiting[os.write(self._input, self._waiting) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._waiting = b""
        if self._input_ends and not self._waiting:
            os.close(self._input)
            self._input = None

    def _report(self) -> None:
        """Both streams have ended; the command may go on for a while without them."""
        while not (ended := os.waitpid(self._pid, os.WNOHANG))[0]:
            if select.select([self._connection], [], [], 0.01)[0]:
                self._take_input()
        code = os.waitstatus_to_exitcode(ended[1])
        send_frame(self._connection, b"x", b"%d" % (code if code >= 0 else 255))

    def _break(self) -> NoReturn:
        """The connection is lost: the command is killed, not what it started."""
        os.kill(self._pid, signal.SIGKILL)
        os._exit(0)


def found_on_path(program: str, path: str) -> str:
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = os.path.join(folder, program)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(errno.ENOENT, f'exec: "{program}": executable file not found in $PATH')


# --- the guest's processes -------------------------------------------------------------------------------


class Process:
    __slots__ = ("command", "marked", "name", "parent", "pid")

    def __init__(self, pid: int, parent: int, name: str, command: str, *, marked: bool) -> None:
        self.pid, self.parent, self.name, self.command, self.marked = pid, parent, name, command, marked


def guest_processes(session: int, mark: str) -> list[Process]:
    """All that live and are of this session or have this mark in their environment."""
    return of_proc(session, mark) if os.path.isdir("/proc/self") else of_ps(session, mark)


def of_proc(session: int, mark: str) -> list[Process]:
    found, wanted = [], f"FAKE_TART_GUEST={mark}\0".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            head, _, tail = read_bytes(f"/proc/{name}/stat").rpartition(b")")
            state, parent, _, its_session = tail.split()[:4]
            marked = wanted in read_bytes(f"/proc/{name}/environ")
            if state not in b"ZX" and (marked or int(its_session) == session):
                command = read_bytes(f"/proc/{name}/cmdline").replace(b"\0", b" ").decode(errors="replace")
                comm = head.partition(b"(")[2].decode(errors="replace")
                found.append(Process(int(name), int(parent), comm, command.strip(), marked=marked))
    return found


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def of_ps(session: int, mark: str) -> list[Process]:
    """Where there is no /proc; `ps -E` shows the environment after the command."""
    reader, writer = os.pipe()
    listing = ["/bin/ps", "-axwwE", "-o", "pid=,ppid=,stat=,command="]
    ps = os.posix_spawn(listing[0], listing, {}, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    os.waitpid(ps, 0)
    found = []
    for line in lines:
        pid, parent, state, command = line.split(None, 3)
        marked = f"FAKE_TART_GUEST={mark}" in command.split()
        if not state.startswith("Z") and (marked or session_of(int(pid)) == session):
            name = os.path.basename(command.split()[0])
            found.append(Process(int(pid), int(parent), name, command, marked=marked))
    return found


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def signal_guest(session: int, mark: str, number: int) -> int:
    """How many got it; never the caller itself."""
    count = 0
    for process in guest_processes(session, mark):
        if process.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
                count += 1
    return count


def kill_guest(session: int, mark: str) -> None:
    """Again and again, since they may fork meanwhile."""
    while signal_guest(session, mark, signal.SIGKILL):
        time.sleep(0.001)


def grep_processes(name: str, words: list[str]) -> int:
    """`pgrep` and `pkill` inside a guest: they see the guest alone, and never their own ancestors."""
    import re

    number, options, pattern = signal_and_options(name, words)
    everybody = {process.pid: process for process in of_guest()}
    family = ancestors(os.getpid(), everybody)
    search = re.fullmatch if "x" in options else re.search
    matched = [
        process
        for process in everybody.values()
        if process.pid not in family and search(pattern, process.command if "f" in options else process.name)
    ]
    for process in sorted(matched, key=lambda one: one.pid):
        if name == "pkill":
            os.kill(process.pid, number)
        elif "q" not in options:
            say(f"{process.pid} {process.command}" if options & {"l", "a"} else str(process.pid))
    return 0 if matched else 1


def signal_and_options(name: str, words: list[str]) -> tuple[int, set[str], str]:
    """`-9`, `-TERM` of pkill; the letters of all other options; the pattern."""
    number, options, pattern = int(signal.SIGTERM), set[str](), ""
    for word in words:
        signalled = name == "pkill" and word[:1] == "-" and (word[1:].isdigit() or word[1:].isupper())
        if signalled:
            number = int(word[1:]) if word[1:].isdigit() else signal.Signals[f"SIG{word[1:]}"]
        elif word[:1] == "-":
            options |= set(word[1:])
        else:
            pattern = word
    return number, options, pattern


def ancestors(pid: int, everybody: dict[int, Process]) -> set[int]:
    """The process and its parents, as far as they are known."""
    found = {pid}
    while pid in everybody and everybody[pid].parent not in found:
        pid = everybody[pid].parent
        found.add(pid)
    return found


def of_guest() -> list[Process]:
    mark = os.environ.get("FAKE_TART_GUEST", "")
    return [process for process in guest_processes(-1, mark) if process.marked]


# --- exec, stop, suspend ---------------------------------------------------------------------------------


def do_exec(call: Call) -> int:
    vm = Vm(call.home, call.name)
    if not vm.exists():
        raise vm_missing(vm.name)
    if not vm.pid():
        raise Failure(f'VM "{vm.name}" is not running', 2)
    call.knobs.pause("exec_connect")
    connection = connect(call, vm)
    interactive = call.has("-i", "--interactive")
    words = ["-i" if interactive else "", *call.words[1:]]
    send_frame(connection, b"r", b"\0".join(word.encode(errors="surrogateescape") for word in words))
    return Conversation(call, connection, interactive=interactive).hold()


def connect(call: Call, vm: Vm) -> socket.socket:
    """As grpc does: again and again, with longer and longer pauses."""
    import socket

    os.chdir(vm.path)
    until = time.monotonic() + call.knobs.seconds("exec_patience")
    pause, why = call.knobs.seconds("exec_pause"), ""
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect("control.sock")
            if receive(connection, len(SETTINGS_FRAME)) == SETTINGS_FRAME:
                return connection
            why = "connection closed"
        except OSError as error:
            why = str(error.strerror).lower()
        connection.close()
        if time.monotonic() + pause > until:
            failed = "Failed to connect to the VM using its control socket"
            raise Failure(f"{failed}: {why}, is the Tart Guest Agent running?")
        time.sleep(pause)
        pause *= 1.6


class Conversation:
    """The client's half of an exec."""

    def __init__(self, call: Call, connection: socket.socket, *, interactive: bool) -> None:
        self._call, self._connection = call, connection
        self._interactive, self._reads_input = interactive, False

    def hold(self) -> int:
        """The command's exit code."""
        while True:
            sources: list[Any] = [self._connection, *([0] if self._reads_input else [])]
            ready, _, _ = select.select(sources, [], [])
            if 0 in ready:
                self._send_input()
            if self._connection in ready and (code := self._receive()) is not None:
                return code

    def _send_input(self) -> None:
        data = os.read(0, CHUNK)
        self._reads_input = bool(data)
        self._call.stdin += data
        with contextlib.suppress(ConnectionError):
            send_frame(self._connection, b"i", data)

    def _receive(self) -> int | None:
        try:
            kind, data = receive_frame(self._connection)
        except ConnectionError:
            kind, data = b"", b""
        if kind == b"s":
            self._call.fire("during")
            self._reads_input = self._interactive
        elif kind in (b"o", b"e"):
            write_all(1 if kind == b"o" else 2, data)
        elif kind == b"x":
            return int(data)
        elif kind == b"f":
            raise foreign(f"unknown (2): {data.decode(errors='surrogateescape')}")
        else:
            raise foreign("unavailable (14): Transport became inactive")
        return None


def do_stop(call: Call) -> None:
    vm = Vm(call.home, call.name).opened()
    call.knobs.pause("stop")
    pid = vm.pid()
    if not pid and vm.suspended():
        os.unlink(vm.file("state.vzvmsave"))
        return
    if not pid:
        raise Failure(f'VM "{vm.name}" is not running', 2)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        until = time.monotonic() + call.number("--timeout", call.number("-t", 30))
        while vm.exists() and vm.pid():
            if time.monotonic() >= until:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.1)


def do_suspend(call: Call) -> None:
    vm = Vm(call.home, call.name).opened()
    pid = vm.pid()
    if not pid:
        raise Failure(f'VM "{vm.name}" is not running', 2)
    os.kill(pid, signal.SIGUSR1)
    while vm.pid():
        time.sleep(0.05)


# --- main ------------------------------------------------------------------------------------------------

COMMANDS: dict[str, Callable[[Call], int | None]] = {
    "list": do_list,
    "get": do_get,
    "pull": do_pull,
    "clone": do_clone,
    "set": do_set,
    "run": do_run,
    "exec": do_exec,
    "ip": do_ip,
    "stop": do_stop,
    "suspend": do_suspend,
    "delete": do_delete,
    "prune": do_prune,
    "fqn": do_fqn,
}


class Journal:
    """`calls.jsonl`: a line when a call begins and one when it ends, which a killed one never does."""

    def __init__(self, host: str, words: list[str]) -> None:
        self._path = os.path.join(host, "calls.jsonl")
        self._id = f"{os.getpid()}.{time.time_ns()}"
        home = os.environ.get("TART_HOME", "")
        self._write(argv=words, pid=os.getpid(), start=time.monotonic(), home=home, env=sorted(os.environ))

    def end(self, code: int, stdin: bytes) -> None:
        end, digest = time.monotonic(), ""
        if stdin:
            import hashlib

            digest = hashlib.sha256(stdin).hexdigest()
        self._write(end=end, code=code, stdin_length=len(stdin), stdin_sha256=digest)

    def _write(self, **facts: object) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, json.dumps({"call": self._id, **facts}).encode() + b"\n")
        os.close(fd)


def perform(call: Call) -> int:
    """One command; returns its exit code."""
    if call.command not in SYNTAX:
        raise Failure(f"Error: Unexpected argument '{call.command}'\nUsage: tart <subcommand>", 64)
    if "--help" in call.argv[:1] or "-h" in call.argv[:1]:
        say(f"USAGE: tart {call.command}\n\nThis is a fake of Tart, for tests.")
        return 0
    parse(call)
    call.knobs.about(f"{call.command} {' '.join(call.words[:2])}")
    call.knobs.pause("start")
    if call.command not in ("clone", "pull"):
        collect_garbage(call.home)
    if call.command != "pull":
        call.fire("before")
    code = COMMANDS[call.command](call) or 0
    if call.command != "pull":
        call.fire("after")
    return code


def outcome(call: Call) -> int:
    try:
        return perform(call)
    except Failure as failure:
        if failure.text:
            complain(failure.text)
        return failure.code
    except KeyboardInterrupt:
        complain("Error: CancellationError()")
        return 1
    except OSError as error:
        complain(f"Error: {error.strerror}: {error.filename}")
        return 1


def main(words: list[str]) -> int:
    if words[:1] in (["pgrep"], ["pkill"]):
        return grep_processes(words[0], words[1:])
    call = Call(words[0] if words else "--help", words[1:])
    journal = Journal(call.host, words)
    code = outcome(call) if call.command[:1] != "-" else about(call)
    journal.end(code, call.stdin)
    return code


def about(call: Call) -> int:
    """`--version` and `--help`; rules may speak of the command `--version`."""
    try:
        call.fire("before", names=["--version"])
    except Failure as failure:
        if failure.text:
            complain(failure.text)
        return failure.code
    if call.command == "--version":
        say(f"{call.knobs.state('version')}+{BUILD}")
        return 0
    if call.command in ("--help", "-h"):
        say(f"OVERVIEW: A fake of Tart, for tests.\n\nUSAGE: tart <subcommand> ({', '.join(COMMANDS)})")
        return 0
    complain(f"Error: Unknown option '{call.command}'\nUsage: tart <subcommand>")
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
