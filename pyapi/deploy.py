"""Installs, updates and removes the SQL of IRISX Usage.

Versioned changes (db/migrations) are yoyo migrations, each applied once, in its own transaction.
Functions, views and triggers (db/functions, db/triggers) are reloaded whole whenever their text
changes. Rights and policies (db/access) are applied where they are not what was applied last. All
of it happens on one connection that holds one advisory lock, so two runs serialise, and a killed
run leaves nothing behind: the server drops the lock with the connection.
"""
# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

import hashlib
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg import sql
from yoyo import internalmigrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import Migration, MigrationList, StepCollector

from pyapi.connection import connect
from pyapi.errors import DeployError, NotInstalledError, first_line, translate

STAGES = ("measure", "rate", "record", "summarize", "report", "credit", "invoice", "operate")

# "billing" as a number: the advisory lock that every run takes, one per database.
LOCK = int.from_bytes(b"billing", "big")

# Seconds between the attempts at a lock that the application holds.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
BUSY = (pg.LockNotAvailable, pg.DeadlockDetected)

Connection = psycopg.Connection[tuple[Any, ...]]
OnStep = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Report:
    """What a run did: file names below db/, in the order of doing; objects by their SQL names."""

    migrations: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.migrations or self.reloaded or self.removed)


@dataclass(frozen=True)
class _File:
    path: str  # below db/, with forward slashes: the name in messages and in billing.deployed_files
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrate(
    conninfo: str,
    *,
    role: str | None = None,
    lock_timeout: str = "3s",
    on_step: OnStep = lambda message: None,
    folder: Path | None = None,
) -> Report:
    """Bring a database to the state of the SQL folder; nothing to do is fine.

    conninfo: libpq's URI or keyword form, completed by the PG* variables.
    role: who is to own it all, where that is not who logs in: it need not be able to.
    lock_timeout: the longest that a statement may wait for a lock of the application, and so the
    longest that the application can wait behind it, in PostgreSQL's notation.
    on_step: called with one line of text after each step.
    folder: another SQL folder than the package's own.

    Raises DeployError (the message names the file) when a landed migration was edited or is
    missing, when a migration has no rollback, when a file fails, and when a lock is not to be had
    after several attempts; DatabaseUnavailableError.
    """
    migrations, reloadable, access = _read(folder or sql_folder())
    with _locked(conninfo, on_step) as connection:
        # As who logged in: an owner without login seldom may.
        access.make_roles(connection)
        _become(connection, role)
        _prepare(connection, lock_timeout)
        deployed = dict(
            connection.execute("SELECT path, sha256 FROM billing.deployed_files").fetchall()
        )
        _refuse_changed_history(migrations, deployed)
        yoyo = _Yoyo(connection, lock_timeout)
        applied = []
        for migration in yoyo.to_apply(MigrationList(map(_WholeFile, migrations))):
            path = migration.file.path
            _retry(path, partial(yoyo.apply_one, migration))
            applied.append(path)
            on_step(f"applied {path}")
        reloaded, removed = _retry(
            "reloading functions and triggers",
            partial(_reload, connection, lock_timeout, reloadable),
        )
        if reloaded:
            on_step(f"reloaded {len(reloaded)} of {len(reloadable)} function and trigger files")
        granted = _retry(
            "rights and policies", partial(_apply_access, connection, lock_timeout, access)
        )
        if granted:
            on_step("applied rights and policies")
            if missing := access.missing(connection):
                on_step(_advice(missing))
        return Report(tuple(applied), (*reloaded, *granted), removed)


