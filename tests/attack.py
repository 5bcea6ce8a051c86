"""Two tenants with data, people with logins, and what an attack is.

An attack is a function that a login runs; what it returns is its loot. Each is tried twice in a
database of its own: as it is, where the loot must be nothing, and after `weakened`, where there
must be some. So the attack is known to be one, and what blocks it is known to be that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from conftest import Cluster
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi.embedded import project

ACME, GLOBEX = 7, 8
MARKS = re.compile("GLOBEX|4479000|77717771", re.IGNORECASE)
"""What only rows of Globex hold (tests/data/two_tenants.sql)."""

PASSWORD = "attacks"
PEOPLE = {
    "reader": "billing_reader",
    "rival": "billing_reader",
    "api": "billing_api",
    "writer": "billing_writer",
    "analyst": "billing_analyst",
    "admin": "billing_admin",
    "nobody": None,
}
"""Logins, and the role that each was granted. The reader is shown Acme, the rival Globex."""


def login(person: str) -> str:
    return f"attacks_{person}"


def two_tenants(cluster: Cluster, name: str) -> None:
    """Fill a migrated database; every login has a schema of its own name."""
    with psycopg.connect(cluster.admin_conninfo(name), autocommit=True) as superuser:
        for person, role in PEOPLE.items():
            if not superuser.execute(
                "SELECT FROM pg_roles WHERE rolname = %s", [login(person)]
            ).fetchone():
                superuser.execute(
                    f"CREATE ROLE {login(person)} LOGIN PASSWORD '{PASSWORD}'".encode()
                )
                if role:
                    superuser.execute(f"GRANT {role} TO {login(person)}".encode())
            superuser.execute(f"CREATE SCHEMA {person} AUTHORIZATION {login(person)}".encode())
    with psycopg.connect(cluster.conninfo(name), autocommit=True) as owner:
        owner.execute((project() / "tests" / "data" / "two_tenants.sql").read_bytes())
        owner.execute(
            f"GRANT SELECT, INSERT, UPDATE ON public.calls, public.messages TO {login('writer')};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {login('writer')};"
        )
        owner.execute("SELECT grant_tenant_access(%s, %s)", [login("reader"), ACME])
        owner.execute("SELECT grant_tenant_access(%s, %s)", [login("rival"), GLOBEX])
        owner.execute("ANALYZE")


@dataclass
class Session:
    """A login's connection, and all that it was told: rows, notices and errors."""

    connection: psycopg.Connection[tuple[Any, ...]]
    name: str
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection.add_notice_handler(lambda diag: self._note(diag))

    def run(self, *statements: str, values: Sequence[object] | None = None) -> list[Any]:
        """Run each; the rows of the last, an only column as it is."""
        rows: list[Any] = []
        for statement in statements:
            try:
                cursor = self.connection.execute(statement.encode(), values)
            except psycopg.Error as error:
                self._note(error.diag)
                raise
            rows = cursor.fetchall() if cursor.description else []
            self.told += map(repr, rows)
        return [row[0] if len(row) == 1 else row for row in rows]

    def survive(self, *statements: str) -> str | None:
        """Run until one fails; its SQLSTATE."""
        try:
            self.run(*statements)
        except psycopg.Error as error:
            return error.sqlstate
        return None

    def leaks(self) -> list[str]:
        """What it was told of Globex."""
        return [text for text in self.told if MARKS.search(text)]

    def _note(self, diag: psycopg.errors.Diagnostic) -> None:
        parts = (diag.message_primary, diag.message_detail, diag.message_hint, diag.context)
        self.told.append("\n".join(filter(None, parts)))


@dataclass
class Target:
    """A database under attack."""

    cluster: Cluster
    dbname: str

    @classmethod
    def of(cls, cluster: Cluster, conninfo: str) -> Target:
        return cls(cluster, str(conninfo_to_dict(conninfo)["dbname"]))

    @contextmanager
    def session(self, person: str) -> Iterator[Session]:
        """person: one of PEOPLE, or owner, or superuser."""
        if person == "owner":
            conninfo = self.cluster.conninfo(self.dbname)
        else:
            conninfo = self.cluster.admin_conninfo(self.dbname)
        if person in PEOPLE:
            conninfo = make_conninfo(conninfo, user=login(person), password=PASSWORD)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SET statement_timeout = '30s'")
            yield Session(connection, person)

    def superuser(self, *statements: str) -> list[Any]:
        """{owner} is who owns the schema."""
        with self.session("superuser") as session:
            (owner,) = session.run(
                "SELECT quote_ident(nspowner::regrole::text) FROM pg_namespace"
                " WHERE nspname = 'billing'"
            )
            return session.run(*(text.replace("{owner}", owner) for text in statements))


@dataclass(frozen=True)
class Attack:
    """by: who tries. weakened: what the superuser does to the copy on which it works, and undone:
    to roles afterwards, which all databases share. stopped_by: the SQLSTATE by which it ends on the
    real one; None: it ends with nothing to show."""

    name: str
    by: str
    weakened: str
    stopped_by: str | None
    undone: str
    run: Callable[[Session, Target], Any]

    def try_on(self, target: Target) -> None:
        with target.session(self.by) as session:
            try:
                loot, state = self.run(session, target), None
            except psycopg.Error as error:
                loot, state = None, error.sqlstate
            assert not loot, f"it worked: {loot}"
            assert state == self.stopped_by, session.told[-3:]
            if self.by in ("reader", "api", "nobody", "writer"):
                assert not session.leaks()
        target.superuser(self.weakened)
        try:
            with target.session(self.by) as session:
                assert self.run(session, target), "it does not work even where nothing prevents it"
        finally:
            if self.undone:
                target.superuser(self.undone)


class Attacks(list[Attack]):
    """The attacks of a file."""

    def __call__(
        self, by: str, weakened: str, stopped_by: str | None = None, undone: str = ""
    ) -> Callable[[Callable[[Session, Target], Any]], Callable[[Session, Target], Any]]:
        def add(run: Callable[[Session, Target], Any]) -> Callable[[Session, Target], Any]:
            self.append(Attack(run.__name__.strip("_"), by, weakened, stopped_by, undone, run))
            return run

        return add
