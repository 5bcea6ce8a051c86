"""simulate_plan: the current plan gives the invoice, another one what it would have been."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from campaigns.oracle import Prices, Terms, Usage, read_rates, rounded
from pyapi import Client
from pyapi.cli import main

pytestmark = pytest.mark.newest

FROM, TO = "2026-03-01", "2026-04-30"
LINE = (
    "kind, channel, resource_type, description, trim_scale(quantity), trim_scale(unit_price),"
    " amount"
)
GRADUATED = (
    '{"tiers": [{"up_to": 20, "unit_price": "0.013", "flat_fee": "1.5"},'
    ' {"up_to": null, "unit_price": "0.0071"}]}'
)
VOLUME = '{"tiers": [{"up_to": 30, "unit_price": "0.01"}, {"up_to": null, "unit_price": "0.004"}]}'
STEPPED = (
    '{"connection_fee": "0.01", "steps": [{"from": 0, "unit_price": "0.03", "per": 60,'
    ' "increment": 6}, {"from": 90, "unit_price": "0.011", "per": 60, "increment": 1}]}'
)
BANDS = '{"bands": {"peak": {"unit_price": "0.031"}}}'
PACKAGE = '{"package_size": 7, "package_price": "0.9"}'


def add_rate(db: Connection, channel: str, resource: str, price: str | None, **more: Any) -> None:
    values = {
        "channel": channel,
        "resource_type": resource,
        "unit_price": price,
        "effective_from": "2020-01-01",
        **more,
    }
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    db.execute(f"INSERT INTO billing.pricing_rates ({names}) VALUES ({places})".encode(), values)


def build(db: Connection, seed: int) -> None:
    """Six tenants on three plans with cards of every kind, two months of usage and corrections."""
    chance = random.Random(seed)
    db.execute(
        """
        INSERT INTO billing.pricing_plans
            (id, name, display_name, monthly_base_fee, minimum_spend, maximum_spend)
        VALUES (10, 'tiers', 'Tiers', 12.345, NULL, NULL), (11, 'floor', 'Floor', 0, 3, 4.5),
               (12, 'bands', 'Bands', 5, NULL, 2);
        INSERT INTO billing.plan_allowances VALUES
            (10, 'voice', 'minute', '2020-01-01', 3.5, 0.0123),
            (12, 'sms', 'message', '2020-01-01', 4, 0.0075),
            (12, 'sms', 'message', '2026-04-01', 9, 0.004);
        INSERT INTO billing.calendars (id, name, timezone) VALUES (1, 'office', 'Europe/Rome');
        INSERT INTO billing.calendar_bands
        SELECT 1, 'peak', n, '08:00', '18:00' FROM generate_series(1, 5) AS n;
        INSERT INTO tenants (id, plan_id, billing_cycle_day, timezone, currency) VALUES
            (1, 10, 1, 'UTC', 'USD'), (2, 11, 31, 'Asia/Tokyo', 'USD'),
            (3, 12, 15, 'America/New_York', 'USD'), (4, 10, 29, 'Europe/Rome', 'USD'),
            (5, 12, 1, 'UTC', 'USD'), (6, 1, 1, 'UTC', 'JPY');
        """
    )
    for prefix in ("1", "44", "447", "4479", "39"):
        add_rate(
            db,
            "voice",
            "minute",
            str(Decimal(chance.randint(1, 900)) / 10_000),
            prefix=prefix,
            initial_increment=chance.choice((0, 1, 30)),
            billing_increment=chance.choice((0, 1, 6, 7)),
            connection_fee=chance.choice(("0", "0.005")),
            effective_until=chance.choice((None, "2026-03-20")),
        )
    # A plan's card hides the default card only where it matches.
    add_rate(db, "sms", "message", None, plan_id=10, charge_model="graduated", terms=GRADUATED)
    add_rate(db, "whatsapp", "message", None, plan_id=11, charge_model="volume", terms=VOLUME)
    add_rate(db, "email", "message", None, plan_id=12, charge_model="package", terms=PACKAGE)
    add_rate(
        db, "voice", "minute", None, prefix="39", plan_id=11, charge_model="stepped", terms=STEPPED
    )
    add_rate(db, "voice", "minute", "0.02", prefix="1", plan_id=12, calendar_id=1, terms=BANDS)
    add_rate(db, "voice", "minute", "0.009", tenant_id=4, prefix="44", minimum_charge="0.02")
    add_rate(db, "voice", "minute", "1.5", tenant_id=6, currency="JPY", billing_increment=60)
    add_rate(db, "sms", "message", "0.7", tenant_id=6, currency="JPY")
    # Prices for all destinations, and each for a time only.
    db.execute(
        "UPDATE billing.pricing_rates SET effective_until = '2026-03-15 07:00+00'"
        " WHERE card = 0 AND channel IN ('whatsapp', 'email')"
    )
    add_rate(db, "whatsapp", "message", "0.0061", effective_from="2026-03-15 07:00+00")
    add_rate(db, "email", "message", "0.0012", effective_from="2026-03-15 07:00+00")
    add_rate(
        db,
        "whatsapp",
        "message",
        "0.0033",
        tenant_id=5,
        effective_from="2026-03-08",
        effective_until="2026-04-08",
    )
    for row in range(1, 241):
        tenant = chance.randint(1, 6)
        at = f"2026-{chance.choice('34')}-{chance.randint(1, 30)} {chance.randint(0, 23)}:59:50+00"
        to = "+" + chance.choice(("1", "44", "447", "44791", "39", "7")) + "5550100"
        if row % 2:
            db.execute(
                "INSERT INTO calls (id, tenant_id, call_sid, to_number, status, answered_at,"
                " duration_seconds) VALUES (%s, %s, %s, %s, 'completed', %s, %s)",
                [row, tenant, f"CA{row}", to, at, chance.randint(1, 400)],
            )
        else:
            channel = "sms" if tenant == 6 else chance.choice(("sms", "email", "whatsapp"))
            db.execute(
                "INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status,"
                " sent_at) VALUES (%s, %s, %s, %s, %s, 'sent', %s)",
                [row, tenant, f"SM{row}", channel, to, at],
            )
    for row in chance.sample(range(1, 241, 2), 30):
        change = chance.choice(
            (
                "duration_seconds = duration_seconds + 7",
                "status = 'failed'",
                "to_number = '+447'",
                "answered_at = answered_at - interval '9 hours'",
            )
        )
        db.execute(f"UPDATE calls SET {change} WHERE id = {row}".encode())
    for row in range(40):
        db.execute(
            "SELECT billing.record_usage(%s, 'voice', 'minute', %s, %s, %s, %s)",
            [
                chance.randint(1, 5),
                f"hand {row}",
                Decimal(chance.choice((0, 20, 75, 600))) / 60,
                '{"to": "+44791"}',
                f"2026-04-{chance.randint(1, 30)}",
            ],
        )


@pytest.mark.parametrize("seed", range(4))
def test_simulating_the_current_plan_gives_the_invoice(db: Connection, seed: int) -> None:
    build(db, seed)
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []
    plans = "SELECT t.id, p.name FROM tenants t JOIN billing.pricing_plans p ON p.id = t.plan_id"
    compared = 0
    for tenant, plan in db.execute(plans.encode()).fetchall():
        simulated = db.execute(
            f"SELECT period_start, {LINE}, currency"
            " FROM billing.simulate_plan(%s, %s, %s, %s)".encode(),
            [tenant, plan, FROM, TO],
        ).fetchall()
        periods = sorted({line[0] for line in simulated})
        for period in periods:
            row = db.execute("SELECT billing.generate_invoice(%s, %s)", [tenant, period]).fetchone()
            assert row
            header = db.execute(
                "SELECT subtotal, currency FROM billing.get_invoice(%s)", row
            ).fetchone()
            lines = db.execute(
                f"SELECT {LINE} FROM billing.get_invoice_lines(%s)".encode(), row
            ).fetchall()
            expected = [line[1:-1] for line in simulated if line[0] == period]
            assert [line[0] for line in expected] == [line[0] for line in lines]
            assert sorted(map(str, expected)) == sorted(map(str, lines))
            assert header == (sum(line[-1] for line in expected), simulated[0][-1])
            compared += len(lines)
        # Every period that the days touch, whole.
        assert len(periods) in (2, 3)
    assert compared > 60


@pytest.mark.parametrize("seed", range(2))
def test_all_tenants_at_once_are_each_by_itself(db: Connection, seed: int) -> None:
    build(db, seed)
    query = "SELECT * FROM billing.simulate_plan(%s, 'bands', %s, %s)"
    together = db.execute(query, [None, FROM, TO]).fetchall()
    alone = [
        line for tenant in range(1, 6) for line in db.execute(query, [tenant, FROM, TO]).fetchall()
    ]
    assert together == alone
    assert {line[0] for line in together} == {1, 2, 3, 4, 5}, "the sixth pays in another currency"


def test_another_plan_costs_what_the_oracle_says(db: Connection) -> None:
    """Per-unit prices: every call of the month at the plan's price, the tenant's own before it."""
    chance = random.Random(5)
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 1), (2, 1)")
    for day in range(1, 20, 9):
        add_rate(
            db,
            "voice",
            "minute",
            str(Decimal(chance.randint(1, 900)) / 10_000),
            plan_id=3,
            prefix=chance.choice(("", "44")),
            effective_from=f"2026-03-{day:02}",
            effective_until=f"2026-03-{day + 9:02}",
            billing_increment=7,
        )
    add_rate(db, "voice", "minute", "0.002", tenant_id=2, prefix="39")
    for row in range(1, 121):
        db.execute(
            "INSERT INTO calls (id, tenant_id, to_number, status, answered_at, duration_seconds)"
            " VALUES (%s, %s, %s, 'completed', %s, %s)",
            [
                row,
                chance.randint(1, 2),
                chance.choice(("+441", "+39", "+1")),
                f"2026-03-{chance.randint(1, 31)} 12:00+00",
                chance.randint(1, 400),
            ],
        )
    prices = Prices(read_rates(db), {1: [Terms(3)], 2: [Terms(3)]})
    expected: dict[tuple[int, Decimal], Decimal] = {}
    unit_prices = {rate.id: rate for rate in prices.rates}
    for tenant, to, at, seconds in db.execute(
        "SELECT tenant_id, to_number, answered_at, duration_seconds FROM calls"
    ).fetchall():
        usage = Usage(tenant, "voice", "minute", "", Decimal(seconds), to.lstrip("+"), at)
        charge = prices.charge(usage, at)
        assert charge
        key = (tenant, unit_prices[charge.rate_id].unit_price)
        expected[key] = expected.get(key, Decimal(0)) + charge.cost
    found = {
        (tenant, price): amount
        for tenant, price, amount in db.execute(
            "SELECT tenant_id, unit_price, amount FROM"
            " billing.simulate_plan(NULL, 'professional', '2026-03-01', '2026-03-31')"
            " WHERE kind = 'usage'"
        )
    }
    assert found == {key: rounded(Fraction(cost), 2) for key, cost in expected.items()}
    assert len(found) > 4


def test_the_client_gives_the_same_lines(db: Connection) -> None:
    build(db, 1)
    lines = Client(db).simulate_plan(1, "tiers", *_days(db))
    total = db.execute(
        "SELECT sum(amount) FROM billing.simulate_plan(1, 'tiers', %s, %s)", [FROM, TO]
    ).fetchone()
    assert total == (sum(line.amount for line in lines),)
    assert {line.kind for line in lines} >= {"plan_fee", "usage"}


def _days(db: Connection) -> tuple[Any, Any]:
    row = db.execute("SELECT %s::date, %s::date", [FROM, TO]).fetchone()
    assert row
    return row[0], row[1]


REFUSED = {
    "UB002": [
        "(99, 'starter', '2026-03-01', '2026-03-31')",
        "(1, 'none', now()::date, now()::date)",
    ],
    "UB012": ["(1, 'starter', '2026-03-02', '2026-03-01')", "(1, 'starter', NULL, '2026-03-01')"],
    "UB005": ["(1, 'euro', '2026-03-01', '2026-03-31')"],
    "UB001": [
        "(1, 'starter', '2026-03-01', '2026-03-31')",
        "(NULL, 'starter', '2026-03-01', '2026-03-31')",
    ],
}


@pytest.mark.parametrize(("state", "call"), [(s, c) for s, calls in REFUSED.items() for c in calls])
def test_it_refuses_rather_than_guess(db: Connection, state: str, call: str) -> None:
    db.execute(
        "INSERT INTO billing.pricing_plans (name, display_name, currency)"
        " VALUES ('euro', 'Euro', 'EUR')"
    )
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 3)")
    add_rate(db, "fax", "page", "0.1", plan_id=3)
    db.execute("SELECT billing.record_usage(1, 'fax', 'page', 'F1', 2, '{}', '2026-03-05')")
    assert db.execute(
        "SELECT amount FROM billing.simulate_plan(1, 'professional', '2026-03-01', '2026-03-31')"
        " WHERE kind = 'usage'"
    ).fetchall() == [(Decimal("0.20"),)]
    with pytest.raises(psycopg.Error) as caught:
        db.execute(f"SELECT * FROM billing.simulate_plan{call}".encode())
    assert caught.value.sqlstate == state


def test_the_command_line_prints_it(database: str, db: Connection) -> None:
    build(db, 0)
    days = ("--from", FROM, "--to", FROM, "-d", database)
    shown = CliRunner().invoke(main, ["simulate", "--plan", "tiers", "--tenant", "1", *days])
    assert shown.exit_code == 0, shown.stderr
    assert "Tiers, monthly fee" in shown.stdout
    assert "total " in shown.stdout
    result = CliRunner().invoke(main, ["simulate", "--plan", "tiers", *days, "-f", "json"])
    lines = json.loads(result.stdout)
    assert {line["tenant_id"] for line in lines} == {1, 2, 3, 4, 5}
    unknown = CliRunner().invoke(main, ["simulate", "--plan", "none", *days])
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "unknown plan" in unknown.stderr