def uninstall(
    conninfo: str,
    *,
    drop_data: bool = False,
    role: str | None = None,
    lock_timeout: str = "3s",
    on_step: OnStep = lambda message: None,
    folder: Path | None = None,
) -> Report:
    """Stop metering, then remove functions and views; keep the data unless drop_data.

    Triggers go first, in a transaction of their own: from then on the application runs as if
    nothing had ever been installed. Its own tables are never dropped. What the kept tables need
    (a function in a CHECK) stays with them, and so do the roles: they belong to the cluster, whose
    other databases may use them. A later migrate() brings everything back.

    Raises NotInstalledError, DeployError, DatabaseUnavailableError.
    """
    _, reloadable, access = _read(folder or sql_folder())
    names = _defined_names(reloadable)
    with _locked(conninfo, on_step) as connection:
        _become(connection, role)
        if not _exists(connection, "billing.deployed_files"):
            raise NotInstalledError(
                "nothing to uninstall: this database has no IRISX Usage",
                hint="is it the right database?",
            )
        triggers = _retry("removing triggers", partial(_drop_triggers, connection, lock_timeout))
        on_step(f"removed {len(triggers)} triggers")
        _retry("taking rights back", partial(_remove_access, connection, lock_timeout, access))
        if roles := access.existing(connection):
            on_step(f"took rights and policies back; roles stay: {', '.join(roles)}")
        if drop_data:
            _retry("dropping schema billing", partial(_drop_schema, connection, lock_timeout))
            on_step("dropped schema billing and all its data")
            return Report(removed=(*triggers, "schema billing"))
        objects, kept = _retry(
            "removing functions and views", partial(_drop_objects, connection, lock_timeout, names)
        )
        on_step(f"removed {len(objects)} functions and views; tables and data stay")
        if kept:
            on_step(f"kept what something that stays needs: {', '.join(kept)}")
        return Report(removed=(*triggers, *objects))


@dataclass(frozen=True)
class Roles:
    """The roles of db/access/roles.sql: those there, and what an administrator has left to run."""

    existing: tuple[str, ...]
    missing: tuple[str, ...]
    statements: tuple[str, ...]


def make_roles(connection: Connection, folder: Path | None = None) -> Roles:
    """Create the roles that are missing, as far as the connection's own role may."""
    access = _read(folder or sql_folder())[2]
    access.make_roles(connection)
    return _roles(connection, access)


def find_roles(connection: Connection, folder: Path | None = None) -> Roles:
    """Return which roles there are, and change nothing."""
    return _roles(connection, _read(folder or sql_folder())[2])


def _roles(connection: Connection, access: _Access) -> Roles:
    existing = access.existing(connection)
    missing = tuple(name for name in access.names if name not in existing)
    return Roles(existing, missing, access.missing(connection))


