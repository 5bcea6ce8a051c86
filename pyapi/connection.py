"""How this package reaches a database: one address in, one connection out."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pyapi.errors import DatabaseUnavailableError, translate

CONNECT_TIMEOUT = 10  # seconds, where the address says nothing
KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A server that is gone without a word, as when its host died, is noticed in a minute."""
STYLES = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
"""How psycopg reads times and intervals, whatever a database or a role has for people."""


def connect(conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a new connection in autocommit mode, READ COMMITTED whatever the database's default.

    conninfo: libpq's URI or keyword form; ``postgresql+driver://`` is read as ``postgresql://``,
    and what it leaves out comes from the PG* variables.

    Raises DatabaseUnavailableError; no message of it ever holds the password.
    """
    address = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", conninfo.strip())
    authority = re.match(r"^\w+://([^/?]*)", address)
    if authority and authority[1].count("@") > 1:
        # libpq would take a part of the password for the host, and print it.
        raise DatabaseUnavailableError(
            "the database's address has more than one @",
            hint="write an @ inside the user name or the password as %40",
        )
    try:
        fields = conninfo_to_dict(address)
    except (psycopg.ProgrammingError, UnicodeEncodeError):
        # libpq quotes the part it cannot read, which may be the password: its text stays here.
        raise DatabaseUnavailableError(
            "the database's address cannot be understood",
            hint="write postgresql://user:password@host:5432/database",
        ) from None
    defaults: dict[str, Any] = {"application_name": "irisx-usage", "client_encoding": "UTF8"}
    if "service" not in fields:
        defaults |= {"connect_timeout": CONNECT_TIMEOUT} | KEEPALIVES
    try:
        connection = psycopg.connect(**(defaults | fields), autocommit=True)
        for name, known in STYLES.items():
            # Reported by every server, of its own accord.
            if not (connection.info.parameter_status(name) or known).startswith(known):
                connection.execute("SELECT set_config(%s, %s, false)", [name, known])
        # Commands wait for others and then look what these wrote: a database or a role may have
        # set that each transaction sees what was there when it began.
        connection.execute("SET default_transaction_isolation = 'read committed'")
    except psycopg.Error as error:
        raise translate(error) from None
    return connection
