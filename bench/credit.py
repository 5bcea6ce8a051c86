"""Reservations a second, and what a balance costs to read."""

from __future__ import annotations

import random
import time
from statistics import median

from bench.load import run_clients
from bench.measure import AGAIN, Measure, Sample, Samples, alone, at_least, at_most, by_turns
from bench.reads import LARGE, SMALL, _library
from bench.stage import Stage

TENANTS = 1000
CLIENTS = 8
READS = 200
RESERVE = (
    "SELECT billing.reserve_call({tenant}, '+14155550100',"
    " 'CA' || :client_id || '-{name}-' || :turn, 60);"
)
# Who reserves does nothing else in the transaction, and need not wait for the disk.
UNAWAITED = "SET synchronous_commit = off;\n"
HOT, SPREAD, HOT_UNAWAITED = "one tenant", "1,000 tenants", "one tenant, commit not awaited"


def _bank(stage: Stage) -> Stage:
    """A database of its own, whose tenants have more than they can reserve."""
    bank = stage.beside("irisx_credit")
    if not bank.number("SELECT count(*) FROM billing.credit_entries"):
        bank.owner.execute(
            "INSERT INTO public.tenants (id, company_name)"
            f" SELECT n, 'Tenant ' || n FROM generate_series(1, {TENANTS}) AS n"
            " ON CONFLICT DO NOTHING"
        )
        bank.owner.execute(
            "SELECT count(billing.grant_credit(n, 1000000, 'purchase', 'bench'))"
            f" FROM generate_series(1, {TENANTS}) AS n"
        )
        # The first reservation of a tenant opens its account.
        bank.owner.execute(
            "SELECT count(billing.reserve_call(n, '+14155550100', 'first', 60))"
            f" FROM generate_series(1, {TENANTS}) AS n"
        )
    return bank


def _reservations(stage: Stage) -> Samples:
    bank = _bank(stage)
    found: Samples = {}
    for turn in random.sample([HOT, SPREAD, HOT_UNAWAITED, AGAIN], 4):
        before = bank.number("SELECT count(*) FROM billing.reservations")
        script = RESERVE.format(tenant=":tenant" if turn == SPREAD else 1, name=time.monotonic_ns())
        if turn == SPREAD:
            script = f"\\set tenant random(1, {TENANTS})\n{script}"
        elif turn == HOT_UNAWAITED:
            script = UNAWAITED + script
        load = run_clients(bank, script, CLIENTS, stage.scale.seconds + 1)
        done = bank.number("SELECT count(*) FROM billing.reservations") - before
        found[turn] = load.sample
        bank.expect(f"SELECT {done} >= {load.done}", (True,))
        bank.expect(
            "SELECT count(*) FROM billing.verify()"
            " WHERE check_name = 'an account is the sum of its reservations'",
            (0,),
        )
    return found


def _balance(stage: Stage, variant: str) -> Sample:
    """Milliseconds to read it, the median of many times, on one connection."""
    tenant = LARGE if variant == "large tenant" else SMALL
    return _read(stage, f"SELECT * FROM billing.get_tenant_balance({tenant})")


def _allowance(stage: Stage) -> Samples:
    library = _library(stage)
    library.owner.execute(f"SELECT billing.set_tenant_limits({LARGE}, p_throttle_below => 10)")
    query = f"SELECT billing.allowance({LARGE})"
    return {turn: _read(stage, query) for turn in ("allowance", AGAIN)}


def _read(stage: Stage, query: str) -> Sample:
    times: list[float] = []
    with _library(stage).connect() as connection:
        for _ in range(READS + 20):
            start = time.perf_counter()
            connection.execute(query.encode()).fetchall()
            times.append((time.perf_counter() - start) * 1000)
    return Sample(median(times[20:]))


MEASURES = [
    Measure(
        "reserve",
        f"reservations a second, {CLIENTS} clients",
        "/s",
        at_least(1000),
        (HOT, SPREAD, HOT_UNAWAITED),
        _reservations,
        alone,
    ),
    by_turns(
        "balance-size",
        "balance of a tenant with many records / with 10,000: time",
        "ms",
        at_most(1.5),
        ("large tenant", "small tenant"),
        _balance,
    ),
    Measure("allowance", "allowance, ms", "ms", at_most(1), ("allowance",), _allowance, alone),
]