def sql_folder() -> Path:
    """Return the package's SQL folder: inside it in a wheel, beside it in a checkout.

    Raises DeployError when there is neither.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "db", package.parent / "db"):
        if (folder / "migrations").is_dir():
            return folder
    raise DeployError("the SQL files of IRISX Usage are missing", hint="reinstall the package")


# The folder


def _read(folder: Path) -> tuple[list[_File], list[_File], _Access]:
    """Return the migrations, the reloadable files in the order of loading, and who may do what."""

    def files(below: str, wanted: Callable[[Path], bool] = lambda path: True) -> list[_File]:
        return [
            _File(f"{below}/{path.name}", path.read_text(encoding="utf-8"))
            for path in sorted((folder / below).glob("*.sql"))
            if wanted(path)
        ]

    migrations = files("migrations", lambda path: not path.name.endswith(".rollback.sql"))
    if not migrations:
        raise DeployError(f"no migrations in {folder}", hint="is it the SQL folder?")
    for file in migrations:
        if not (folder / _rollback_path(file.path)).is_file():
            raise DeployError(
                f"{file.path} has no rollback", hint=f"write {_rollback_path(file.path)}"
            )
    for path in sorted((folder / "functions").iterdir()):
        if path.suffix == ".sql" or (path.is_dir() and path.name not in STAGES):
            raise DeployError(
                f"functions/{path.name} is in no stage", hint=f"the stages are {', '.join(STAGES)}"
            )
    # A folder without them leaves every right to its owner.
    access = _Access(
        *files("access") or [_File(f"access/{name}.sql", "") for name in _Access.__annotations__]
    )
    reloadable = [file for stage in STAGES for file in files(f"functions/{stage}")]
    return migrations, reloadable + files("triggers"), access


def _rollback_path(path: str) -> str:
    return path.removesuffix(".sql") + ".rollback.sql"


def _defined_names(files: list[_File]) -> set[str]:
    """Return the names of the functions and views that files define in schema billing."""
    pattern = re.compile(
        r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE|AGGREGATE|VIEW)\s+billing\.(\w+)",
        re.IGNORECASE | re.MULTILINE,
    )
    return {name.lower() for file in files for name in pattern.findall(file.text)}


def _refuse_changed_history(migrations: list[_File], deployed: dict[str, str]) -> None:
    known = {file.path: file for file in migrations}
    for path, sha256 in sorted(deployed.items()):
        if not path.startswith("migrations/"):
            continue
        if path not in known:
            raise DeployError(
                f"{path} is applied in this database, but unknown to this version",
                hint="the database is newer than the code: update the code",
            )
        if known[path].sha256 != sha256:
            raise DeployError(
                f"{path} was edited after it had been applied",
                hint="restore its text, and put the change into a new migration",
            )


# One run at a time, on one connection


@contextmanager
def _locked(conninfo: str, on_step: OnStep) -> Iterator[Connection]:
    """Yield the run's only connection, which holds the lock until it closes, however it ends."""
    try:
        with connect(conninfo) as connection:
            connection.add_notice_handler(lambda notice: on_step(_spoken(notice)))
            # What a role, a database or PGOPTIONS may have set must not end or alter a run.
            connection.execute(
                "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_session_timeout = 0;"
                "SET idle_in_transaction_session_timeout = 0; SET client_min_messages = warning;"
                "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET search_path = billing, public;"
            )
            with suppress(pg.InvalidParameterValue):  # not on every platform
                # A killed client's statement ends within seconds, and its lock with it.
                connection.execute("SET client_connection_check_interval = '2s'")
            taken = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
            if taken != (True,):
                on_step("waiting for another run to end")
                connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            yield connection
    except psycopg.Error as error:
        raise translate(error) from error


@contextmanager
def _transaction(connection: Connection, lock_timeout: str) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout])
        yield


def _retry(what: str, attempt: Callable[[], Result]) -> Result:
    """Return attempt()'s result, tried again with growing pauses while others hold its locks."""
    for pause in PAUSES:
        try:
            return attempt()
        except BUSY:
            time.sleep(pause)
    try:
        return attempt()
    except BUSY as error:
        raise DeployError(
            f"{what}: a lock was not to be had in {len(PAUSES) + 1} attempts",
            sqlstate=error.sqlstate,
            hint="end long transactions (see pg_stat_activity), then run it again",
        ) from error


def _run(connection: Connection, file: _File) -> None:
    """Execute a file in the current transaction. Raises DeployError with its name and line."""
    try:
        # Without parameters psycopg sends the text as it stands: many statements, % and all.
        connection.execute(file.text.encode())
    except psycopg.Error as error:
        if isinstance(error, BUSY) or error.sqlstate is None:  # try again; the connection broke
            raise
        position = error.diag.statement_position
        line = f":{file.text.count(chr(10), 0, int(position)) + 1}" if position else ""
        raise DeployError(
            f"{file.path}{line}: {first_line(error.diag.message_primary or str(error))}",
            sqlstate=error.sqlstate,
            detail=first_line(error.diag.message_detail),
            hint=first_line(error.diag.message_hint),
        ) from error


def _spoken(notice: psycopg.errors.Diagnostic) -> str:
    """Return a warning of the server as one line."""
    detail = first_line(notice.message_detail)
    return f"warning: {notice.message_primary}{f' ({detail})' if detail else ''}"


def _exists(connection: Connection, relation: str) -> bool:
    query = "SELECT to_regclass(%s) IS NOT NULL"
    return connection.execute(query, [relation]).fetchone() == (True,)


# Bookkeeping


