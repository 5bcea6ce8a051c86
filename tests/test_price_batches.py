"""Many measurements priced together cost what each of them costs by itself.

price_measurements looks each tenant and each price up once for all rows that share them;
price_usage prices one row at a time and is judged by the oracles elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from decimal import Decimal
from typing import Any

import pytest
from psycopg import Connection

pytestmark = pytest.mark.newest

SEED = int(os.environ.get("IRISX_TEST_SEED", "20251127"))
BEGIN = dt.datetime(2025, 10, 1, tzinfo=dt.timezone.utc)
PLANS = (2, 3, 4)
TENANTS = range(1, 41)
RESOURCES = (("voice", "minute"), ("sms", "message"))
ZONES = ("UTC", "Asia/Kolkata", "America/New_York")
CURRENCIES = ("USD", "USD", "USD", "EUR")
UNPRICED = (None, "", "nothing")
ODD_NUMBERS = (None, "", "+", "1:9", "19é", "9" * 40)
ODD_QUANTITIES = (None, "NaN", "Infinity", "-Infinity", "-60", "0", "2678401", "1000000001", "0.5")
ODD_INSTANTS = (None, "-infinity", "infinity")
STEPS = {"steps": [{"from": 0, "unit_price": 0.2, "per": 60, "increment": 60}]}
TIERS = {"tiers": [{"up_to": 7, "unit_price": "0.03"}, {"unit_price": "0.01"}]}


def instant(rng: random.Random, days: int = 60) -> dt.datetime:
    """Often one of a few, so that rows lie at and just before a change."""
    at = BEGIN + dt.timedelta(days=rng.randrange(days))
    if rng.random() < 0.5:
        return at + dt.timedelta(microseconds=rng.choice((-1, 0, 0, 1)))
    return at + dt.timedelta(seconds=rng.randrange(86_400))


def terms_of(rng: random.Random, resource_type: str) -> dict[str, Any]:
    """The columns of one price: mostly plain, some of every other kind."""
    price = Decimal(rng.randrange(10**6)).scaleb(-6)
    if rng.random() < 0.5:
        return {"unit_price": price}
    if rng.random() < 0.2:
        return {"charge_model": "graduated", "terms": json.dumps(TIERS)}
    if resource_type != "minute":
        return {"unit_price": price, "minimum_charge": rng.choice((0, "0.25"))}
    if rng.random() < 0.2:
        return {"charge_model": "stepped", "terms": json.dumps(STEPS)}
    if rng.random() < 0.2:
        return {"unit_price": price, "terms": '{"maximum_charge": 2}'}
    return {
        "unit_price": price,
        "initial_increment": rng.choice((0, 1, "0.5", 30)),
        "billing_increment": rng.choice((0, 1, "0.7", 6)),
        "connection_fee": rng.choice((0, 0, "0.005")),
    }


def enter_rates(db: Connection, rng: random.Random, count: int) -> None:
    """Prices on every kind of card, some of which end and follow each other among the rows."""
    taken = {(None, None, *resource, "") for resource in RESOURCES}
    for _ in range(count):
        plan, tenant = rng.choice(
            ((None, None), (rng.choice(PLANS), None), (None, rng.choice(TENANTS)))
        )
        prefix = "".join(rng.choices("0199", k=rng.choice((0, 0, 1, 2, 3, 6))))
        channel, resource_type = rng.choice(RESOURCES)
        key = (plan, tenant, channel, resource_type, prefix)
        if key in taken:
            continue
        taken.add(key)
        cuts = sorted({instant(rng) for _ in range(rng.choice((0, 0, 1, 3)))})
        cuts.insert(0, BEGIN - dt.timedelta(days=400))
        for begin, end in zip(cuts, [*cuts[1:], None], strict=True):
            if len(cuts) > 1 and rng.random() < 0.2:
                continue
            columns = {
                "plan_id": plan,
                "tenant_id": tenant,
                "channel": channel,
                "resource_type": resource_type,
                "prefix": prefix,
                "currency": rng.choice(CURRENCIES),
                "effective_from": begin,
                "effective_until": end,
                **terms_of(rng, resource_type),
            }
            db.execute(
                f"INSERT INTO pricing_rates ({', '.join(columns)})"
                f" VALUES ({', '.join(['%s'] * len(columns))})".encode(),
                list(columns.values()),
            )


def enter_tenants(db: Connection, rng: random.Random) -> None:
    """Some on no plan, and a third of them on other terms from some instants on."""
    for tenant in TENANTS:
        db.execute(
            "INSERT INTO tenants (id, plan_id, timezone, currency) VALUES (%s, %s, %s, %s)",
            [tenant, rng.choice((None, *PLANS)), rng.choice(ZONES), rng.choice(CURRENCIES)],
        )
        for _ in range(rng.choice((0, 0, 1, 3))):
            db.execute(
                "INSERT INTO tenant_terms"
                " (tenant_id, valid_from, plan_id, timezone, currency, cards)"
                " SELECT tenant_id, %(at)s, %(plan)s, %(zone)s, currency,"
                " list_cards(tenant_id, %(plan)s) FROM tenant_terms"
                " WHERE tenant_id = %(tenant)s AND valid_from = '-infinity'"
                " ON CONFLICT DO NOTHING",
                {
                    "tenant": tenant,
                    "at": instant(rng),
                    "plan": rng.choice((None, *PLANS)),
                    "zone": rng.choice(ZONES),
                },
            )


def as_text(row: tuple[Any, ...]) -> str:
    """A measurement as PostgreSQL reads it."""
    source_id, tenant_id, channel, resource_type, quantity, destination, at = (
        "" if value is None else f'"{value}"' for value in row
    )
    return f"({source_id},0,{tenant_id},{channel},{resource_type},R,{quantity},{destination},{at})"


def batch(rng: random.Random, count: int) -> list[tuple[Any, ...]]:
    """Rows of few or many tenants, in hours or in months, to few or many numbers."""
    tenants = rng.sample(TENANTS, rng.choice((1, 5, len(TENANTS))))
    days = rng.choice((1, 60))
    tail = rng.choice((0, 2, 8))
    rows = []
    for number in range(count):
        odd = rng.random() < 0.1
        channel, resource_type = rng.choice(RESOURCES)
        row = [
            number,
            rng.choice(tenants),
            channel,
            resource_type,
            str(rng.choice((1, 29, 60, rng.randrange(1, 4000)))),
            "".join(rng.choices("0199", k=3 + rng.randint(0, tail))),
            str(instant(rng, days)),
        ]
        if odd:
            place = rng.randrange(7)
            row[place] = rng.choice(
                (
                    (None,),
                    (None, 999),
                    UNPRICED,
                    UNPRICED,
                    ODD_QUANTITIES,
                    ODD_NUMBERS,
                    ODD_INSTANTS,
                )[place]
            )
        rows.append(tuple(row))
    return rows


COMPARE = """
    WITH given AS MATERIALIZED (
        SELECT
            m.*, COALESCE(m.occurred_at, statement_timestamp()) AS at,
            (m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id,
                m.quantity, m.destination)::text AS row
        FROM unnest(%(measured)s::text[]::measurement[]) AS m
    ),
    together AS (
        SELECT
            (source_id, part, tenant_id, channel, resource_type, resource_id, measured,
                destination)::text,
            problem,
            CASE
                WHEN problem IS NULL
                    THEN (occurred_at, rate_id, currency, usage_date, quantity, billed_quantity,
                        unit_cost, total_cost, period_rate_id)::text
            END AS priced
        FROM price_measurements(%(measured)s::text[]::measurement[])
    ),
    alone AS (
        SELECT
            g.row, x.problem,
            CASE
                WHEN x.problem IS NULL
                    THEN (g.at, p.rate_id, p.currency, p.usage_date, p.quantity, p.billed_quantity,
                        p.unit_cost, p.total_cost, p.period_rate_id)::text
            END
        FROM given AS g
        CROSS JOIN LATERAL price_usage(
            g.tenant_id, g.channel, g.resource_type, g.quantity, g.destination, g.at
        ) AS p
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN g.source_id IS NULL THEN 'UB011'
                ELSE COALESCE(find_problem(g.quantity, g.resource_type), p.problem)
            END
        ) AS x (problem)
    )
    SELECT count(*), count(priced), count(DISTINCT problem),
        ARRAY(SELECT t::text FROM (TABLE together EXCEPT ALL TABLE alone) AS t),
        ARRAY(SELECT a::text FROM (TABLE alone EXCEPT ALL TABLE together) AS a)
    FROM together
