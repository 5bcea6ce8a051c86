"""The database that is measured: every variant's table, and how it is put back to the start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from pyapi.deploy import migrate
from pyapi.embedded import Server

TABLES = {
    "untracked": "bench.untracked",
    "again": "bench.untracked_again",
    "floor": "bench.floor",
    "obvious": "bench.obvious",
    "tracked": "public.calls",
    "deck": "public.calls",
}
RECORDS = {
    "floor": "bench.floor_records",
    "obvious": "bench.obvious_records",
    "tracked": "billing.usage_records",
    "deck": "billing.usage_records",
}
SUMS = {
    "obvious": ["bench.obvious_days"],
    "tracked": ["billing.usage_deltas", "billing.usage_sums"],
    "deck": ["billing.usage_deltas", "billing.usage_sums"],
}
METERED = ("tracked", "deck")


class WrongResultError(RuntimeError):
    """What was measured did not do what it should: its figures mean nothing."""


class Stage:
    def __init__(self, server: Server) -> None:
        self.conninfo = server.conninfo()
        self.pgbench = server.bin_dir / "pgbench"
        self.verified = 0
        migrate(self.conninfo)
        self.owner = psycopg.connect(self.conninfo, autocommit=True)
        self.owner.execute(Path(__file__).with_name("schema.sql").read_bytes())
        self.owner.execute("VACUUM ANALYZE")
        # Only a superuser whose session fires no triggers can empty what is append-only.
        self.admin = psycopg.connect(server.conninfo(admin=True), autocommit=True)
        self.admin.execute("SET session_replication_role = replica")

    def fill(self, variant: str, *, rows: int, tenants: int, status: str) -> None:
        """Empty the variant's tables and put rows numbered from 0 into the first.

        The checkpoint comes before: then the next one, and the page images after it, are minutes
        away, and none falls into one measurement and not into another.
        """
        table = TABLES[variant]
        first = 1001 if variant == "deck" else 1
        emptied = [table, *filter(None, [RECORDS.get(variant)]), *SUMS.get(variant, [])]
        self.admin.execute(f"TRUNCATE {', '.join(emptied)}".encode())
        self.admin.execute("CHECKPOINT")
        self.owner.execute(
            f"""
            INSERT INTO {table} (
                id, tenant_id, call_sid, from_number, to_number, status, answered_at,
                duration_seconds
            )
            SELECT id, {first} + id % {tenants}, 'CA' || md5(id::text), '+14155550100',
                '+1415' || 5550000 + id % 10000, '{status}', now(),
                CASE '{status}' WHEN 'completed' THEN 60 + id % 240 END
            FROM generate_series(0, {rows - 1}) AS id
            """.encode()
        )
        self.owner.execute(f"VACUUM (ANALYZE) {table}".encode())

    def check(self, variant: str, completed: int) -> None:
        """Raise WrongResultError unless so many rows are completed, and each is recorded once."""
        for table in (f"{TABLES[variant]} WHERE status = 'completed'", RECORDS.get(variant)):
            if table:
                row = self.owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                if row != (completed,):
                    raise WrongResultError(f"{variant}: {table}: {row}, not {completed} rows")
        if variant in METERED:
            violations = self.owner.execute("SELECT * FROM billing.verify() LIMIT 10").fetchall()
            if violations:
                raise WrongResultError(
                    "\n".join(["billing.verify() found:", *map(str, violations)])
                )
            self.verified += 1

    @contextmanager
    def maintained(self, variant: str) -> Iterator[None]:
        """Housekeeping once a second beside the product, as an operator would run it."""
        if variant not in METERED:
            yield
            return
        done = threading.Event()
        failures: list[psycopg.Error] = []

        def keep_house() -> None:
            try:
                with psycopg.connect(self.conninfo, autocommit=True) as connection:
                    while not done.is_set():
                        connection.execute("SELECT billing.maintain()")
                        done.wait(1)
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