def _prepare(connection: Connection, lock_timeout: str) -> None:
    """Create schema billing and its list of deployed files where they are not there yet.

    Raises DeployError when a schema of that name holds someone else's tables: uninstall would
    drop them.
    """
    if _exists(connection, "billing.deployed_files"):
        return
    if connection.execute(
        "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('billing') LIMIT 1"
    ).fetchone():
        raise DeployError(
            "this database has a schema billing of another making",
            hint="rename it: ALTER SCHEMA billing RENAME TO ...",
        )
    with _transaction(connection, lock_timeout):
        if connection.execute("SELECT to_regnamespace('billing')").fetchone() == (None,):
            connection.execute("CREATE SCHEMA billing")
        connection.execute(
            """
            COMMENT ON SCHEMA billing IS
            'IRISX Usage: what the rows of an application are worth, and what was billed for them.';
            CREATE TABLE billing.deployed_files (
                path text NOT NULL CONSTRAINT deployed_files_pkey PRIMARY KEY,
                sha256 text NOT NULL,
                deployed_at timestamptz NOT NULL DEFAULT now()
            );
            COMMENT ON TABLE billing.deployed_files IS
            'Every migration applied, and every function and trigger file loaded, by its text.';
            COMMENT ON COLUMN billing.deployed_files.path IS
            'The file below the SQL folder, as in functions/rate/find_rate.sql.';
            COMMENT ON COLUMN billing.deployed_files.sha256 IS
            'SHA-256 of its text. A file with another is loaded again, a migration refused.';
            COMMENT ON COLUMN billing.deployed_files.deployed_at IS
            'When this text was applied or loaded.';
            """
        )


def _mark(connection: Connection, file: _File, digest: str | None = None) -> None:
    connection.execute(
        "INSERT INTO billing.deployed_files (path, sha256) VALUES (%s, %s)"
        " ON CONFLICT (path) DO UPDATE SET sha256 = EXCLUDED.sha256, deployed_at = now()",
        [file.path, digest or file.sha256],
    )


def _forget_reloadable(connection: Connection) -> None:
    connection.execute("DELETE FROM billing.deployed_files WHERE path NOT LIKE 'migrations/%'")


def _revoke(connection: Connection) -> None:
    connection.execute("REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA billing FROM PUBLIC")


# Who may do what


@dataclass(frozen=True)
class _Access:
    """The files of db/access: roles are the cluster's, grants and policies the database's."""

    grants: _File
    policies: _File
    roles: _File

    @property
    def names(self) -> list[str]:
        return re.findall(r"^CREATE ROLE (\w+)", self.roles.text, re.MULTILINE)

    def existing(self, connection: Connection) -> tuple[str, ...]:
        query = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1"
        return tuple(name for (name,) in connection.execute(query, [self.names]))

    def missing(self, connection: Connection) -> tuple[str, ...]:
        """Return the statements that are left to run, for whoever may."""
        existing = self.existing(connection)
        members = set(
            connection.execute(
                "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
            ).fetchall()
        )

        def is_missing(statement: str) -> bool:
            if granted := re.match(r"GRANT (\w+) TO (\w+)$", statement):
                return granted.groups() not in members
            named = re.match(r"(?:CREATE|COMMENT ON) ROLE (\w+)", statement)
            return named is None or named[1] not in existing

        return tuple(filter(is_missing, _statements(self.roles)))

    def make_roles(self, connection: Connection) -> None:
        """Create the roles that are missing, as far as the current role may."""
        for statement in self.missing(connection):
            # Another database of the cluster may be doing the same.
            with suppress(pg.InsufficientPrivilege, pg.UndefinedObject, *_CONCURRENT):
                connection.execute(statement.encode())

    def grants_to_existing(self, connection: Connection) -> Iterator[str]:
        """Yield the grants, to those roles only that exist."""
        existing = self.existing(connection)
        for statement in _statements(self.grants):
            right, _, grantees = statement.rpartition("TO ")
            present = [name for name in re.split(r",\s*", grantees) if name in existing]
            if present:
                yield f"{right}TO {', '.join(present)}"


# Two sessions that make, comment or grant one role; the last has no SQLSTATE of its own.
_CONCURRENT = (pg.DuplicateObject, pg.UniqueViolation, pg.InternalError_)


