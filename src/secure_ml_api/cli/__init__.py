"""The console script: one file per command group, imported only when its command is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from ..errors import OperatorError
from .output import OUTPUT_LOST, OutputLost

# Command → the file that holds it, and its line in --help; a heavy library is imported by the file that needs it.
COMMANDS = {
    "init": ("init", "Prepare the home: keys, database, example models."),
    "serve": ("serve", "Serve the home's models over HTTP."),
    "clients": ("clients", "Register client applications and look after them."),
    "token": ("token", "Get an access token from a running server."),
    "models": ("models", "Pack trained models and look after the packages."),
    "keys": ("keys", "Look after the keys that sign tokens."),
    "audit": ("audit", "Read, verify and export the audit trail."),
    "backup": ("backup", "Write the home to one file, also while a server runs on it."),
    "restore": ("restore", "Make a home of such a file."),
    "openapi": ("openapi", "Print the OpenAPI 3.1 document."),
    "doctor": ("doctor", "Check configuration, permissions, ports, storage, clock and models."),
    "completion": ("completion", "Print what a shell needs to complete commands and options."),
}


class LazyGroup(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        file, _ = COMMANDS[cmd_name]
        command: click.Command = import_module(f".{file}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="secure-ml-api")
def cli() -> None:
    """Serve trained models behind scoped tokens, exact quotas and signed packages."""


def main() -> None:
    """Run the command line: exit 0 on success, 1 with one line on stderr on failure, 2 on bad usage.

    74 with one line when what a command prints cannot be written.
    """
    try:
        code = cli.main(
            prog_name="secure-ml-api", complete_var="_SECURE_ML_API_COMPLETE", standalone_mode=False
        )  # what a command exits with is returned here
        if isinstance(code, int):
            sys.exit(code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except OperatorError as error:
        click.echo(f"secure-ml-api: {error}", err=True)
        sys.exit(1)
    except OutputLost as lost:
        click.echo(f"secure-ml-api: {lost}", err=True)
        sys.exit(OUTPUT_LOST)
