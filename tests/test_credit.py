"""Credit under random histories and in races: the oracle agrees, no promise is without cover."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from campaigns import credit
from campaigns.load import CounterExample
from pyapi import Client
from pyapi.errors import NoRateError, ReservationBusyError

pytestmark = pytest.mark.newest


@pytest.fixture
def client(database: str, db: Connection) -> Iterator[Client]:
    db.execute("INSERT INTO pricing_plans (id, name, display_name) VALUES (50, 'prepaid', 'P')")
    db.execute("INSERT INTO tenants (id, plan_id) SELECT n, 50 FROM generate_series(1, 40) AS n")
    with Client(database) as opened:
        yield opened


def test_an_oracle_agrees_at_every_instant(database: str, thorough: bool) -> None:
    steps = 120 if thorough else 20
    done = list(credit.campaign(database, 2026, range(1000, 1006), steps))
    assert sum(figures.steps for figures in done) == 6 * steps
    assert sum(figures.balances for figures in done) >= 18 * steps
    if thorough:
        assert sum(figures.refused for figures in done) > 0
        assert len(set().union(*(figures.kinds for figures in done))) == 8


def test_the_oracle_finds_an_engine_that_lets_expired_credit_count(
    database: str, db: Connection
) -> None:
    db.execute(
        "CREATE OR REPLACE FUNCTION list_lapsed_credit(p_tenant_id bigint, p_as_of timestamptz"
        " DEFAULT now()) RETURNS TABLE (entry_id bigint, amount numeric) LANGUAGE sql AS"
        " 'SELECT 1::bigint, 1::numeric WHERE false'"
    )
    with pytest.raises(CounterExample, match="must be"):
        list(credit.campaign(database, 2026, range(1000, 1010), 120))


def test_many_connections_never_promise_more_than_the_balance(
    client: Client, database: str, db: Connection, thorough: bool
) -> None:
    """Each reserves, and then talks no longer than was granted, hangs up at once, or forgets."""
    client.grant_credit(1, 20, "purchase", "order 1")
    start = threading.Barrier(33)
    over = threading.Event()

    def talk(number: int) -> tuple[int, int]:
        rng = random.Random(number)
        granted = refused = 0
        with Client(database) as own, psycopg.connect(database, autocommit=True) as application:
            start.wait()
            for _ in range(30 if thorough else 8):
                key = f"CA{uuid.UUID(int=rng.getrandbits(128))}"
                asked = rng.choice((None, 60, 60, 60, 600, 600, 3600))
                seconds = own.reserve_call(1, "+15551234567", key, asked)
                granted += seconds > 0
                refused += seconds == 0
                what = rng.random()
                if seconds and what < 0.7:
                    application.execute(
                        "INSERT INTO calls (tenant_id, call_sid, status, initiated_at,"
                        " duration_seconds) VALUES (1, %s, 'completed', now(), %s)",
                        [key, rng.randint(1, seconds)],
                    )
                elif seconds and what < 0.95:
                    own.release_reservation(key)
        return granted, refused

    def watch() -> Decimal:
        least = Decimal("Infinity")
        with Client(database) as own:
            start.wait()
            while not over.is_set():
                least = min(least, own.balance(1).remaining_credits)
        return least

    with ThreadPoolExecutor(33) as pool:
        watching = pool.submit(watch)
        done = [pool.submit(talk, number) for number in range(32)]
        try:
            counts = [future.result() for future in done]
        finally:
            over.set()
        assert watching.result() >= 0
    assert sum(granted for granted, _ in counts) > 16
    assert sum(refused for _, refused in counts) > 0
    assert client.balance(1).remaining_credits >= 0
    assert client.verify() == []


def test_recording_never_waits_for_a_reservation(client: Client, database: str) -> None:
    client.grant_credit(1, 20, "purchase", "order 1")
    assert client.reserve_call(1, "+15551234567", "CA1", 60) == 60
    with (
        psycopg.connect(database) as reserving,
        psycopg.connect(database, options="-c lock_timeout=1s") as application,
    ):
        Client(reserving).reserve_call(1, "+15551234567", "CA2", 60)
        reserving.execute("SELECT FROM reservations WHERE key = 'CA1' FOR UPDATE")
        application.execute(
            "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
            " VALUES (1, 'CA1', 'completed', now(), 30), (1, 'CA3', 'completed', now(), 30)"
        )
        application.commit()
    assert client.balance(1).current_usage == Decimal("0.015")
    assert client.health()[0].is_ok


def test_the_wait_among_reservers_is_bounded_and_only_theirs(client: Client, database: str) -> None:
    for tenant in (1, 2):
        client.grant_credit(tenant, 20, "purchase", "order 1")
        client.reserve_call(tenant, "+15551234567", "CA0", 60)
    with psycopg.connect(database) as reserving:
        Client(reserving).reserve_call(1, "+15551234567", "CA1", 60)
        with pytest.raises(ReservationBusyError):
            client.reserve_call(1, "+15551234567", "CA2", 60)
        assert client.reserve_call(2, "+15551234567", "CA2", 60) == 60
        assert client.grant_credit(1, 5, "purchase", "order 2")
        assert client.release_reservation("CA0", 1)
    assert client.reserve_call(1, "+15551234567", "CA2", 60) == 60


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_an_old_snapshot_settles_or_leaves_it_to_time(
    client: Client, database: str, level: IsolationLevel
) -> None:
    client.grant_credit(1, 20, "purchase", "order 1")
    for key in ("CA1", "CA2"):
        client.reserve_call(1, "+15551234567", key, 60)
    with psycopg.connect(database) as application:
        application.isolation_level = level
        application.execute("SELECT FROM tenants")
        client.release_reservation("CA1")
        application.execute(
            "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
            " VALUES (1, 'CA1', 'completed', now(), 30), (1, 'CA2', 'completed', now(), 30)"
        )
        application.commit()
    balance = client.balance(1)
    assert (balance.current_usage, balance.reserved) == (Decimal("0.015"), 0)


def test_a_rolled_back_call_leaves_its_reservation(client: Client, database: str) -> None:
    client.grant_credit(1, 20, "purchase", "order 1")
    client.reserve_call(1, "+15551234567", "CA1", 60)
    with psycopg.connect(database) as application:
        application.execute(
            "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
            " VALUES (1, 'CA1', 'completed', now(), 30)"
        )
        application.rollback()
    assert client.balance(1).reserved == Decimal("0.015")


@pytest.mark.parametrize(
    ("limits", "seconds", "granted"),
    [
        ({}, None, 20000),
        ({"credit_limit": 1}, None, 24000),
        ({"spend_cap": 2}, None, 8000),
        ({"max_call_seconds": 60}, None, 60),
        ({"max_calls": 0}, 60, 0),
        ({"mode": "postpaid"}, 60000, 60000),
        ({"mode": "postpaid", "credit_limit": 0}, 60000, 20000),
        ({"mode": "postpaid", "spend_cap": 2}, 60000, 8000),
    ],
)
def test_limits_hold_at_once(
    client: Client, limits: dict[str, object], seconds: int | None, granted: int
) -> None:
    client.grant_credit(1, 5, "purchase", "order 1")
    client.set_limits(1, **limits)  # type: ignore[arg-type]
    assert client.reserve_call(1, "+15551234567", "CA1", seconds) == granted


def test_calls_at_one_time_are_counted(client: Client, db: Connection) -> None:
    client.grant_credit(1, 5, "purchase", "order 1")
    client.set_limits(1, max_calls=2)
    assert [client.reserve_call(1, "+1555", f"CA{n}", 60) for n in range(3)] == [60, 60, 0]
    assert client.reserve_usage(1, "sms", "message", 1, "SM1") == 1
    client.release_reservation("CA0")
    db.execute(
        "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
        " VALUES (1, 'CA1', 'completed', now(), 30)"
    )
    assert [client.reserve_call(1, "+1555", f"CA{n}", 60) for n in range(3, 6)] == [60, 60, 0]


def test_allowance_falls_with_the_balance(client: Client, db: Connection) -> None:
    assert client.allowance(1) == 1
    client.set_limits(1)
    assert client.allowance(1) == 0
    client.grant_credit(1, 5, "purchase", "order 1")
    assert client.allowance(1) == 1
    client.set_limits(1, throttle_below=20)
    assert client.allowance(1) == Decimal("0.25")
    client.reserve_call(1, "+15551234567", "CA1", 4000)
    assert client.allowance(1) == Decimal("0.2")
    client.set_limits(1, throttle_below=20, spend_cap=1)
    assert client.allowance(1) == 0
    client.set_limits(1, "postpaid")
    assert client.allowance(1) == 1


def test_allowance_knows_what_has_lapsed(client: Client, db: Connection) -> None:
    client.set_limits(1, throttle_below=5)
    db.execute(
        "SELECT billing.enter_credit(1, 5, 'grant', 'gone', p_expires_at => now() - interval '1 s')"
    )
    assert client.balance(1).remaining_credits == client.allowance(1) == 0


def test_a_price_of_the_period_is_reserved_at_what_it_adds(client: Client, db: Connection) -> None:
    db.execute(
        "INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, charge_model,"
        " terms, effective_from) VALUES (1, 'voice', 'minute', 0, 'graduated',"
        """ '{"tiers": [{"up_to": 10, "unit_price": 0}, {"up_to": null, "unit_price": 1}]}',"""
        " '2020-01-01')"
    )
    client.grant_credit(1, 5, "purchase", "order 1")
    assert client.reserve_call(1, "+15551234567", "CA1") == 900
    client.release_reservation("CA1")
    db.execute(
        "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
        " VALUES (1, 'CA2', 'completed', now(), 540)"
    )
    assert client.reserve_call(1, "+15551234567", "CA3") == 360
    with pytest.raises(NoRateError):
        client.reserve_usage(1, "fax", "page", 1, "F1")
