"""Published cases of proration, periods, rounding, taxes and credit, on invoices of ours."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from psycopg import Connection

from pyapi.embedded import project

pytestmark = pytest.mark.newest

CASES = json.loads((project() / "tests" / "data" / "invoice_cases.json").read_text())["cases"]
WHOLE = 31 * 30 * 29 * 28  # A fee of which every share by days is a whole number.


def of(kind: str) -> Any:
    found = [case for case in CASES if case["kind"] == kind]
    assert found
    return pytest.mark.parametrize("case", found, ids=lambda case: str(found.index(case)))


def value(db: Connection, query: str, *values: object) -> Any:
    row = db.execute(query.encode(), values).fetchone()
    assert row
    return row[0]


def add_plan(db: Connection, plan_id: int, fee: object, **more: object) -> None:
    columns = {"id": plan_id, "name": f"p{plan_id}", "display_name": "P", "monthly_base_fee": fee}
    columns |= more
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    db.execute(
        f"INSERT INTO billing.pricing_plans ({names}) VALUES ({places})".encode(),
        list(columns.values()),
    )


def draft_total(db: Connection, day: object) -> Decimal:
    invoice_id = value(db, "SELECT billing.generate_invoice(1, %s)", day)
    total = value(db, "SELECT total_amount FROM billing.get_invoice(%s)", invoice_id)
    assert isinstance(total, Decimal)
    return total


@of("cycles")
def test_cycles_of_a_subscription(db: Connection, case: dict[str, Any]) -> None:
    """What is asked for up to a day, in fees: whole periods, and days of begun and ended ones."""
    add_plan(db, 10, WHOLE)
    db.execute(
        "INSERT INTO tenants (id, plan_id, billing_cycle_day) VALUES (1, 10, %s)", [case["day"]]
    )
    db.execute(
        "INSERT INTO billing.tenant_billing (tenant_id, service_start, service_end)"
        " VALUES (1, %s, %s)",
        [case["start"] + "T00:00Z", case["end"] and case["end"] + "T00:00Z"],
    )
    total = value(
        db,
        "SELECT COALESCE(sum(s.amount), 0)"
        "  FROM billing.list_billing_periods(%s, %s, %s) AS p,"
        "       billing.list_fee_shares(1, p.period_start, p.period_end, %s, 'UTC') AS s",
        case["day"], case["start"], case["target"], case["day"],
    )  # fmt: skip
    assert Fraction(total) / WHOLE == Fraction(case["expected"])


@of("upgrade")
def test_an_upgrade_of_a_plan_paid_in_advance(db: Connection, case: dict[str, Any]) -> None:
    """The invoice after it: the new plan's days, less the old one's that were paid for."""
    add_plan(db, 10, case["old"], fee_timing="advance")
    add_plan(db, 20, case["new"])
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 10)")
    change = date.fromisoformat(case["change"])
    first = change.replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    db.execute("SELECT billing.finalize_invoice(billing.generate_invoice(1, %s))", [before])
    db.execute(
        "INSERT INTO billing.tenant_terms SELECT 1, %s, 20, timezone, currency, cards"
        " FROM billing.tenant_terms WHERE tenant_id = 1",
        [case["change"] + "T09:00Z"],
    )
    assert draft_total(db, first) == Decimal(case["expected"])


@of("trial")
def test_a_trial_is_a_later_start(db: Connection, case: dict[str, Any]) -> None:
    add_plan(db, 10, case["fee"])
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 10)")
    start = date.fromisoformat(case["start"]) + timedelta(days=case["trial_days"])
    db.execute(
        "INSERT INTO billing.tenant_billing (tenant_id, service_start) VALUES (1, %s)",
        [f"{start}T00:00Z"],
    )
    assert draft_total(db, case["start"]) == Decimal(case["expected"])


@of("rounding")
def test_a_line_is_rounded_once(db: Connection, case: dict[str, Any]) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute(
        "INSERT INTO billing.adjustments (tenant_id, amount, period_start, period_end, reference,"
        " description) VALUES (1, %s, '2024-01-01', '2024-01-31', 'x', 'Adjustment')",
        [case["amount"]],
    )
    assert draft_total(db, "2024-02-01") == Decimal(case["expected"])


@of("period")
def test_a_period_is_of_the_tenant_s_zone(db: Connection, case: dict[str, Any]) -> None:
    db.execute("INSERT INTO tenants (id, timezone) VALUES (1, %s)", [case["zone"]])
    found = db.execute(
        "SELECT period_start, period_end FROM billing.get_billing_period("
        "1, %s::timestamp AT TIME ZONE %s)",
        [case["at"], case["zone"]],
    ).fetchone()
    first = date.fromisoformat(case["expected"]["start"][:10])
    after = date.fromisoformat(case["expected"]["end_exclusive"][:10])
    assert found == (first, after - timedelta(days=1))


@of("minimum")
def test_a_minimum_spend_holds_without_usage(db: Connection, case: dict[str, Any]) -> None:
    add_plan(db, 10, 0, minimum_spend=case["parameters"]["min_spend"])
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 10)")
    assert draft_total(db, "2024-02-01") == Decimal(case["expected"])


@of("order")
def test_coupon_then_tax_then_credit(db: Connection, case: dict[str, Any]) -> None:
    usage, expected = case["usage"], case["expected"]
    add_plan(db, 10, usage["subscriptions"])
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 10)")
    db.execute(
        "INSERT INTO billing.recurring_charges (tenant_id, description, unit_price, starts_on)"
        " VALUES (1, 'Usage', %s, '2020-01-01')",
        [usage["usage"]],
    )
    db.execute(
        "INSERT INTO billing.coupons (code, description, amount, currency)"
        " VALUES ('C', 'Coupon', %s, 'USD')",
        [usage["coupon"]],
    )
    db.execute("INSERT INTO billing.tenant_coupons SELECT 1, id, '2020-01-01' FROM billing.coupons")
    db.execute(
        "INSERT INTO billing.tax_rules (name, percent) VALUES ('VAT', %s)",
        [case["parameters"]["tax_rate_pct"]],
    )
    # A credit note of an invoice that was paid is credit as well.
    for reference in ("credit_notes", "prepaid"):
        db.execute(
            "SELECT billing.grant_credit(1, %s, 'purchase', %s)", [usage[reference], reference]
        )
    drawn = value(db, "SELECT billing.generate_invoice(1, '2024-02-01')")
    header = "SELECT subtotal, tax, total_amount FROM billing.get_invoice(%s)"
    assert db.execute(header.encode(), [drawn]).fetchone() == tuple(
        Decimal(expected[name]) for name in ("subtotal_excl_tax", "tax", "subtotal_incl_tax")
    )
    db.execute("SELECT billing.finalize_invoice(%s)", [drawn])
    assert value(db, "SELECT total_amount FROM billing.get_invoice(%s)", drawn) == Decimal(
        expected["total_due"]
    )


def test_periods_have_no_gap_and_no_overlap_in_any_zone(db: Connection, thorough: bool) -> None:
    """Every billing day over ten years: days in one period each; in every zone each begins in it.

    2005 to 2014 has the days that Samoa and Tokelau left out, and midnights that clocks skipped.
    """
    query = """
        CREATE TEMPORARY TABLE periods AS
        SELECT day, p.period_start, p.period_end,
               lead(p.period_start) OVER (PARTITION BY day ORDER BY p.period_start) AS next_start
          FROM generate_series(1, 31) AS day,
               billing.list_billing_periods(day, '2005-01-01', '2014-12-31') AS p
    """
    db.execute(query.encode())
    assert value(db, "SELECT count(*) FROM periods") >= 31 * 120
    assert (
        value(
            db,
            "SELECT count(*) FROM periods WHERE next_start <> period_end + 1"
            " OR period_end - period_start NOT BETWEEN 27 AND 30"
            " OR extract(day FROM period_start) <> least(day, extract(day FROM"
            "    date_trunc('month', period_start) + interval '1 month - 1 day'))",
        )
        == 0
    )
    zones = "SELECT name FROM pg_timezone_names WHERE name !~ '^(posix|right)/|^Factory$'"
    if not thorough:
        zones += " AND name ~ '^Pacific/'"
    compared, wrong = db.execute(
        f"""
        SELECT count(*), count(*) FILTER (WHERE
            -- The first instant is in the period, but for a day that the zone left out.
            (i.first AT TIME ZONE z.name)::date NOT BETWEEN p.period_start AND p.period_start + 1
            OR i.next <= i.first
        )
          FROM periods AS p,
               ({zones}) AS z,
               LATERAL (SELECT p.period_start::timestamp AT TIME ZONE z.name,
                               p.next_start::timestamp AT TIME ZONE z.name) AS i (first, next)
         WHERE p.next_start IS NOT NULL
        """.encode()
    ).fetchall()[0]
    assert compared > (1_000_000 if thorough else 100_000)
    assert wrong == 0