"""


@pytest.mark.parametrize("round_", range(4))
def test_many_together_cost_what_each_costs_alone(db: Connection, round_: int) -> None:
    rng = random.Random(SEED + round_)
    for plan in PLANS:
        db.execute(
            "INSERT INTO pricing_plans (id, name, display_name) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [plan, f"plan {plan}", f"Plan {plan}"],
        )
    enter_tenants(db, rng)
    enter_rates(db, rng, 150)
    priced = problems = 0
    for count in (0, 1, 2, 10, 50, 50, 300, 300, 3000, 3000):
        measured = [as_text(row) for row in batch(rng, count)]
        row = db.execute(COMPARE.encode(), {"measured": measured}).fetchone()
        assert row is not None
        found, priced_now, problems_now, *differences = row
        assert found == count
        assert differences == [[], []]
        priced += priced_now
        problems = max(problems, problems_now)
    assert priced > 2000
    assert problems == 4


@pytest.mark.parametrize("count", [1, 20])
def test_increments_of_a_part_of_a_second_are_billed(db: Connection, count: int) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute(
        "INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price,"
        " initial_increment, billing_increment, effective_from)"
        " VALUES (1, 'voice', 'minute', 60, 0.5, 0.7, '2020-01-01')"
    )
    db.execute(
        "INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)"
        " SELECT n, 1, '+14155550100', 'completed', now(), 2 FROM generate_series(1, %s) AS n",
        [count],
    )
    costs = db.execute("SELECT total_cost FROM usage_records").fetchall()
    assert costs == [(Decimal("2.6"),)] * count
