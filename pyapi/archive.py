"""Months of records go to a file and come back: irisx-usage archive and restore.

The file is CSV with a header, compressed by gzip; COPY writes it and COPY reads it. Beside it lies
its manifest, JSON for people and for the day on which the database is gone: billing.archives holds
the same, and it is by the SHA-256 there that a file is known as this database's, and whole.

Killed at any moment, nothing is lost: a file has its name only when all of it is on the disk, the
table is dropped only when the file was read back and found to be the same, and restoring is one
transaction.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any, BinaryIO

import click
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pyapi import cli
from pyapi.connection import connect
from pyapi.errors import ArchiveError, UsageError, translated

FORMAT = "irisx-usage archive"
FORMAT_VERSION = 1
BLOCK = 1 << 20
EXACT = Context(prec=1_000)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Archive:
    """A month in a file: its name, and what is in it. is_new: false when that was so before."""

    month: str
    file: str
    rows: int
    bytes: int
    sha256: str
    is_new: bool


def archive_month(connection: Connection, month: date, folder: Path) -> Archive:
    """Write a month's records to a file in folder, read it back, and drop their table.

    The month is detached first, when it is not: usage of it that still comes in is set aside.
    connection: in autocommit mode, for each step is a transaction of its own.

    Raises BadArgumentError (no such month), PeriodError (it is not over), ArchiveError, UsageError.
    """
    with translated():
        known = connection.execute(
            "SELECT a.manifest FROM billing.detached_months AS d"
            " INNER JOIN billing.archives AS a ON a.month = d.month AND a.restored_at IS NULL"
            " WHERE d.dropped_at IS NOT NULL AND d.month = %s",
            [month],
        ).fetchone()
        if known:
            return _archive(known[0], is_new=False)
        connection.execute("SELECT billing.detach_closed_month(%s)", [month])
        (manifest,) = _one(connection, "SELECT billing.summarize_month(%s)", [month])
        manifest = {"format": FORMAT, "format_version": FORMAT_VERSION} | manifest
        with _os_errors():
            _write(connection, month, folder, manifest)
        drop = "SELECT billing.drop_month(%s, %s)"
        try:
            connection.execute(drop, [month, Jsonb(manifest)])
        except psycopg.Error as error:
            if error.sqlstate == ArchiveError.sqlstate:
                # What is in it changed meanwhile: nobody would know of this file.
                written = folder / manifest["file"]
                _manifest_of(written).unlink(missing_ok=True)
                written.unlink(missing_ok=True)
            raise
    return _archive(manifest, is_new=True)


def restore_month(connection: Connection, file: Path) -> Archive:
    """Bring the month of a file back, in one transaction. Twice is once.

    Raises ArchiveError for a file that is not, byte for byte, the last one its month was archived
    to by this database; nothing is changed then.
    """
    with _os_errors():
        sha256 = _sha256(file)
    _refuse_damaged(file, sha256)
    with translated(), connection.transaction():
        month, table, manifest = _one(
            connection,
            "SELECT month, table_name, manifest FROM billing.begin_restore(%s)",
            [sha256],
        )
        if table is None:
            return _archive(manifest, is_new=False)
        if manifest["format_version"] != FORMAT_VERSION:
            raise ArchiveError(
                f"format {manifest['format_version']} of {file.name} is not known here",
                hint="use the irisx-usage that wrote it, or a later one",
            )
        # The table is of this transaction: its rows need never be frozen again.
        load = _copy(table, manifest["columns"], "FROM STDIN", ", FREEZE")
        with (
            _os_errors(),
            gzip.open(file) as source,
            connection.cursor() as cursor,
            cursor.copy(load) as copy,
        ):
            while block := source.read(BLOCK):
                copy.write(block)
        connection.execute("SELECT billing.finish_restore(%s)", [month])
    return _archive(manifest, is_new=True)


def _archive(manifest: dict[str, Any], *, is_new: bool) -> Archive:
    names = ("month", "file", "rows", "bytes", "sha256")
    return Archive(**{name: manifest[name] for name in names}, is_new=is_new)


def _copy(table: str, columns: list[str], direction: str, options: str = "") -> sql.Composed:
    """Columns by name, so that a table may have gained some since."""
    statement = f"COPY {{}} ({{}}) {direction} (FORMAT csv, HEADER, ENCODING 'UTF8'{options})"
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL(statement).format(sql.Identifier("billing", table), names)


def _write(connection: Connection, month: date, folder: Path, manifest: dict[str, Any]) -> None:
    """Write file and manifest, and complete the manifest; both are on the disk in the end.

    The file is named after its content, so that it never takes the place of another.
    """
    stem = f"usage_records_{month:%Y_%m}"
    with _draft(folder, stem) as draft:
        sent = hashlib.sha256()
        unload = _copy(stem, manifest["columns"], "TO STDOUT")
        # Without a time and a name in it, the same records make the same file.
        with (
            gzip.GzipFile(
                filename="", mode="wb", compresslevel=4, fileobj=draft, mtime=0
            ) as packed,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            # Instants in UTC and in full, whatever the session's settings.
            cursor.execute("SET LOCAL TimeZone = 'UTC'")
            cursor.execute("SET LOCAL DateStyle = 'ISO'")
            with cursor.copy(unload) as copy:
                for block in copy:
                    sent.update(block)
                    packed.write(block)
        _sync(draft)
        path = Path(draft.name)
        sha256 = _sha256(path)
        manifest |= {
            "file": f"{stem}_{sha256[:12]}.csv.gz",
            "bytes": path.stat().st_size,
            "sha256": sha256,
        }
        _compare(path, sent.hexdigest(), manifest)
        path.replace(folder / manifest["file"])
    with _draft(folder, stem) as draft:
        draft.write(json.dumps(manifest, indent=2).encode() + b"\n")
        _sync(draft)
        Path(draft.name).replace(_manifest_of(folder / manifest["file"]))
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _draft(folder: Path, stem: str) -> Iterator[BinaryIO]:
    """Yield a file under a name of its own; what was not renamed is removed."""
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=f"{stem}_", suffix=".partial", delete=False
    ) as draft:
        try:
            yield draft  # type: ignore[misc]
        finally:
            with suppress(FileNotFoundError):
                Path(draft.name).unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _Hashed(io.RawIOBase):
    """Reads a stream, and takes the SHA-256 of what was read."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._source.read(len(buffer))
        buffer[: len(block)] = block
        self.digest.update(block)
        return len(block)


