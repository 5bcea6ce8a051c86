"""Calls under every kind of price, completed one by one and in bulk, corrected and failed.

Each call and each billing period costs what an oracle with fractions says, to the last digit.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import charge_oracle
import pytest
from psycopg import Connection

from campaigns.oracle import increments, rounded

pytestmark = pytest.mark.newest

SEED = int(os.environ.get("IRISX_TEST_SEED", "20251122"))
UTC = dt.timezone.utc
TENANT = 7
BANDS = {"peak": "0.12", "": "0.05"}


@dataclass(frozen=True)
class Price:
    """A rate on the tenant's card, and the cost of one call of so many seconds by it."""

    prefix: str
    columns: dict[str, Any]
    one_call: Callable[[int, dt.datetime], Fraction]
    period: tuple[str, dict[str, Any], int] | None = None  # Model, terms, seconds rounded up to.


def per_unit(seconds: int, at: dt.datetime) -> Fraction:
    billed = increments(Fraction(seconds), Fraction(30), Fraction(6))
    cost = billed * Fraction("0.37") / 60 + Fraction("0.005")
    return min(max(cost, Fraction("0.25")), Fraction(2))


STEPS = {
    "connection_fee": "0.4",
    "steps": [
        {"from": 0, "unit_price": 0.2, "per": 60, "increment": 60},
        {"from": 60, "unit_price": "0.1", "per": 60, "increment": 1},
        {"from": 300, "unit_price": 0.07, "per": 7, "increment": 45},
    ],
}


def stepped(seconds: int, at: dt.datetime) -> Fraction:
    return charge_oracle.cost("stepped", STEPS, Fraction(seconds), 1)


def banded(seconds: int, at: dt.datetime) -> Fraction:
    """Peak from 08:00 to 20:00 UTC; whole 6 s in each part, the first 30 s at least."""
    parts: list[tuple[str, int]] = []
    for second in range(seconds):
        band = "peak" if 8 <= (at + dt.timedelta(seconds=second)).hour < 20 else ""
        if parts and parts[-1][0] == band:
            parts[-1] = (band, parts[-1][1] + 1)
        else:
            parts.append((band, 1))
    cost = Fraction(0)
    for number, (band, part) in enumerate(parts):
        billed = increments(Fraction(part), Fraction(0 if number else 30), Fraction(6))
        cost += billed * Fraction(BANDS[band]) / 60
    return cost + (Fraction("0.01") if parts[0][0] == "peak" else Fraction("0.02"))


def free(seconds: int, at: dt.datetime) -> Fraction:
    return Fraction(0)


def by_period(prefix: str, model: str, terms: dict[str, Any], each: int = 1) -> Price:
    columns = {"charge_model": model, "terms": json.dumps(terms)}
    if each > 1:
        columns |= {"initial_increment": each, "billing_increment": each}
    return Price(prefix, columns, free, (model, terms, each))


TIERS = [{"up_to": 7, "unit_price": "0.0299"}, {"up_to": "40.5", "unit_price": 0.01, "flat_fee": 2}]
PRICES = [
    Price(
        "1",
        {
            "unit_price": "0.37",
            "initial_increment": 30,
            "billing_increment": 6,
            "connection_fee": "0.005",
            "minimum_charge": "0.25",
            "terms": '{"maximum_charge": 2}',
        },
        per_unit,
    ),
    Price("2", {"charge_model": "stepped", "terms": json.dumps(STEPS)}, stepped),
    Price(
        "3",
        {
            "unit_price": BANDS[""],
            "initial_increment": 30,
            "billing_increment": 6,
            "connection_fee": "0.02",
            "calendar_id": 1,
            "terms": '{"bands": {"peak": {"unit_price": "0.12", "connection_fee": "0.01"}}}',
        },
        banded,
    ),
    by_period("4", "graduated", {"tiers": [*TIERS, {"unit_price": "0.000000007"}]}, each=60),
    by_period("5", "volume", {"tiers": [*TIERS, {"unit_price": "0.0000000001"}]}),
    by_period("6", "package", {"package_size": 3, "package_price": 2, "free_units": "1.5"}),
    by_period("7", "percentage", {"rate": "2.9", "fixed_fee": "0.3", "free_events": 2}),
]