def _statements(file: _File) -> list[str]:
    """Return the statements of a file that has no semicolon but at their ends."""
    text = re.sub(r"^\s*--.*$", "", file.text, flags=re.MULTILINE)
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]


def _become(connection: Connection, role: str | None) -> None:
    if role is not None:
        try:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        except (pg.InsufficientPrivilege, pg.InvalidParameterValue) as error:
            raise DeployError(
                first_line(error.diag.message_primary) or f"cannot become {role}",
                sqlstate=error.sqlstate,
                hint="create the role, and grant it to the one that logs in",
            ) from error


def _apply_access(connection: Connection, lock_timeout: str, access: _Access) -> tuple[str, ...]:
    """Bring rights and policies to what the files say, unless they are that; return the files.

    What was applied is kept as one digest of the files, the roles that exist, and what the catalog
    says of every right and policy: so a right given by hand is taken back, and what a restore left
    out, in a cluster without the roles, is made up for.
    """
    if not access.grants.text:
        return ()
    with _transaction(connection, lock_timeout):
        found = connection.execute(
            "SELECT sha256 FROM billing.deployed_files WHERE path = %s", [access.grants.path]
        ).fetchone()
        if found == (_access_digest(connection, access),):
            return ()
        _take_rights(connection, access)
        _close_defaults(connection, access)
        for statement in access.grants_to_existing(connection):
            _run(connection, _File(access.grants.path, statement))
        _run(connection, access.policies)
        _mark(connection, access.grants, _access_digest(connection, access))
    return (access.grants.path, access.policies.path)


def _access_digest(connection: Connection, access: _Access) -> str:
    rows = connection.execute(
        f"""
        SELECT kind, name, privilege, grantee FROM ({_RIGHTS}) AS rights
        UNION ALL
        SELECT 'policy', polrelid::regclass::text, polname, billing.policy_digest(oid)
          FROM pg_policy
         WHERE polrelid IN (
                   SELECT oid FROM pg_class WHERE relnamespace = 'billing'::regnamespace
               )
        UNION ALL
        -- Months come and go; what counts is whether one is open.
        SELECT 'table', relname, relrowsecurity::text, ''
          FROM pg_class
         WHERE relnamespace = 'billing'::regnamespace
           AND relkind IN ('r', 'p')
           AND NOT (relrowsecurity AND relname ~ '^usage_records_')
        UNION ALL
        SELECT 'default', defaclobjtype::text, defaclnamespace::text, defaclacl::text
          FROM pg_default_acl
         WHERE defaclrole = to_regrole(quote_ident(current_user))
        ORDER BY 1, 2, 3, 4
        """.encode(),
        {"roles": access.names},
    ).fetchall()
    texts = [file.text for file in (access.roles, access.grants, access.policies)]
    known = (texts, access.existing(connection), rows)
    return hashlib.sha256(repr(known).encode()).hexdigest()


# What PUBLIC and the roles of roles.sql hold in the schema.
_RIGHTS = """
SELECT a.kind, a.name, a.privilege, COALESCE(r.rolname, 'PUBLIC') AS grantee
  FROM (
           SELECT 'SCHEMA' AS kind, quote_ident(nspname) AS name,
                  x.privilege_type AS privilege, x.grantee
             FROM pg_namespace, aclexplode(nspacl) AS x
            WHERE nspname = 'billing'
           UNION ALL
           SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                  oid::regclass::text, x.privilege_type, x.grantee
             FROM pg_class, aclexplode(relacl) AS x
            WHERE relnamespace = 'billing'::regnamespace
           UNION ALL
           SELECT 'TABLE', c.oid::regclass::text, x.privilege_type || ' of ' || attname, x.grantee
             FROM pg_class AS c
             JOIN pg_attribute ON attrelid = c.oid,
                  aclexplode(attacl) AS x
            WHERE relnamespace = 'billing'::regnamespace
           UNION ALL
           SELECT 'ROUTINE', oid::regprocedure::text, x.privilege_type, x.grantee
             FROM pg_proc, aclexplode(COALESCE(proacl, acldefault('f', proowner))) AS x
            WHERE pronamespace = 'billing'::regnamespace
       ) AS a
  LEFT JOIN pg_roles AS r ON r.oid = a.grantee
 WHERE a.grantee = 0
    OR r.rolname = ANY(%(roles)s)
"""


