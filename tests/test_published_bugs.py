"""Bugs that others published, played against us: who, what happened there, what must be true here.

One test each, named after the kind of damage, the project and its issue or pull request. A call
debited again when it was re-rated (cgrates#48) is in tests/test_rerating.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from test_concurrency import connect as connect
from test_concurrency import pool as pool
from test_concurrency import together, wait_until_blocked

pytestmark = pytest.mark.newest

UTC = dt.timezone.utc


def value(db: Connection, query: str, *values: object) -> Any:
    row = db.execute(query.encode(), values).fetchone()
    assert row
    return row[0]


def add_tenant(db: Connection, timezone: str = "UTC", tenant_id: int = 1) -> None:
    db.execute("INSERT INTO tenants (id, timezone) VALUES (%s, %s)", [tenant_id, timezone])


def add_call(db: Connection, at: str, seconds: int = 60, tenant_id: int = 1) -> int:
    """A finished call; its id."""
    return int(
        value(
            db,
            """
            INSERT INTO calls (tenant_id, status, initiated_at, duration_seconds)
            VALUES (%s, 'completed', %s, %s) RETURNING id
            """,
            tenant_id,
            at,
            seconds,
        )
    )


def quantity_invoiced(db: Connection) -> Decimal:
    """Of all invoices."""
    query = "SELECT COALESCE(sum(quantity), 0) FROM invoice_line_items WHERE kind = 'usage'"
    return Decimal(value(db, query))


def charges(db: Connection) -> int:
    """Charges that stand."""
    query = "SELECT COALESCE(sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END), 0) FROM usage_records"
    return int(value(db, query))


def assert_sound(db: Connection) -> None:
    assert db.execute("SELECT * FROM verify()").fetchall() == []


# Billed twice -------------------------------------------------------------------------------------


def test_double_lago_api_3618_a_payment_settled_twice_within_milliseconds(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    """getlago/lago-api#3618: two workers settled one paid top-up at the same time, and the wallet
    was credited twice. The reference of a payment credits once, whoever is at it."""
    add_tenant(db)
    settle = "SELECT billing.grant_credit(1, 100, 'purchase', 'payment 4711')"
    sessions = [connect() for _ in range(4)]
    entries = together(pool, sessions, lambda session: session.execute(settle).fetchone())
    assert len(set(entries)) == 1
    assert value(db, "SELECT credit_balance FROM tenants") == 100
    assert value(db, "SELECT count(*) FROM credit_entries") == 1
    assert_sound(db)


def test_double_lago_api_5523_an_invoice_drawn_up_by_two_jobs(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    """getlago/lago-api#5523: a refresh and a finalization of one draft ran side by side; taxes were
    applied twice and the number was given out twice. The second waits here, and finds the same
    invoice with each line once."""
    add_tenant(db)
    add_call(db, "2026-05-15")
    draw_up = "SELECT billing.generate_invoice(1, '2026-05-01')"
    one, two = connect(), connect()
    first = one.execute(draw_up).fetchone()
    second = pool.submit(lambda: two.execute(draw_up).fetchone())
    wait_until_blocked(db, two, second)
    one.commit()
    assert second.result() == first
    two.commit()
    assert db.execute("SELECT id FROM invoices").fetchall() == [first]
    assert db.execute(
        "SELECT kind, amount FROM invoice_line_items WHERE kind = 'usage'"
    ).fetchall() == [("usage", Decimal("0.02"))]
    assert value(db, "SELECT count(*) FROM invoice_line_items WHERE kind = 'tax'") == 0
    assert_sound(db)


def test_double_lago_api_879_invoiced_on_both_sides_of_midnight(db: Connection) -> None:
    """getlago/lago-api#879: an hourly billing job compared UTC days with the days of a customer
    ahead of UTC, did not see that he had been invoiced, and invoiced him again. Here the job runs
    every hour of two days around the end of a month in Auckland."""
    add_tenant(db, "Pacific/Auckland")
    for at in ("2025-04-15", "2025-04-30 13:00+00", "2025-05-15"):
        add_call(db, at)
    for hour in range(48):
        now = dt.datetime(2025, 4, 29, 12, tzinfo=UTC) + dt.timedelta(hours=hour)
        current = value(db, "SELECT period_start FROM get_billing_period(1, %s)", now)
        for start in (current, current - dt.timedelta(1)):
            value(db, "SELECT generate_invoice(1, %s)", start)
    periods = "SELECT period_start::text FROM invoices ORDER BY 1"
    assert [start for (start,) in db.execute(periods)] == ["2025-03-01", "2025-04-01", "2025-05-01"]
    # 13:00 UTC on the last day of April is May there.
    assert db.execute(
        "SELECT i.period_start::text, l.quantity FROM invoices AS i JOIN invoice_line_items AS l"
        " ON l.invoice_id = i.id WHERE l.kind = 'usage' ORDER BY 1"
    ).fetchall() == [("2025-04-01", 1), ("2025-05-01", 2)]
    assert_sound(db)


def test_double_killbill_1856_usage_billed_again_because_its_day_ended_elsewhere(
    db: Connection,
) -> None:
    """killbill/killbill#1856: the end of a day was computed in UTC and compared with days of the
    account, so the items billed already were not found and the period was billed again. Usage of
    every hour around midnight, invoiced as often as one likes, is on one invoice once."""
    add_tenant(db, "America/Los_Angeles")
    first = dt.datetime(2025, 5, 30, 12, tzinfo=UTC)
    hours = [first + dt.timedelta(hours=hour) for hour in range(72)]
    for at in hours:
        add_call(db, str(at))
    for _ in range(3):
        for start in ("2025-05-01", "2025-06-01", "2025-07-01"):
            value(db, "SELECT generate_invoice(1, %s)", start)
    assert quantity_invoiced(db) == len(hours)
    midnight = dt.datetime(2025, 6, 1, 7, tzinfo=UTC)
    in_may = (
        "SELECT l.quantity FROM invoices AS i JOIN invoice_line_items AS l ON l.invoice_id = i.id"
    )
    assert value(db, f"{in_may} WHERE i.period_start = '2025-05-01' AND l.kind = 'usage'") == len(
        [at for at in hours if at < midnight]
    )
    assert_sound(db)


def test_double_cgrates_243_a_duplicate_cdr_is_not_stored_but_debited(db: Connection) -> None:
    """cgrates/cgrates#243: a CDR that came twice was refused by the store, and debited again. The
    charge is part of the row's own transaction: what is not stored is not charged."""
    add_tenant(db)
    store = (
        "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
        " VALUES (1, 'CA1', 'completed', '2026-05-15', 60)"
    )
    db.execute(store)
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute(store)
    db.execute(f"{store} ON CONFLICT (call_sid) DO NOTHING")
    db.execute(f"{store} ON CONFLICT (call_sid) DO UPDATE SET duration_seconds = 60")
    # And the application that records by itself, as the usage guide shows, after all that.
    value(db, "SELECT record_usage(1, 'voice', 'minute', 'CA1', 1)")
    assert charges(db) == 1
    assert value(db, "SELECT current_usage FROM get_tenant_balance(1, '2026-05-31')") == Decimal(
        "0.015"
    )
    assert_sound(db)


