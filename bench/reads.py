"""A tenant's current period: how long it takes to read, alone and beside writes."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from statistics import median, quantiles

import psycopg

from bench.blocks import cpu_seconds
from bench.load import run_clients
from bench.measure import AGAIN, Measure, Sample, Samples, alone, at_most, by_turns
from bench.stage import COMPLETE, Stage, WrongResultError
from pyapi.embedded import OWNER

LARGE, SMALL, SMALL_RECORDS = 1, 2, 10_000
READS = 200
ATTEMPTS = 3
WRITES_A_SECOND = 2000
MERGED_EACH = 0.2
"""Seconds: what a read costs grows with what nobody merged yet."""
READ = b"SELECT * FROM billing.get_current_period_usage(%s)"
# As the recorder leaves them; spread over the days of this month so far, on two channels.
CALLS = """
INSERT INTO public.calls (
    id, tenant_id, call_sid, from_number, to_number, status, answered_at
)
SELECT
    id, 1, 'CA' || md5(id::text), '+14155550100', '+1415' || 5550000 + id % 10000, 'in-progress',
    now()
FROM generate_series({first}, {last}) AS id
"""
RECORDS = """
INSERT INTO billing.usage_records (
    tenant_id, source_id, rate_id, occurred_at, created_at, usage_date, source_table, channel,
    resource_type, resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity,
    destination
)
SELECT
    {tenant}, n, kind.rate_id, day.day, day.day, day.day::date, kind.source, kind.channel,
    kind.resource, 'X' || n, kind.quantity, kind.price, kind.quantity * kind.price, 'USD',
    kind.seconds, kind.quantity, '14155550100'
FROM generate_series({first}::bigint, {last}) AS n
INNER JOIN (
    VALUES
        (0, 1, 'calls', 'voice', 'minute', 5.25, 0.015, 315),
        (1, 2, 'messages', 'sms', 'message', 1, 0.0075, NULL)
) AS kind (number, rate_id, source, channel, resource, quantity, price, seconds)
    ON kind.number = n % 2
CROSS JOIN LATERAL (
    SELECT date_trunc('month', now())
        + (n - {origin}) * extract(day FROM now())::integer / {count} * interval '1 day' AS day
) AS day
"""
DELTAS = """
INSERT INTO billing.usage_deltas (
    tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed,
    total_cost
)
SELECT
    tenant_id, usage_date, count(*), channel, resource_type, 0, sum(quantity),
    sum(billing.in_seconds(resource_type, billed_quantity)), sum(total_cost)