def _take_rights(connection: Connection, access: _Access) -> None:
    """Take back every right that PUBLIC and our roles hold in the schema."""
    for kind, name, grantee in connection.execute(
        f"SELECT DISTINCT kind, name, grantee FROM ({_RIGHTS}) AS rights".encode(),
        {"roles": access.names},
    ).fetchall():
        connection.execute(f"REVOKE ALL ON {kind} {name} FROM {grantee}".encode())


def _close_defaults(connection: Connection, access: _Access) -> None:
    """Close what is made in the schema from now on, as far as that can be said ahead."""
    grantees = ", ".join(["PUBLIC", *access.existing(connection)])
    for kind in ("TABLES", "SEQUENCES", "ROUTINES", "TYPES"):
        connection.execute(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA billing"
            f" REVOKE ALL ON {kind} FROM {grantees}".encode()
        )
    # That PUBLIC may execute can be taken back for all that a role makes anywhere, or not at all:
    # done for an owner without login, who makes nothing but what is here. Else every run revokes
    # what was made since.
    if _owner_is_apart(connection):
        connection.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC")


def _owner_is_apart(connection: Connection) -> bool:
    query = "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = current_user"
    return connection.execute(query).fetchone() == (True,)


def _remove_access(connection: Connection, lock_timeout: str, access: _Access) -> None:
    """Drop the policies and take all rights back. Tables stay under row level security: closed."""
    with _transaction(connection, lock_timeout):
        for (policy,) in connection.execute(
            "SELECT format('%I ON %s', polname, polrelid::regclass) FROM pg_policy"
            " WHERE polrelid IN ("
            "SELECT oid FROM pg_class WHERE relnamespace = 'billing'::regnamespace)"
        ).fetchall():
            connection.execute(f"DROP POLICY {policy}".encode())
        _take_rights(connection, access)
        if _owner_is_apart(connection):
            connection.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC")


def _advice(missing: tuple[str, ...]) -> str:
    return "\n".join(
        (
            "roles are missing that this one may not make; all else works. For an administrator to"
            " run once, before the next migrate:",
            *(f"    {statement};" for statement in missing),
        )
    )


# Versioned changes, by yoyo


class _WholeFile(Migration):
    """A yoyo migration whose file is one step, executed as it stands: nothing splits its SQL."""

    def __init__(self, file: _File) -> None:
        super().__init__(Path(file.path).stem, file.path, source_dir="migrations")
        self.file = file

    def load(self) -> None:
        if not self.loaded:
            steps = StepCollector(self)
            steps.add_step(partial(_run, file=self.file))
            self._depends: set[Migration] = set()
            self.steps = steps.create_steps(use_transactions=True)


class _Yoyo(PostgresqlPsycopgBackend):
    """yoyo on the run's own connection, its tables in schema billing, without its lock table.

    yoyo itself marks a migration after it is committed, on a second connection: here it is applied,
    marked and listed in one transaction, so that no kill can come between.
    """

    def __init__(self, connection: Connection, lock_timeout: str) -> None:
        self._given = connection
        self._lock_timeout = lock_timeout
        self._ready = False
        super().__init__("", "_yoyo_migration")

    def connect(self, dburi: str) -> Connection:
        return self._given

    def transaction(self, rollback_on_exit: bool = False) -> AbstractContextManager[Any]:
        return self._given.transaction()  # inside another one, a savepoint

    def list_tables(self, **kwargs: object) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'billing'"
        return [name for (name,) in self._given.execute(query)]

    def ensure_internal_schema_updated(self) -> None:
        if not self._ready and internalmigrations.needs_upgrading(self):
            with _transaction(self._given, self._lock_timeout):
                internalmigrations.upgrade(self)
                self._given.execute(_YOYO_COMMENTS)
        self._ready = True

    def get_log_data(
        self, migration: Migration | None = None, operation: str = "apply"
    ) -> dict[str, object]:
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration and migration.id,
            "migration_hash": migration and migration.hash,
            "username": self._given.info.user,
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(timezone.utc).replace(tzinfo=None),
            "operation": operation,
        }

    def apply_one(self, migration: _WholeFile, force: bool = False, mark: bool = True) -> None:
        with _transaction(self._given, self._lock_timeout):
            migration.process_steps(self, "apply")
            self.log_migration(migration, "apply")
            self.mark_one(migration, log=False)
            _mark(self._given, migration.file)
            # Functions may depend on what has changed: all of them are loaded again.
            _forget_reloadable(self._given)
            _revoke(self._given)


