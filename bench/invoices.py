"""Invoices a second: all tenants' in one run, whatever the number of their records."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import date

import psycopg

from bench.measure import Sample, at_least, by_turns
from bench.stage import Stage
from pyapi import Client

MONTH = date(2025, 11, 1)
BATCH = 500
# Both on each day of the month: what an invoice costs goes by days, not by records.
MANY, FEW = 300, 30


@dataclass(frozen=True)
class InvoiceRun:
    """How long a run over all tenants took, in seconds, and what it issued.

    adding_up: once for each record, by price and day; done by the first who draws up a period.
    issuing: the run itself, records added up. again: a run that finds all issued.
    """

    tenants: int
    records: int
    issued: int
    adding_up: float
    issuing: float
    again: float

    @property
    def invoices_per_second(self) -> float:
        return self.issued / self.issuing


def add_usage(connection: psycopg.Connection, tenants: int, records: int) -> None:
    """Tenants on a plan with a fee, each with so many calls and messages of one month."""
    connection.execute("SELECT billing.ensure_partition('2025-11-01')")
    connection.execute(
        "INSERT INTO public.tenants (id, company_name, plan_id)"
        " SELECT n, 'Tenant ' || n, 3 FROM generate_series(1, %s) AS n",
        [tenants],
    )
    connection.execute(
        "INSERT INTO billing.tax_rules (name, percent) VALUES ('VAT', 19) ON CONFLICT DO NOTHING"
    )
    step = max(1, 200_000 // records)
    for first in range(1, tenants + 1, step):
        connection.execute(
            "INSERT INTO public.calls (tenant_id, to_number, status, answered_at, duration_seconds)"
            " SELECT t, '+14155550100', 'completed',"
            "        timestamptz '2025-11-01 00:00Z' + n * (interval '30 days' / %(records)s),"
            "        1 + (t * 7 + n * 13) %% 600"
            "   FROM generate_series(%(first)s::int, %(last)s::int) AS t,"
            "        generate_series(0, %(records)s - 1) AS n",
            {"records": records, "first": first, "last": min(first + step - 1, tenants)},
        )
    connection.execute("ANALYZE billing.usage_records")
    while connection.execute("SELECT billing.merge_summaries(100000)").fetchone() != (0,):
        pass
    connection.execute("ANALYZE")


def measure_run(connection: psycopg.Connection, tenants: int, records: int) -> InvoiceRun:
    """Fill an empty, migrated database and issue a month; the connection is in autocommit mode."""
    add_usage(connection, tenants, records)
    begin = time.monotonic()
    for first in range(1, tenants + 1, BATCH):
        connection.execute(
            "SELECT billing.add_up_prices(array_agg(n), array_agg(date '2025-11-01'),"
            " array_agg(date '2025-11-30')) FROM generate_series(%s::int, %s::int) AS n",
            [first, min(first + BATCH - 1, tenants)],
        )
    adding_up = time.monotonic() - begin
    client = Client(connection)
    times = []
    issued = 0
    for _ in range(2):
        begin = time.monotonic()
        for _, _, outcomes in client.run_invoices(MONTH, batch=BATCH):
            issued += sum(outcome.outcome == "issued" for outcome in outcomes)
        times.append(time.monotonic() - begin)
    assert issued == tenants
    return InvoiceRun(tenants, tenants * records, issued, adding_up, *times)


_numbers = itertools.count(1)


def _issued(stage: Stage, variant: str) -> Sample:
    """Invoices a second, records added up beforehand."""
    database = stage.beside(f"irisx_invoices_{next(_numbers)}")
    database.owner.execute("DELETE FROM public.tenants")
    tenants = stage.scale.large_tenant // 5000
    run = measure_run(database.owner, tenants, int(variant.split()[0]))
    return Sample(run.invoices_per_second)


MEASURES = [
    by_turns(
        "invoices",
        "invoices issued a second, many records each / few records each",
        "/s",
        at_least(0.9),
        (f"{MANY} records each", f"{FEW} records each"),
        _issued,
        is_once=True,
    ),
]
