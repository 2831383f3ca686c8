"""`runner completion SHELL`: a script that completes commands, flags and their values in a shell."""

from __future__ import annotations

import click

NAMES = ("runner", "runscaler")

_LOAD_COMPLETION_SYSTEM = """\
# A plain ~/.zshrc has not loaded zsh's completion system.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
"""
_FISH_SPLIT, _FISH_SPLIT_ONCE = 'string split ","', 'string split --max 1 ","'


@click.command(
    epilog="""Example: source <(runner completion bash)

    To have it in every new shell, add one line to a file of yours:

    \b
    ~/.bashrc                   source <(runner completion bash)
    ~/.zshrc                    source <(runner completion zsh)
    ~/.config/fish/config.fish  runner completion fish | source"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    click.echo(script(ctx.find_root().command, shell))


def script(program: click.Command, shell: str) -> str:
    """The script for both names of the program."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    sources = [kind(program, {}, name, f"_{name.upper()}_COMPLETE").source() for name in NAMES]
    text = "\n".join(sources)
    if shell == "zsh":
        return _LOAD_COMPLETION_SYSTEM + text
    return text.replace(_FISH_SPLIT, _FISH_SPLIT_ONCE)  # click's own loses what follows a second comma
