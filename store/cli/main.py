"""`splitbrain-store`: run a node, and talk to one, from a shell.

Exit codes: 0 done; 1 the store refused or did not answer; 3 the node could not run; 64 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import click

from splitbrain.store.cli import cluster_commands, key_commands
from splitbrain.store.cli.queries import FAILED, USAGE
from splitbrain.store.cli.serve import serve
from splitbrain.store.descriptors import exhausted
from splitbrain.store.wire.datagrams import KEY_BYTES


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A Dynamo key-value store over UDP."""


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
def key(path: Path) -> None:
    """Make a cluster key in a new file PATH."""
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        raise click.UsageError(f"{path} exists; a cluster's key must not be overwritten: choose another path") from None
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the name
        why = getattr(problem, "strerror", None) or problem
        raise click.UsageError(f"can't write {path} ({why}); {exhausted(problem) or 'choose another path'}") from None
    click.echo(f"{path}: give it to every node and client, and to nobody else")


for command in (serve, key_commands.get, key_commands.put, key_commands.delete, key_commands.versions):
    cli.add_command(command)
_of_clusters = (
    cluster_commands.ring,
    cluster_commands.join,
    cluster_commands.leave,
    cluster_commands.hints,
    cluster_commands.status,
)
for command in _of_clusters:
    cli.add_command(command)


def main() -> None:
    """The command, with usage errors as exit code 64."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        code = USAGE
    except click.Abort:
        code = 130
    except BrokenPipeError:
        # `splitbrain-store status | head`: nobody reads on, and the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as problem:
        # Commands explain their own: this is their output, into a file on a full disk, that could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        text = f"can't write the output ({problem.strerror}): what was asked for may be done; give the output more room"
        click.echo(f"splitbrain-store: {text}", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