# Lost ---------------------------------------------------------------------------------------------


def test_lost_openmeter_4902_known_as_seen_but_never_stored(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """openmeterio/openmeter#4902: a worker died when it had entered an event's key where duplicates
    are looked up, before the event was stored; the replay was dropped as a duplicate. Key and
    charge are one transaction here: of a session that is cut off there is neither."""
    add_tenant(db)
    record = "SELECT billing.record_usage(1, 'sms', 'message', 'SM1', 1, '{}', '2026-05-15')"
    worker = connect()
    worker.execute(record)
    db.execute("SELECT pg_terminate_backend(%s, 20000)", [worker.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        worker.commit()
    assert (charges(db), value(db, "SELECT count(*) FROM direct_usage")) == (0, 0)
    replayed = value(db, record)
    assert value(db, record) == replayed
    assert charges(db) == 1
    assert_sound(db)


def test_lost_lago_637_accepted_and_never_aggregated(db: Connection) -> None:
    """getlago/lago#637: events were answered with 200 and waited for a worker that could not run,
    without customer or subscription, and nobody was told. No worker stands between a row and its
    charge; what cannot be charged is named at once, and charged when its tenant comes."""
    add_tenant(db)
    with db.transaction():
        add_call(db, "2026-05-15")
        usage = "SELECT total_cost FROM get_current_period_usage(1, '2026-05-31')"
        assert value(db, usage) == Decimal("0.015"), "before the transaction has even ended"
    call_id = add_call(db, "2026-05-15", tenant_id=2)
    assert db.execute("SELECT check_name, subject FROM verify()").fetchall() == [
        ("usage is rated", f"calls {call_id}")
    ]
    assert not value(db, "SELECT is_ok FROM usage_health WHERE metric = 'unrated'")
    add_tenant(db, tenant_id=2)
    db.execute("SELECT * FROM maintain()")
    usage = "SELECT total_cost FROM get_current_period_usage(2, '2026-05-31')"
    assert value(db, usage) == Decimal("0.015")
    assert_sound(db)


def test_lost_killbill_1081_large_usage_is_missing_on_the_invoice(db: Connection) -> None:
    """killbill/killbill#1081: usage of a big amount was recorded, and missing on the invoice. What
    is recorded is invoiced to the last unit; what is too large to be true and came by a row is set
    aside, and the invoice waits for it."""
    add_tenant(db)
    large = (999_999_999, 2**31 + 1, 10**12)
    for number, quantity in enumerate(large):
        value(
            db,
            "SELECT record_usage(1, 'email', 'message', %s, %s, '{}', '2026-05-15')",
            f"E{number}",
            quantity,
        )
    value(db, "SELECT generate_invoice(1, '2026-05-01')")
    assert quantity_invoiced(db) == sum(large)
    line = "SELECT amount FROM invoice_line_items WHERE kind = 'usage'"
    assert value(db, line) == Decimal("1003147483.65"), "of 1,003,147,483,648 at 0.001"
    assert_sound(db)

    add_call(db, "2026-05-15", seconds=2**31 + 1)
    with pytest.raises(psycopg.Error) as waiting:
        value(db, "SELECT generate_invoice(1, '2026-05-01')")
    assert waiting.value.sqlstate == "UB006"


# Drifting -----------------------------------------------------------------------------------------


def test_drift_lago_api_4641_balance_and_movements_a_cent_apart(db: Connection) -> None:
    """getlago/lago-api#4641: of 100 credits 14.28444999 were taken; the movement said 14.28, the
    balance 85.71. Nothing is rounded on the way: the balance is the sum of what moved."""
    add_tenant(db)
    value(db, "SELECT grant_credit(1, 100, 'purchase', 'paid')")
    value(db, "SELECT grant_credit(1, 14.28444999, 'refund', 'back')")
    value(db, "SELECT record_usage(1, 'email', 'message', 'E1', 14284.44999)")
    balance = db.execute(
        "SELECT credit_balance, current_usage, remaining_credits FROM get_tenant_balance(1)"
    ).fetchone()
    entries = value(db, "SELECT sum(amount) FROM credit_entries")
    used = value(db, "SELECT sum(total_cost) FROM usage_records")
    assert used == Decimal("14.28444999")
    assert balance == (entries, used, 100)
    assert_sound(db)


def test_drift_lago_api_4642_the_invoice_and_what_it_is_made_of_a_cent_apart(
    db: Connection,
) -> None:
    """getlago/lago-api#4642: a wallet was debited with a rounded sum and the invoice with one that
    was not, a cent less or, once, below zero. A line is rounded once, from the exact sum of its
    records, and the invoice is the sum of its lines; rounding each call would be 10 cents off."""
    add_tenant(db)
    for _ in range(20):
        add_call(db, "2026-05-15", seconds=60)
    invoice = value(db, "SELECT generate_invoice(1, '2026-05-01')")
    lines = db.execute("SELECT kind, amount FROM invoice_line_items ORDER BY id").fetchall()
    assert [amount for kind, amount in lines if kind == "usage"] == [Decimal("0.30")]
    assert value(db, "SELECT sum(total_cost) FROM usage_records") == Decimal("0.30")
    total = value(db, "SELECT total_amount FROM get_invoice(%s)", invoice)
    assert total == sum(amount for _, amount in lines) == Decimal("0.30")
    assert_sound(db)


def test_drift_killbill_1934_days_that_move_with_daylight_saving(db: Connection) -> None:
    """killbill/killbill#1934: local days were computed with the offset of the day on which the
    account was opened, so that usage near midnight was on another day for half of the year. A day
    is that of the tenant's zone at that instant, whenever the tenant came: 23 hours long in
    spring, 25 in autumn."""
    for tenant_id, opened in ((1, "2024-01-15"), (2, "2024-07-15")):
        db.execute(
            "INSERT INTO tenants (id, timezone, created_at) VALUES (%s, 'America/New_York', %s)",
            [tenant_id, opened],
        )
        for first in ("2025-03-08 05:00+00", "2025-11-01 04:00+00"):
            for hour in range(72):
                at = dt.datetime.fromisoformat(first) + dt.timedelta(hours=hour)
                add_call(db, str(at), tenant_id=tenant_id)
    days = "SELECT summary_date::text, record_count FROM usage_summaries WHERE tenant_id = %s"
    expected = {
        "2025-03-08": 24, "2025-03-09": 23, "2025-03-10": 24, "2025-03-11": 1,
        "2025-11-01": 24, "2025-11-02": 25, "2025-11-03": 23,
    }  # fmt: skip
    for tenant_id in (1, 2):
        counted: dict[str, int] = dict(db.execute(days, [tenant_id]).fetchall())
        assert counted == expected
    assert_sound(db)


# Too late -----------------------------------------------------------------------------------------


def test_late_killbill_876_usage_of_a_period_long_past(db: Connection) -> None:
    """killbill/killbill#876: only so many periods back were read, and usage that came later than
    that was ignored. A call may come a year late, or have its duration corrected a year late: it is
    charged on its day, at the price of that day, and shown."""
    add_tenant(db)
    known = add_call(db, "2024-05-15", seconds=60)
    db.execute(
        """
        UPDATE pricing_rates SET effective_until = '2025-01-01' WHERE channel = 'voice';
        INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from)
        VALUES ('voice', 'minute', 0.5, '2025-01-01')
        """
    )
    invoice = value(db, "SELECT generate_invoice(1, '2024-05-01')")
    add_call(db, "2024-05-20", seconds=120)
    db.execute("UPDATE calls SET duration_seconds = 180 WHERE id = %s", [known])
    history = db.execute(
        "SELECT total_quantity, total_cost"
        " FROM get_usage_history(1, '2024-05-01', '2024-05-31', 'month')"
    ).fetchall()
    assert history == [(5, Decimal("0.075"))]
    assert value(db, "SELECT generate_invoice(1, '2024-05-01')") == invoice
    assert value(db, "SELECT total_amount FROM get_invoice(%s)", invoice) == Decimal("0.08")
    assert_sound(db)