FROM billing.usage_records
GROUP BY tenant_id, usage_date, channel, resource_type
"""


def _library(stage: Stage) -> Stage:
    """A database of its own, in which a large and a small tenant have this month's usage."""
    library = stage.beside("irisx_reads")
    if library.number("SELECT count(*) FROM billing.usage_sums"):
        library.owner.execute("SELECT billing.merge_summaries(1000000)")
        library.owner.execute("VACUUM billing.usage_deltas, billing.usage_sums")
        return library
    large = stage.scale.large_tenant
    for tenant, origin, count in ((LARGE, 1, large), (SMALL, large + 1, SMALL_RECORDS)):
        for first in range(origin, origin + count, 1_000_000):
            last = min(first + 1_000_000, origin + count) - 1
            library.admin.execute(
                RECORDS.format(
                    tenant=tenant, first=first, last=last, origin=origin, count=count
                ).encode()
            )
    library.owner.execute(DELTAS)
    library.owner.execute("SELECT billing.merge_summaries()")
    library.owner.execute("VACUUM ANALYZE")
    library.admin.execute(f"GRANT billing_tenant TO {OWNER}".encode())
    library.admin.execute("CHECKPOINT")
    for tenant, count in ((LARGE, large), (SMALL, SMALL_RECORDS)):
        library.expect(
            "SELECT sum(record_count)::bigint, sum(total_cost)"
            f" FROM billing.get_current_period_usage({tenant})",
            (count, count // 2 * (Decimal("0.07875") + Decimal("0.0075"))),
        )
    return library


def _current_period(stage: Stage, variant: str) -> Sample:
    """Milliseconds to read it, the median of many times, on one connection."""
    return _timed_reads(_library(stage), LARGE if variant == "large tenant" else SMALL, "owner")


def _as_reader(stage: Stage, variant: str) -> Sample:
    """The same for who sees the small tenant only, and for the owner, who sees all."""
    return _timed_reads(_library(stage), SMALL, variant)


def _timed_reads(library: Stage, tenant: int, who: str) -> Sample:
    times: list[float] = []
    with library.connect() as connection:
        if who == "reader":
            connection.execute("SET ROLE billing_tenant")
            connection.execute(f"SET billing.tenant_id = '{tenant}'".encode())
        pid = connection.info.backend_pid
        for turn in range(READS + 20):
            if turn == 20:
                before = cpu_seconds(pid)
            start = time.perf_counter()
            connection.execute(READ, [tenant]).fetchall()
            times.append((time.perf_counter() - start) * 1000)
        after = cpu_seconds(pid)
    cpu = None if before is None or after is None else (after - before) * 1000 / READS
    return Sample(median(times[20:]), cpu)


def _beside_writes(stage: Stage) -> Samples:
    """Milliseconds to read the large tenant's period while its calls complete."""
    library = _library(stage)
    found: Samples = {}
    for name in (AGAIN, "p99 beside writes"):
        for _ in range(ATTEMPTS):
            times, writes = _read_beside_writes(library)
            if writes >= 0.9 * WRITES_A_SECOND:
                break
        else:
            raise WrongResultError(f"only {writes:.0f} writes a second")
        found[name] = Sample(quantiles(times, n=100)[98])
        found["p50 beside writes"] = Sample(median(times))
        found["writes a second"] = Sample(writes)
    library.expect(
        "SELECT sum(record_count)::bigint = (SELECT count(*) FROM billing.usage_records"
        f" WHERE tenant_id = {LARGE}) FROM billing.get_current_period_usage({LARGE})",
        (True,),
    )
    with library.connect() as connection:
        quiet = [_timed_read(connection) for _ in range(500)]
    found["p99 beside nothing"] = Sample(quantiles(quiet, n=100)[98])
    return found


def _read_beside_writes(library: Stage) -> tuple[list[float], float]:
    """Milliseconds of each read, and how many calls completed each second meanwhile."""
    seconds = 3 * library.scale.seconds
    first = library.number("SELECT COALESCE(max(id) + 1, 0) FROM public.calls")
    library.owner.execute(
        CALLS.format(first=first, last=first + 2 * seconds * WRITES_A_SECOND).encode()
    )
    library.owner.execute("VACUUM ANALYZE public.calls")
    library.admin.execute("CHECKPOINT")
    times: list[float] = []
    done = threading.Event()
    reader = threading.Thread(target=_read, args=(library, times, done), daemon=True)
    # An operator's server vacuums; elsewhere here that is done between the measurements.
    with (
        library.setting("autovacuum_naptime", "1s"),
        library.setting("autovacuum", "on"),
        library.maintained("tracked", every=MERGED_EACH),
    ):
        reader.start()
        script = (
            f"\\set id {first} + :turn * :clients + :client_id\n"
            f"UPDATE public.calls SET {COMPLETE} WHERE id = :id;"
        )
        load = run_clients(library, script, 8, seconds, {"rate": str(WRITES_A_SECOND)})
        done.set()
        reader.join()
    library.expect(
        f"SELECT count(*) FROM public.calls WHERE status = 'completed' AND id >= {first}",
        (load.done,),
    )
    return times, load.sample.value


def _read(library: Stage, times: list[float], done: threading.Event) -> None:
    """Read about 200 times a second."""
    with library.connect() as connection:
        while not done.wait(0.005):
            times.append(_timed_read(connection))


def _timed_read(connection: psycopg.Connection) -> float:
    start = time.perf_counter()
    connection.execute(READ, [LARGE]).fetchall()
    return (time.perf_counter() - start) * 1000


MEASURES = [
    by_turns(
        "read-size",
        "current period of a tenant with many records / with 10,000: time",
        "ms",
        at_most(1.5),
        ("large tenant", "small tenant"),
        _current_period,
    ),
    by_turns(
        "read-rls",
        "the same read as a reader of one tenant / as the owner, who is under no policy: time",
        "ms",
        at_most(1.1),
        ("reader", "owner"),
        _as_reader,
    ),
    Measure(
        "read-p99",
        f"the same read beside {WRITES_A_SECOND:,} tracked writes a second, p99, ms",
        "ms",
        at_most(5),
        ("p99 beside writes", "p50 beside writes", "p99 beside nothing", "writes a second"),
        _beside_writes,
        alone,
    ),
]
