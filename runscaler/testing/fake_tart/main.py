"""From words to an exit code."""

from __future__ import annotations

from importlib import import_module

from runscaler.testing.fake_tart.call import SYNTAX, Call, parse
from runscaler.testing.fake_tart.journal import Journal
from runscaler.testing.fake_tart.output import Failure, complain, say
from runscaler.testing.fake_tart.temporary import collect_garbage

BUILD = "fake"

HOMES = {
    "list": "looking",
    "get": "looking",
    "fqn": "looking",
    "pull": "pulling",
    "clone": "cloning",
    "set": "changing",
    "delete": "changing",
    "prune": "pruning",
    "run": "running",
    "stop": "stopping",
    "suspend": "stopping",
    "exec": "executing",
    "ip": "host",
}
"""The module of each command: a call pays for its own alone."""


def command_of(call: Call) -> int | None:
    module = import_module(f"{__package__}.{HOMES[call.command]}")
    result: int | None = getattr(module, f"do_{call.command}")(call)
    return result


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
    code = command_of(call) or 0
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
        from runscaler.testing.fake_tart.guest_tools import grep_processes

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
        say(f"OVERVIEW: A fake of Tart, for tests.\n\nUSAGE: tart <subcommand> ({', '.join(HOMES)})")
        return 0
    complain(f"Error: Unknown option '{call.command}'\nUsage: tart <subcommand>")
    return 64