Sums = dict[tuple[str, ...], list[Decimal]]
"""By currency, channel and resource type: records, quantity, billed quantity, total cost."""


def _read_back(path: Path) -> tuple[str, list[str], int, Sums]:
    """Return the SHA-256 of what is in the file, its columns, how many rows, and their sums."""
    sums: Sums = {}
    rows = 0
    csv.field_size_limit(1 << 30)
    with gzip.open(path) as packed, localcontext(EXACT):
        source = _Hashed(packed)
        text = io.TextIOWrapper(io.BufferedReader(source, BLOCK), encoding="utf-8", newline="")
        lines = csv.reader(text)
        columns = next(lines)
        key = [columns.index(name) for name in ("currency", "channel", "resource_type")]
        figures = [columns.index(n) for n in ("quantity", "billed_quantity", "total_cost")]
        for line in lines:
            rows += 1
            total = sums.setdefault(tuple(line[n] for n in key), [Decimal()] * 4)
            total[:] = (
                total[0] + 1,
                *(total[1 + i] + Decimal(line[n]) for i, n in enumerate(figures)),
            )
    return source.digest.hexdigest(), columns, rows, sums


def _compare(path: Path, sent: str, manifest: dict[str, Any]) -> None:
    """Read the file back: it holds what the server sent, and its sums are the table's."""
    names = ("records", "quantity", "billed_quantity", "total_cost")
    sums = {
        (s["currency"], s["channel"], s["resource_type"]): [Decimal(s[name]) for name in names]
        for s in manifest["sums"]
    }
    found = None
    with suppress(
        gzip.BadGzipFile, zlib.error, EOFError, csv.Error, ValueError, ArithmeticError, LookupError
    ):
        found = _read_back(path)
    if found != (sent, manifest["columns"], manifest["rows"], sums):
        raise ArchiveError(
            "the file that was read back is not what the database holds",
            detail=f"{found[2] if found else 'no'} records were read of {manifest['rows']}",
            hint="nothing was dropped; is the disk in order? archive the month once more",
        )


def _manifest_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".csv.gz") + ".json")


def _refuse_damaged(file: Path, sha256: str) -> None:
    """Tell a file that changed from one of another database, where its manifest lies beside it."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        written = json.loads(_manifest_of(file).read_text(encoding="utf-8"))["sha256"]
        if written != sha256:
            raise ArchiveError(
                f"{file.name} is not as it was written: it was altered or cut short",
                detail=f"its SHA-256 is {sha256}, and was {written}",
                hint="look for another copy of it",
            )


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise what goes wrong with files as UsageError."""
    try:
        yield
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        raise UsageError(
            f"{error.strerror or error}{name}", hint="nothing was dropped or changed"
        ) from error


def _one(connection: Connection, query: str, values: list[Any]) -> Any:
    return connection.execute(query.encode(), values).fetchone()


# Commands


def parse_month(value: str | date) -> date:
    """Parse a month, YYYY-MM. Raises click.BadParameter."""
    try:
        return value if isinstance(value, date) else date.fromisoformat(f"{value}-01")
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a month as in 2025-01") from None


@click.command()
@click.argument("month", type=parse_month)
@click.option(
    "--to",
    "folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=".",
    show_default="here",
    help="The folder for the file.",
)
@cli._database_option
@cli._format_option
def archive(month: date, folder: Path) -> None:
    """Move a month's records to a file: written, read back, then dropped.

    Daily sums stay, so history and balances do. Usage of that month that still comes in is set
    aside until it is restored. Killed at any moment and run again, it goes on.
    """
    with connect(cli._settings().conninfo()) as connection:
        _print(archive_month(connection, month, folder), "archived")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@cli._database_option
@cli._format_option
def restore(file: Path) -> None:
    """Bring an archived month back from its file; twice is once."""
    with connect(cli._settings().conninfo()) as connection:
        _print(restore_month(connection, file), "restored")


def _print(found: Archive, done: str) -> None:
    shown = [
        ("file", found.file),
        ("records", cli.number(found.rows)),
        ("bytes", cli.number(found.bytes)),
        ("sha256", found.sha256),
    ]
    cli._print_one(asdict(found), f"Month {found.month}, {done}", shown)
    if not found.is_new:
        cli._say(f"nothing to do: it was {done} before")