def install(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id, company_name) VALUES (%s, 'Every Price')", [TENANT])
    db.execute("INSERT INTO calendars (id, name, timezone) VALUES (1, 'days', 'UTC')")
    db.execute(
        "INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)"
        " SELECT 1, 'peak', n, '08:00', '20:00' FROM generate_series(1, 7) AS n"
    )
    for price in PRICES:
        columns = ", ".join(price.columns)
        values = ", ".join(["%s"] * len(price.columns))
        db.execute(
            "INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, effective_from,"
            f" {columns}) VALUES (%s, 'voice', 'minute', %s, '2020-01-01', {values})".encode(),
            [TENANT, price.prefix, *price.columns.values()],
        )


@dataclass
class Call:
    id: int
    price: Price
    at: dt.datetime
    seconds: int
    completed: bool = False


def make_calls(rng: random.Random, count: int) -> Iterator[Call]:
    begin = dt.datetime(2025, 10, 1, tzinfo=UTC)
    for number in range(1, count + 1):
        at = begin + dt.timedelta(seconds=rng.randrange(61 * 86400))
        if rng.random() < 0.3:  # Near a change of band.
            at = at.replace(hour=rng.choice((7, 19)), minute=59, second=rng.randrange(60))
        seconds = rng.choice((1, 20, 29, 30, 40, 60, 61, rng.randrange(1, 900)))
        yield Call(number, rng.choice(PRICES), at, seconds)


