"""The database that is measured: every variant's tables, and how they are put back to the start."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pyapi.deploy import migrate
from pyapi.embedded import OWNER, Server

STARTED_WITH = {"fsync": "on", "shared_buffers": "1GB"}
# Checkpoints and vacuum run between measurements, so that neither falls into some only.
TUNED = {"max_wal_size": "16GB", "checkpoint_timeout": "1h", "autovacuum": "off"}
LARGE = 50_000
COMPLETE = "status = 'completed', duration_seconds = 60 + mod(id, 240), ended_at = now()"
NOTE = """metadata = '{"note": "seen"}', updated_at = now()"""


class WrongResultError(RuntimeError):
    """What was measured did not do what it should: its figures mean nothing."""


@dataclass(frozen=True)
class Variant:
    """A table of calls, where completing one is recorded, and what else that changes."""

    table: str
    records: str | None = None
    sums: tuple[str, ...] = ()

    @property
    def is_product(self) -> bool:
        return self.table == "public.calls"


_PRODUCT = ("billing.usage_records", ("billing.usage_deltas", "billing.usage_sums"))
VARIANTS = {
    "untracked": Variant("bench.untracked"),
    "empty row trigger": Variant("bench.empty_row"),
    "empty statement trigger": Variant("bench.empty_statement"),
    "floor": Variant("bench.floor", "bench.floor_records"),
    "obvious": Variant("bench.obvious", "bench.obvious_records", ("bench.obvious_days",)),
    "application": Variant(
        "bench.application", "bench.application_records", ("bench.application_days",)
    ),
    "tracked": Variant("public.calls", *_PRODUCT),
}


@dataclass(frozen=True)
class Scale:
    """How long and how much is measured. Bulk and backfill: rows; alone: blocks of UPDATEs."""

    rounds: int
    seconds: int
    bulk_rows: int
    alone_blocks: int
    large_tenant: int
    prefixes: int
    deck: int = 35_000
    """Prefixes of the deck that no call meets, besides the thousand that calls do."""


QUICK = Scale(
    rounds=2, seconds=1, bulk_rows=20_000, alone_blocks=10, large_tenant=200_000, prefixes=4_000
)
FULL = Scale(
    rounds=5,
    seconds=2,
    bulk_rows=100_000,
    alone_blocks=20,
    large_tenant=10_000_000,
    prefixes=40_000,
)


class Stage:
    """A fresh database with the product and, in schema bench, what it is compared with."""

    def __init__(self, server: Server, scale: Scale, database: str = OWNER) -> None:
        self.server = server
        self.scale = scale
        self.conninfo = server.conninfo(database)
        self.round = 0
        self.verified = 0
        self.rows_by_clients: dict[tuple[str, int], int] = {}
        self._beside: dict[str, Stage] = {}
        migrate(self.conninfo)
        self.owner = psycopg.connect(self.conninfo, autocommit=True, application_name="stage")
        self.owner.execute(f"SET bench.deck = {scale.deck}".encode())
        self.owner.execute(Path(__file__).with_name("schema.sql").read_bytes())
        self.owner.execute("VACUUM ANALYZE")
        # Its session fires no triggers but those that are enabled always.
        self.admin = psycopg.connect(
            server.conninfo(database, admin=True), autocommit=True, application_name="stage"
        )
        self.admin.execute("SET session_replication_role = replica")
        for name, value in TUNED.items():
            self._set(name, value)

    def close(self) -> None:
        for stage in self._beside.values():
            stage.close()
        self.owner.close()
        self.admin.close()

    def beside(self, database: str) -> Stage:
        """Another database of the same server, made when it is first asked for."""
        if database not in self._beside:
            self.admin.execute(f"CREATE DATABASE {database} OWNER {OWNER}".encode())
            self._beside[database] = Stage(self.server, self.scale, database)
        return self._beside[database]

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=0)

    def fill(
        self,
        *variants: str,
        rows: int,
        tenants: int = 1000,
        completed: int = 0,
        on_deck: int = 0,
        billed: bool = True,
    ) -> None:
        """Empty the variants' tables and put rows 0, 1, ... into the first.

        The last `completed` are completed already (and billed, by whatever triggers there are);
        the last `on_deck` belong to tenants whose plan has a deck. The checkpoint is the last thing
        done before a measurement: all start alike.
        """
        writer = self.owner if billed else self.admin
        for variant in map(VARIANTS.__getitem__, variants):
            self._empty([variant.table, *filter(None, [variant.records]), *variant.sums])
            writer.execute(
                f"""
                INSERT INTO {variant.table} (
                    id, tenant_id, call_sid, from_number, to_number, status, answered_at,
                    duration_seconds
                )
                SELECT
                    id, CASE WHEN id < {rows - on_deck} THEN 1 ELSE 1001 END + id % {tenants},
                    'CA' || md5(id::text), '+14155550100', '+1415' || 5550000 + id % 10000,
                    CASE WHEN id < {rows - completed} THEN 'in-progress' ELSE 'completed' END,
                    now(), CASE WHEN id >= {rows - completed} THEN 60 + id % 240 END
                FROM generate_series(0, {rows - 1}) AS id
                """.encode()
            )
            self.owner.execute(f"VACUUM (ANALYZE) {variant.table}".encode())
        self.admin.execute("CHECKPOINT")

    def _empty(self, tables: list[str]) -> None:
        """Also what is append-only, whose guards fire always."""
        guards = self.admin.execute(
            "SELECT table_name, trigger_name FROM billing.list_guards()"
            " WHERE trigger_name = 'append_only_truncate'"
        )
        for table, trigger in guards.fetchall():
            self.admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}".encode())
        self.admin.execute(f"TRUNCATE {', '.join(tables)}".encode())
        self.owner.execute("SELECT billing.attach_guards()")

    def check(self, variant: str, completed: int, recorded: int | None = None) -> None:
        """Raise WrongResultError unless so many rows are completed, and recorded (by default all).

        The product's records are verified too; more than LARGE of them in the first round only.
        """
        what = VARIANTS[variant]
        self.expect(f"SELECT count(*) FROM {what.table} WHERE status = 'completed'", (completed,))
        if what.records:
            count = completed if recorded is None else recorded
            self.expect(f"SELECT count(*) FROM {what.records}", (count,))
        if what.is_product and (completed <= LARGE or self.round == 0):
            self.verify()

    def expect(self, query: str, expected: tuple[object, ...]) -> None:
        """Raise WrongResultError unless the query gives this row."""
        row = self.owner.execute(query.encode()).fetchone()
        if row != expected:
            raise WrongResultError(f"{query}: {row}, not {expected}")

    def sessions(self, name: str | None = None) -> list[int]:
        """The processes of the sessions so named, or of all that are not the stages' own."""
        return [
            pid
            for (pid,) in self.owner.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND application_name = COALESCE(%s, application_name)"
                " AND application_name <> 'stage'",
                [name],
            )
        ]

    def has(self, table: str) -> bool:
        row = self.owner.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
        return row == (True,)

    def number(self, query: str) -> int:
        row = self.owner.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """The server's setting, for a while."""
        self._set(name, value)
        try:
            yield
        finally:
            self._set(name, TUNED.get(name))

    def _set(self, name: str, value: str | None) -> None:
        change = f"SET {name} = '{value}'" if value else f"RESET {name}"
        self.admin.execute(f"ALTER SYSTEM {change}".encode())
        loaded = self.admin.execute("SELECT pg_conf_load_time()").fetchone()
        self.admin.execute("SELECT pg_reload_conf()")
        while self.admin.execute("SELECT pg_conf_load_time()").fetchone() == loaded:
            time.sleep(0.01)

    def verify(self) -> None:
        violations = self.owner.execute("SELECT * FROM billing.verify() LIMIT 10").fetchall()
        if violations:
            raise WrongResultError("\n".join(["billing.verify() found:", *map(str, violations)]))
        self.verified += 1

    @contextmanager
    def maintained(self, variant: str, every: float = 1) -> Iterator[None]:
        """Housekeeping every so many seconds beside the product, as an operator would run it."""
        if not VARIANTS[variant].is_product:
            yield
            return
        done = threading.Event()
        failures: list[psycopg.Error] = []

        def keep_house() -> None:
            try:
                with self.connect() as connection:
                    connection.execute("SELECT billing.maintain()")
                    while not done.wait(every):
                        connection.execute("SELECT billing.maintain()")
            except psycopg.Error as error:
                failures.append(error)

        thread = threading.Thread(target=keep_house, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        if failures:
            raise WrongResultError(f"billing.maintain() failed: {failures[0]}")


@contextmanager
def on_new_server(pg: int, scale: Scale) -> Iterator[Stage]:
    """A stage whose server ends with us, whatever happens."""
    # /tmp may lie in memory, where fsync costs nothing.
    place = "/var/tmp" if Path("/var/tmp").is_dir() else None
    server = Server(Path(tempfile.mkdtemp(prefix="irisx-bench-", dir=place)), pg, **STARTED_WITH)
    try:
        with closing(Stage(server.start(), scale)) as stage:
            yield stage
    finally:
        server.destroy()
