"""Starts a server of its own and shows what metering costs."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from bench.micro import measure_micro
from bench.stage import SETTINGS, Stage, WrongResultError
from pyapi.embedded import Server, ServerError

console = Console(width=None if sys.stdout.isatty() else 132)


@contextmanager
def _stage(pg: int | None) -> Iterator[Stage]:
    """A server that ends with us, whatever happens."""
    # /tmp may lie in memory, where fsync costs nothing.
    place = "/var/tmp" if Path("/var/tmp").is_dir() else None
    server = Server(Path(tempfile.mkdtemp(prefix="irisx-bench-", dir=place)), pg, **SETTINGS)
    try:
        yield Stage(server.start())
    except (WrongResultError, ServerError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        server.destroy()


@click.group()
def main() -> None:
    """Measure what metering costs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@main.command()
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--updates", default=4000, show_default=True, help="How many of each kind.")
def micro(pg: int | None, updates: int) -> None:
    """Microseconds of the backend's CPU for each single-row UPDATE, in under a minute."""
    with _stage(pg) as stage:
        console.print(measure_micro(stage, updates))


if __name__ == "__main__":
    main()
