"""Runs one call: from its command line to its exit code."""

from __future__ import annotations

from importlib import import_module

from runscaler.testing.fake_tart.call import Call
from runscaler.testing.fake_tart.journal import Journal
from runscaler.testing.fake_tart.output import Failure, complain, say
from runscaler.testing.fake_tart.syntax import SYNTAX, parse
from runscaler.testing.fake_tart.tmp_entries import collect_garbage

BUILD = "fake"


def main(words: list[str]) -> int:
    if words[:1] in (["pgrep"], ["pkill"]):
        from runscaler.testing.fake_tart.guest_tools import grep_processes

        return grep_processes(words[0], words[1:])
    call = Call(words[0] if words else "--help", words[1:])
    journal = Journal(call.host, words)
    code = exit_code(call) if call.command[:1] != "-" else show_information(call)
    journal.end(code, call.stdin)
    return code


def exit_code(call: Call) -> int:
    """Run the command; its failures become output and an exit code."""
    try:
        return run(call)
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


def run(call: Call) -> int:
    if call.command not in SYNTAX:
        raise Failure(f"Error: Unexpected argument '{call.command}'\nUsage: tart <subcommand>", 64)
    if "--help" in call.argv[:1] or "-h" in call.argv[:1]:
        say(f"USAGE: tart {call.command}\n\nThis is a fake of Tart, for tests.")
        return 0
    parse(call)
    call.knobs.seed_for(f"{call.command} {' '.join(call.words[:2])}")
    call.knobs.pause("start")
    if call.command not in ("clone", "pull"):
        collect_garbage(call.home)
    if call.command != "pull":
        call.fire("before")
    command = import_module(f"{__package__}.commands.{call.command}")  # no call loads the others
    code: int = command.run(call) or 0
    if call.command != "pull":
        call.fire("after")
    return code


def show_information(call: Call) -> int:
    """`--version` and `--help`. Rules for a command named `--version` apply to both."""
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
        say(f"OVERVIEW: A fake of Tart, for tests.\n\nUSAGE: tart <subcommand> ({', '.join(SYNTAX)})")
        return 0
    complain(f"Error: Unknown option '{call.command}'\nUsage: tart <subcommand>")
    return 64
