"""Every error that IRISX Usage raises, and the one place where PostgreSQL's become ours.

The engine raises SQLSTATEs of class ``UB``; ``ERRORS`` maps each to a class. Match on the class or
on ``sqlstate``, never on the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class UsageError(Exception):
    """Base of all errors of this package; also raised itself for what has no class of its own.

    sqlstate: five characters, or None when the error did not come from PostgreSQL.
    message: one line. detail, hint: one line each, or None.
    """

    sqlstate: str | None = None

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate or type(self).sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint


class NoRateError(UsageError):
    """No card has a price for this resource, destination and instant."""

    sqlstate = "UB001"


class UnknownTenantError(UsageError):
    """No such tenant, or no such plan."""

    sqlstate = "UB002"


class BadQuantityError(UsageError):
    """A quantity or an amount is NULL, negative, NaN or infinite."""

    sqlstate = "UB003"


class ResourceConflictError(UsageError):
    """The same resource is already recorded with other figures."""

    sqlstate = "UB004"


class BadTermsError(UsageError):
    """The terms of a price have an unknown key, or a value that makes no sense."""

    sqlstate = "UB005"


class PeriodError(UsageError):
    """The period is closed already, or not over yet."""

    sqlstate = "UB006"


class InvoiceStateError(UsageError):
    """The invoice's status does not allow this."""

    sqlstate = "UB007"


class InsufficientCreditError(UsageError):
    """The tenant's balance does not cover this."""

    sqlstate = "UB008"


class MalformedCdrError(UsageError):
    """A switch's call detail record cannot be read."""

    sqlstate = "UB009"


class OverlappingRateError(UsageError):
    """Two prices would be in force for the same card, resource, prefix and instant."""

    sqlstate = "UB010"


class UnknownSourceError(UsageError):
    """No such row, resource or source table."""

    sqlstate = "UB011"


class BadArgumentError(UsageError):
    """An argument is outside what the function accepts."""

    sqlstate = "UB012"


class RateInForceError(UsageError):
    """A price that has begun, or its calendar, is history: followed by another, never changed."""

    sqlstate = "UB013"


class AppendOnlyError(UsageError):
    """A record or entry cannot be changed or deleted."""

    sqlstate = "UB014"


class ReservationEndedError(UsageError):
    """The reservation under this key was settled or released, or has expired."""

    sqlstate = "UB015"


class ReservationBusyError(UsageError):
    """Another transaction is reserving for the same tenant: try again."""

    sqlstate = "UB016"


class MissingExtensionError(UsageError):
    """An extension that this needs (pg_cron, Citus) is not in the database."""

    sqlstate = "UB018"


class ArchiveError(UsageError):
    """A month, or the file it was archived to, is not as it was archived."""

    sqlstate = "UB019"


class ForeignTableError(UsageError):
    """A trigger function was called for another table than the one it was made for."""

    sqlstate = "UB020"


class NotInstalledError(UsageError):
    """The database answers, but IRISX Usage is not in it, or is older than this package."""


class DatabaseUnavailableError(UsageError):
    """No connection could be made, or the one there was has broken."""


class DeployError(UsageError):
    """A migration or a reload was refused or has failed; the message names the file."""


ERRORS: dict[str, type[UsageError]] = {
    error.sqlstate: error
    for error in (
        NoRateError,
        UnknownTenantError,
        BadQuantityError,
        ResourceConflictError,
        BadTermsError,
        PeriodError,
        InvoiceStateError,
        InsufficientCreditError,
        MalformedCdrError,
        OverlappingRateError,
        UnknownSourceError,
        BadArgumentError,
        RateInForceError,
        AppendOnlyError,
        ReservationEndedError,
        ReservationBusyError,
        MissingExtensionError,
        ArchiveError,
        ForeignTableError,
    )
    if error.sqlstate is not None
}

_NOT_INSTALLED = {"3F000", "42P01", "42883", "42703"}  # no such schema, table, function, column
_UNAVAILABLE = {"57P01", "57P02", "57P03", "57P05", "53300", "3D000"}  # ending, full, no database
_UNAVAILABLE_CLASSES = {"08", "28"}  # connection broken, authorization refused
_QUOTING = {"22", "23", "44"}  # a value that is none, a constraint broken


def translate(error: psycopg.Error) -> UsageError:
    """Return psycopg's error as one of ours, its message one line."""
    state = error.sqlstate
    message = first_line(error.diag.message_primary or str(error)) or type(error).__name__
    detail = first_line(error.diag.message_detail)
    hint = first_line(error.diag.message_hint)
    if state in ERRORS:
        return ERRORS[state](message, detail=detail, hint=hint)
    if state in _NOT_INSTALLED:
        return NotInstalledError(
            f"this database has no current IRISX Usage: {message}",
            sqlstate=state,
            detail=detail,
            hint="install or update it: irisx-usage migrate",
        )
    if (
        state in _UNAVAILABLE
        or (state and state[:2] in _UNAVAILABLE_CLASSES)
        or (state is None and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)))
    ):
        return DatabaseUnavailableError(
            message,
            sqlstate=state,
            detail=detail,
            hint="is the server running, and are host, database, user and password right?",
        )
    if state and state[:2] in _QUOTING:
        # What PostgreSQL quotes there, of a value or a row, may be somebody's number.
        message, detail = re.sub(r'".*"', '"..."', message) if state[:2] == "22" else message, None
    return UsageError(message, sqlstate=state, detail=detail, hint=hint)


@contextmanager
def translated() -> Iterator[None]:
    """Raise psycopg's errors inside the block as UsageError."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error
    except UnicodeEncodeError as error:
        # Half a pair of surrogates, as JSON may hold, or bytes of a command line.
        raise BadArgumentError(f"a text cannot be written in {error.encoding}") from None


def first_line(text: str | None) -> str | None:
    """Return the first line of a message, or None when there is no text."""
    return text.strip().splitlines()[0].strip() if text and text.strip() else None