_YOYO_COMMENTS = """
COMMENT ON TABLE billing._yoyo_migration IS 'The migrations applied, as yoyo keeps them.';
COMMENT ON COLUMN billing._yoyo_migration.migration_hash IS 'SHA-256 of migration_id.';
COMMENT ON COLUMN billing._yoyo_migration.migration_id IS 'The file''s name without .sql.';
COMMENT ON COLUMN billing._yoyo_migration.applied_at_utc IS 'When it was applied, in UTC.';
COMMENT ON TABLE billing._yoyo_log IS 'Who applied which migration, as yoyo keeps it.';
COMMENT ON COLUMN billing._yoyo_log.id IS 'A random UUID.';
COMMENT ON COLUMN billing._yoyo_log.migration_hash IS 'SHA-256 of migration_id.';
COMMENT ON COLUMN billing._yoyo_log.migration_id IS 'The file''s name without .sql.';
COMMENT ON COLUMN billing._yoyo_log.operation IS 'Always apply.';
COMMENT ON COLUMN billing._yoyo_log.username IS 'The PostgreSQL role.';
COMMENT ON COLUMN billing._yoyo_log.hostname IS 'The machine that irisx-usage ran on.';
COMMENT ON COLUMN billing._yoyo_log.comment IS 'Always NULL.';
COMMENT ON COLUMN billing._yoyo_log.created_at_utc IS 'When, in UTC.';
COMMENT ON TABLE billing._yoyo_version IS 'The version of yoyo''s own tables.';
COMMENT ON COLUMN billing._yoyo_version.version IS 'The version.';
COMMENT ON COLUMN billing._yoyo_version.installed_at_utc IS 'When it was installed, in UTC.';
"""


# Functions, views and triggers


