"""The command line of each command, and the errors of wrong usage (docs/tart.md § 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.output import Failure

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

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
    """What a command takes. With `rest`, everything after the first argument belongs to the last one."""

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


def parse(call: Call) -> None:
    """Split the command line into the call's `words` and `options`; raises usage errors."""
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
        raise usage_error(call.command, f"Unknown option '{option}'")
    if not given and (not words or words[0].startswith("-")):
        raise usage_error(call.command, f"Missing value for '{option} <{option.lstrip('-')}>'")
    value = value if given else words.pop(0)
    number = option in WHOLE_NUMBERS and not value.isdecimal()
    if number or value not in CHOICES.get(option, (value,)):
        text = f"The value '{value}' is invalid for '{option} <{option.lstrip('-')}>'"
        raise usage_error(call.command, text)
    call.options[option] = value


def check_count(call: Call, syntax: Syntax) -> None:
    many = syntax.rest or any(name.endswith("...") for name in syntax.arguments)
    if len(call.words) < len(syntax.arguments):
        missing = syntax.arguments[len(call.words)]
        raise usage_error(call.command, f"Missing expected argument '<{missing}>'")
    if len(call.words) > len(syntax.arguments) and not many:
        raise usage_error(call.command, f"Unexpected argument '{call.words[len(syntax.arguments)]}'")


def usage_error(command: str, text: str) -> Failure:
    """With code 64."""
    arguments = "".join(f" <{name}>" for name in SYNTAX[command].arguments)
    options = " [<options>]" if SYNTAX[command].options or SYNTAX[command].flags else ""
    see = f"  See 'tart {command} --help' for more information."
    return Failure(f"Error: {text}\nUsage: tart {command}{options}{arguments}\n{see}", 64)