def complete(db: Connection, rng: random.Random, calls: list[Call]) -> None:
    """Half one by one, half in one statement; then some are corrected and some fail."""
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)"
            " VALUES (%s, %s, %s, 'ringing', %s, %s)",
            [(c.id, TENANT, f"+{c.price.prefix}555", c.at, c.seconds) for c in calls],
        )
        half = len(calls) // 2
        cursor.executemany(
            "UPDATE calls SET status = 'completed' WHERE id = %s", [(c.id,) for c in calls[:half]]
        )
        cursor.execute("UPDATE calls SET status = 'completed' WHERE status = 'ringing'")
        for call in calls:
            call.completed = True
        for call in rng.sample(calls, len(calls) // 5):
            if (how := rng.random()) < 0.3:  # Another band of the same day, perhaps.
                call.at = call.at.replace(hour=rng.randrange(24))
                change = "initiated_at = %s"
                cursor.execute(
                    f"UPDATE calls SET {change} WHERE id = %s".encode(), [call.at, call.id]
                )
            elif how < 0.6:
                call.seconds = rng.randrange(1, 600)
                change = "duration_seconds = %s"
                cursor.execute(
                    f"UPDATE calls SET {change} WHERE id = %s".encode(), [call.seconds, call.id]
                )
            else:
                call.completed = False
                cursor.execute("UPDATE calls SET status = 'failed' WHERE id = %s", [call.id])


def cost_of_period(calls: list[Call]) -> Fraction:
    """Unrounded sums of rounded costs: of each call, and of each price of the period."""
    total = Fraction(0)
    billed: dict[str, list[Fraction]] = defaultdict(list)
    for call in calls:
        total += Fraction(rounded(call.price.one_call(call.seconds, call.at), 10))
        if call.price.period:
            each = Fraction(call.price.period[2])
            billed[call.price.prefix].append(increments(Fraction(call.seconds), each, each))
    for price in PRICES:
        if price.period and (mine := billed.get(price.prefix)):
            model, terms, _ = price.period
            exact = charge_oracle.cost(model, terms, sum(mine, Fraction(0)) / 60, len(mine))
            total += Fraction(rounded(exact, 10))
    return total


@pytest.mark.parametrize("round_", range(3))
def test_calls_and_periods_cost_what_the_oracle_says(db: Connection, round_: int) -> None:
    rng = random.Random(SEED + round_)
    install(db)
    calls = list(make_calls(rng, 400))
    complete(db, rng, calls)

    recorded = dict(
        db.execute("SELECT source_id, sum(total_cost) FROM usage_records GROUP BY 1").fetchall()
    )
    for call in calls:
        exact = call.price.one_call(call.seconds, call.at) if call.completed else Fraction(0)
        assert recorded[call.id] == rounded(exact, 10), call
    assert db.execute("SELECT * FROM verify()").fetchall() == []

    for month in (10, 11):
        mine = [c for c in calls if c.completed and c.at.month == month]
        expected = cost_of_period(mine)
        day = f"2025-{month}-30"
        queries = {
            "period": "SELECT sum(total_cost) FROM get_current_period_usage(%(id)s, %(day)s)",
            "history": "SELECT sum(total_cost) FROM get_usage_history(%(id)s,"
            " date_trunc('month', %(day)s::timestamp)::date,"
            " (date_trunc('month', %(day)s::timestamp) + interval '1 month - 1 day')::date)",
            "lines": "SELECT sum(amount) FROM list_invoice_usage(%(id)s,"
            " date_trunc('month', %(day)s::timestamp)::date,"
            " (date_trunc('month', %(day)s::timestamp) + interval '1 month - 1 day')::date, now())",
        }
        db.execute(
            "SELECT add_up_prices(ARRAY[%(id)s::bigint],"
            " ARRAY[date_trunc('month', %(day)s::timestamp)::date], ARRAY[%(day)s::date + 1])",
            {"id": TENANT, "day": day},
        )
        for name, query in queries.items():
            row = db.execute(query.encode(), {"id": TENANT, "day": day}).fetchone()
            assert row is not None
            assert Fraction(row[0]) == expected, name


def test_one_price_however_it_is_asked(db: Connection) -> None:
    """price_usage, price_measurements and reprice_usage are three ways to one figure."""
    rng = random.Random(SEED)
    install(db)
    calls = list(make_calls(rng, 2000))
    asked = [(c.id, c.price.prefix, c.seconds, c.at) for c in calls]
    ids, prefixes, seconds, instants = map(list, zip(*asked, strict=True))
    differences = db.execute(
        """
        WITH asked AS (
            SELECT ROW(id, 1::smallint, %s, 'voice', 'minute', 'x', seconds, prefix, at)::billing.measurement AS m
            FROM unnest(%s::bigint[], %s::text[], %s::numeric[], %s::timestamptz[])
                AS a (id, prefix, seconds, at)
        ),
        many AS (
            SELECT * FROM billing.price_measurements((SELECT array_agg(m) FROM asked))
        )
        SELECT many.source_id, many, one, again
        FROM many
        INNER JOIN asked ON (m).source_id = many.source_id
        CROSS JOIN LATERAL billing.price_usage(
            (m).tenant_id, 'voice', 'minute', (m).quantity, (m).destination, (m).occurred_at) AS one
        CROSS JOIN LATERAL billing.reprice_usage(
            many.rate_id, 'minute', (m).quantity, (m).occurred_at) AS again
        WHERE (many.rate_id, many.quantity, many.billed_quantity, many.unit_cost, many.total_cost, many.period_rate_id)
                IS DISTINCT FROM
                (one.rate_id, one.quantity, one.billed_quantity, one.unit_cost, one.total_cost, one.period_rate_id)
            OR (one.rate_id, one.quantity, one.billed_quantity, one.unit_cost, one.total_cost, one.period_rate_id)
                IS DISTINCT FROM
                (again.rate_id, again.quantity, again.billed_quantity, again.unit_cost, again.total_cost,
                again.period_rate_id)
            OR many.problem IS NOT NULL
        """,  # noqa: E501
        [TENANT, ids, prefixes, seconds, instants],
    ).fetchall()
    assert differences == []
