"""One call of the command, and the syntax of its words (docs/tart.md § 4)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.knobs import Knobs
from runscaler.testing.fake_tart.output import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

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


class Call:
    """One call of the command: its words, its place, its knobs."""

    def __init__(self, command: str, words: list[str]) -> None:
        self.command, self.argv = command, words
        self.home = os.path.abspath(os.environ.get("TART_HOME") or os.path.expanduser("~/.tart"))
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
    folder = os.path.abspath(os.environ.get("FAKE_TART_HOST") or os.path.join(home, "fake-host"))
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
