"""``completion``: what a shell needs to complete this program's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .output import echo

PROGRAM = "secure-ml-api"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    For bash: secure-ml-api completion bash > ~/.local/share/bash-completion/completions/secure-ml-api
    """
    from . import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    echo(kind(cli, {}, PROGRAM, "_SECURE_ML_API_COMPLETE").source())