def _reload(
    connection: Connection, lock_timeout: str, files: list[_File]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Load the files whose text is not what is deployed; return their paths, and those gone."""
    with _transaction(connection, lock_timeout):
        query = (
            "SELECT path, sha256 FROM billing.deployed_files"
            " WHERE path LIKE 'functions/%' OR path LIKE 'triggers/%'"
        )
        deployed: dict[str, str] = dict(connection.execute(query).fetchall())
        gone = tuple(sorted(deployed.keys() - {file.path for file in files}))
        connection.execute("DELETE FROM billing.deployed_files WHERE path = ANY(%s)", [list(gone)])
        stale = [file for file in files if deployed.get(file.path) != file.sha256]
        functions = [file for file in stale if file.path.startswith("functions/")]
        if functions:
            # They refer to each other in any order, so bodies are checked when all are there.
            connection.execute("SET LOCAL check_function_bodies = off")
            _load(connection, functions)
            connection.execute("SET LOCAL check_function_bodies = on")
            _check_bodies(connection)
            # Triggers are made by functions: with a new text of those they are made again.
            stale = functions + [file for file in files if file.path.startswith("triggers/")]
        # Last, for these take locks that the application waits for.
        _load(connection, [file for file in stale if file not in functions])
        if stale:
            _revoke(connection)
    return tuple(file.path for file in stale), gone


def _load(connection: Connection, files: list[_File]) -> None:
    for file in files:
        _run(connection, file)
        _mark(connection, file)


def _check_bodies(connection: Connection) -> None:
    """Raise DeployError when a function of the schema does not compile; the message names it."""
    for oid, name, validator in connection.execute(
        """
        SELECT p.oid, p.oid::regprocedure::text, l.lanvalidator::regproc::text
          FROM pg_proc AS p
          JOIN pg_language AS l ON l.oid = p.prolang
         WHERE p.pronamespace = 'billing'::regnamespace
           AND l.lanname IN ('sql', 'plpgsql')
         ORDER BY 2
        """
    ).fetchall():
        try:
            connection.execute(f"SELECT {validator}({oid}::oid)".encode())
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection broke
                raise
            raise DeployError(
                f"billing.{name}: {first_line(error.diag.message_primary)}",
                sqlstate=error.sqlstate,
                detail=first_line(error.diag.message_detail),
                hint=first_line(error.diag.message_hint),
            ) from error


# Removal


def _drop_triggers(connection: Connection, lock_timeout: str) -> tuple[str, ...]:
    """Drop every trigger by which tables outside the schema call it; return their names."""
    with _transaction(connection, lock_timeout):
        triggers = _triggers(connection, "<>")
        if _exists(connection, "billing.metered_tables") and connection.execute(
            "SELECT to_regprocedure('billing.unmeter_table(regclass)')"
        ).fetchone() != (None,):
            for (table,) in connection.execute(
                "SELECT name::oid FROM billing.metered_tables,"
                " to_regclass(billing.qualify_source(source_table)) AS name WHERE name IS NOT NULL"
            ).fetchall():
                connection.execute("SELECT billing.unmeter_table(%s::oid::regclass)", [table])
        for name in _triggers(connection, "<>"):
            connection.execute(f"DROP {name}".encode())
    return triggers


def _triggers(connection: Connection, operator: Literal["=", "<>"]) -> tuple[str, ...]:
    """Return the triggers that call the schema, of tables inside (=) or outside (<>) of it."""
    # tgparentid: a partition's own copy goes with the trigger of its parent.
    rows = connection.execute(
        f"""
        SELECT format('TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
          FROM pg_trigger AS t
          JOIN pg_proc AS p ON p.oid = t.tgfoid
          JOIN pg_class AS c ON c.oid = t.tgrelid
         WHERE NOT t.tgisinternal
           AND t.tgparentid = 0
           AND p.pronamespace = 'billing'::regnamespace
           AND c.relnamespace {operator} 'billing'::regnamespace
         ORDER BY 1
        """.encode()
    ).fetchall()
    return tuple(name for (name,) in rows)


def _drop_schema(connection: Connection, lock_timeout: str) -> None:
    with _transaction(connection, lock_timeout):
        connection.execute("DROP SCHEMA billing CASCADE")


def _drop_objects(
    connection: Connection, lock_timeout: str, names: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Drop the functions and views of these names; return what was dropped and what had to stay."""
    with _transaction(connection, lock_timeout):
        for trigger in _triggers(connection, "="):
            connection.execute(f"DROP {trigger}".encode())
        left = [
            name
            for (name,) in connection.execute(
                """
                SELECT 'VIEW ' || oid::regclass
                  FROM pg_class
                 WHERE relnamespace = 'billing'::regnamespace
                   AND relkind = 'v'
                   AND relname = ANY(%(names)s)
                UNION ALL
                SELECT 'ROUTINE ' || oid::regprocedure
                  FROM pg_proc
                 WHERE pronamespace = 'billing'::regnamespace
                   AND proname = ANY(%(names)s)
                """,
                {"names": sorted(names)},
            ).fetchall()
        ]
        # Never CASCADE: what another object still needs is tried again when that one is gone.
        dropped: list[str] = []
        progress = True
        while progress:
            progress = False
            for name in tuple(left):
                with suppress(pg.DependentObjectsStillExist), connection.transaction():
                    connection.execute(f"DROP {name}".encode())
                    dropped.append(name)
                    left.remove(name)
                    progress = True
        _forget_reloadable(connection)
    return tuple(dropped), tuple(left)
