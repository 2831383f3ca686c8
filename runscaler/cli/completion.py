"""`runner completion SHELL`: a script that completes commands and flags in a shell."""

from __future__ import annotations

import click

NAMES = ("runner", "runscaler")


@click.command(
    epilog="To install it for your user: runner completion bash >> ~/.bashrc (zsh: ~/.zshrc; "
    "fish: ~/.config/fish/completions/runner.fish)."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    program = ctx.find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    for name in NAMES:
        source = kind(program, {}, name, f"_{name.upper()}_COMPLETE").source()
        click.echo(source)
