"""Whole invoices under random histories, against an oracle in fractions.

A history is a few tenants over some billing periods: calls and messages, late and corrected, plans
that change, begin and end, fees in arrears and in advance, taxes, coupons and credit, in currencies
of 0, 2 and 3 decimals and zones with summer time. Every invoice must have the oracle's lines to the
last digit, every record one disposition, every line shares that add up.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from campaigns.invoice_oracle import (
    DAY,
    Coupon,
    Plan,
    Record,
    Rule,
    Tenant,
    period_of,
    rounded,
)
from campaigns.load import CounterExample

Connection = psycopg.Connection[tuple[Any, ...]]

ZONES = ("UTC", "America/New_York", "Europe/Rome", "Asia/Kolkata", "Australia/Lord_Howe")
DECIMALS = {"USD": 2, "JPY": 0, "BHD": 3}
FIRST = datetime(2024, 1, 10, tzinfo=timezone.utc).date()


def decimal(value: Fraction) -> Decimal:
    """A fraction that is a decimal number, as one."""
    return Decimal(value.numerator) / Decimal(value.denominator)


class History:
    """One tenant's story, told to the database and to the oracle."""

    def __init__(self, connection: Connection, chance: random.Random, counts: Counter[str]) -> None:
        self.connection = connection
        self.chance = chance
        self.counts = counts
        self.currency = chance.choice(tuple(DECIMALS))
        self.decimals = DECIMALS[self.currency]
        self.plans = [self._make_plan(n) for n in range(3)]
        self.tenant = Tenant(
            zone=chance.choice(ZONES),
            cycle_day=chance.choice((1, 1, 15, 29, 31)),
            decimals=self.decimals,
            plans=[(None, chance.choice(self.plans))],
        )
        self.zone = ZoneInfo(self.tenant.zone)
        (self.id,) = self._one(
            "INSERT INTO tenants (company_name, plan_id, billing_cycle_day, timezone, currency)"
            " VALUES ('History', %s, %s, %s, %s) RETURNING id",
            self.tenant.plans[0][1].id,
            self.tenant.cycle_day,
            self.tenant.zone,
            self.currency,
        )
        self.prices = {
            "voice": self._amount(500, 4),
            "sms": self._amount(500, 4),
        }
        for channel, resource in (("voice", "minute"), ("sms", "message")):
            connection.execute(
                "INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price,"
                " currency, effective_from) VALUES (%s, %s, %s, %s, %s, '2020-01-01')",
                [self.id, channel, resource, decimal(self.prices[channel]), self.currency],
            )
        self.calls: dict[int, Record | None] = {}
        self.changed = 0.0
        self.entity = self._make_terms()

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row = self.connection.execute(query.encode(), values).fetchone()
        assert row
        return row

    def _amount(self, most: int, decimals: int | None = None) -> Fraction:
        places = self.decimals if decimals is None else decimals
        return Fraction(self.chance.randint(1, most), 10**places)

    def _make_plan(self, number: int) -> Plan:
        fee = Fraction(self.chance.choice((0, 999, 1234, 2999, 10000)), 10**self.decimals)
        timing = self.chance.choice(("arrears", "arrears", "advance"))
        proration = self.chance.choice(("day", "day", "second", "none"))
        name = f"plan {self.chance.getrandbits(60)} {number}"
        (plan_id,) = self._one(
            "INSERT INTO billing.pricing_plans (name, display_name, monthly_base_fee, currency,"
            " fee_timing, proration) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            name, name, decimal(fee), self.currency, timing, proration,
        )  # fmt: skip
        return Plan(plan_id, name, fee, timing, proration)

    def _make_terms(self) -> int:
        """Taxes, coupons, start and end; a legal entity of its own, so that numbers start at 1."""
        (entity,) = self._one(
            "INSERT INTO billing.legal_entities (name) VALUES (%s) RETURNING id",
            f"entity {self.id}",
        )
        service: list[datetime | None] = [None, None]
        for place, days in ((0, (0, 40)), (1, (60, 130))):
            if self.chance.random() < 0.3:
                moment = timedelta(
                    days=self.chance.randint(*days), seconds=self.chance.randint(0, 86399)
                )
                service[place] = datetime(2024, 1, 10, tzinfo=timezone.utc) + moment
        self.tenant.service = (service[0], service[1])
        self.connection.execute(
            "INSERT INTO billing.tenant_billing (tenant_id, legal_entity_id, service_start,"
            " service_end) VALUES (%s, %s, %s, %s)",
            [self.id, entity, *service],
        )
        for name in self.chance.choice(((), ("VAT",), ("VAT",), ("State", "City"))):
            for kind, channel in ((None, None), ("plan_fee", None), (None, "sms")):
                if (kind, channel) == (None, None) or self.chance.random() < 0.4:
                    percent = Fraction(self.chance.choice((0, 7, 825, 1900, 2333)), 100)
                    self.tenant.rules.append(Rule(name, percent, kind, channel))
                    self.connection.execute(
                        "INSERT INTO billing.tax_rules (legal_entity_id, tenant_id, name, percent,"
                        " kind, channel) VALUES (%s, %s, %s, %s, %s, %s)",
                        [entity, self.id, name, decimal(percent), kind, channel],
                    )
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            is_percent = self.chance.random() < 0.5
            percent_off = Fraction(self.chance.choice((10, 33, 100))) if is_percent else None
            amount = None if is_percent else self._amount(1500)
            kind = self.chance.choice((None, None, "plan_fee", "usage"))
            first = FIRST + self.chance.choice((0, 50)) * DAY
            periods = self.chance.choice((None, 1, 2))
            scope = {"plan_fee": "fee"}.get(kind or "", kind)
            self.tenant.coupons.append(Coupon(percent_off, amount, scope, first, periods))
            (coupon,) = self._one(
                "INSERT INTO billing.coupons (code, description, percent, amount, currency, kind)"
                " VALUES (%s, 'Coupon', %s, %s, %s, %s) RETURNING id",
                str(self.chance.getrandbits(60)),
                None if percent_off is None else decimal(percent_off),
                None if amount is None else decimal(amount),
                None if amount is None else self.currency,
                kind,
            )
            self.connection.execute(
                "INSERT INTO billing.tenant_coupons VALUES (%s, %s, %s, NULL, %s)",
                [self.id, coupon, first, periods],
            )
        return int(entity)

    # What happens

    def live(self, number: int) -> None:
        """A billing period, and what came late to those before."""
        first, last = self._period(number)
        days = [first + n * DAY for n in range((last - first).days + 1)]
        for _ in range(self.chance.randint(0, 12)):
            self._use(self.chance.choice(days))
        if number:
            earlier = self._period(self.chance.randrange(number))
            for _ in range(self.chance.choice((0, 0, 1, 3))):
                self._use(earlier[0] + self.chance.randint(0, 27) * DAY)
        for call in self.chance.sample(sorted(self.calls), min(len(self.calls), 3)):
            self._correct(call)
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            self._change_plan(self.chance.choice(days))
        if self.chance.random() < 0.3:
            amount = self._amount(3000)
            self.tenant.prepaid += amount
            self._one(
                "SELECT billing.grant_credit(%s, %s, 'purchase', %s)",
                self.id, decimal(amount), str(self.chance.getrandbits(60)),
            )  # fmt: skip
        if self.chance.random() < 0.3:
            amount = self._amount(60)
            self.tenant.included += amount
            self._one(
                "SELECT billing.enter_credit(%s, %s, 'included', %s)",
                self.id, decimal(amount), str(self.chance.getrandbits(60)),
            )  # fmt: skip

    def _period(self, number: int) -> tuple[Any, Any]:
        first, last = period_of(FIRST, self.tenant.cycle_day)
        for _ in range(number):
            first, last = period_of(last + DAY, self.tenant.cycle_day)
        return first, last

    def _use(self, day: Any) -> None:
        at = datetime(
            day.year, day.month, day.day, self.chance.choice((4, 12, 23)), 7, tzinfo=self.zone
        )
        if self.chance.random() < 0.4:
            count = self.chance.randint(1, 40)
            self._one(
                "SELECT billing.record_usage(%s, 'sms', 'message', %s, %s, '{}', %s)",
                self.id, str(self.chance.getrandbits(60)), count, at,
            )  # fmt: skip
            self._write(day, "sms", Fraction(count))
            return
        seconds = self.chance.randint(1, 4000)
        (call,) = self._one(
            "INSERT INTO calls (tenant_id, to_number, status, answered_at, duration_seconds)"
            " VALUES (%s, '+15550100', 'completed', %s, %s) RETURNING id",
            self.id, at, seconds,
        )  # fmt: skip
        self.calls[call] = self._write(day, "voice", Fraction(seconds, 60))

    def _write(self, day: Any, channel: str, quantity: Fraction) -> Record:
        price = self.prices[channel]
        record = Record(day, channel, price, quantity, rounded(quantity * price, 10))
        self.tenant.records.append(record)
        self.counts["records"] += 1
        return record

    def _correct(self, call: int) -> None:
        before = self.calls[call]
        failed = self.chance.random() < 0.3
        if before is None:
            return
        seconds = self.chance.randint(1, 4000)
        if failed:
            change: tuple[str, object] = ("status", "failed")
        else:
            change = ("duration_seconds", seconds)
        self.connection.execute(
            f"UPDATE calls SET {change[0]} = %s WHERE id = %s".encode(), [change[1], call]
        )
        if not failed and Fraction(seconds, 60) == before.quantity:
            return
        taken = Record(before.day, "voice", before.price, -before.quantity, -before.cost)
        self.tenant.records.append(taken)
        self.counts["corrections"] += 1
        quantity = Fraction(seconds, 60)
        self.calls[call] = None if failed else self._write(before.day, "voice", quantity)

    def _change_plan(self, day: Any) -> None:
        """What the trigger on tenants would have entered at that time."""
        at = datetime(day.year, day.month, day.day, tzinfo=self.zone) + timedelta(
            seconds=self.chance.choice((0, 1, 43_200, 86_399))
        )
        held = self.tenant.plans
        if at.timestamp() <= self.changed:
            return
        self.changed = at.timestamp()
        plan = self.chance.choice(self.plans)
        self.connection.execute(
            "INSERT INTO billing.tenant_terms"
            " SELECT tenant_id, %s, %s, timezone, currency, cards FROM billing.tenant_terms"
            "  WHERE tenant_id = %s ORDER BY valid_from DESC LIMIT 1",
            [at, plan.id, self.id],
        )
        if plan is not held[-1][1]:
            held.append((at, plan))
        self.counts["plan changes"] += 1

    # What it comes to

    def bill(self, number: int) -> None:
        """Issue the invoice of a period and compare it with the oracle's."""
        first, last = self._period(number)
        (draft,) = self._one("SELECT billing.generate_invoice(%s, %s)", self.id, first)
        (invoice,) = self._one("SELECT billing.finalize_invoice(%s)", draft)
        lines = self.connection.execute(
            "SELECT id, kind, amount, exact_amount, channel FROM billing.get_invoice_lines(%s)",
            [invoice],
        ).fetchall()
        header = self._one(
            "SELECT period_start, period_end, total_amount, invoice_number, status"
            " FROM billing.get_invoice(%s)",
            invoice,
        )
        expected = self.tenant.bill(first)
        names = {"plan_fee": "fee", "proration": "fee"}
        found: list[tuple[str, Fraction, Fraction]] = sorted(
            (names.get(kind) or kind, Fraction(amount), Fraction(exact))
            for _, kind, amount, exact, _ in lines
        )
        wanted = sorted((line.kind, line.amount, line.exact) for line in expected.lines)
        if found != wanted or header[:3] != (first, last, decimal(expected.total)):
            raise CounterExample(
                f"tenant {self.id}, {first} to {last}: {_told(found)}, by the oracle"
                f" {_told(wanted)}; {self.tenant.plans}, {self.tenant.service}"
            )
        assert header[3] == f"INV-{first:%Y-%m}-0001", header
        assert header[4] == ("pending" if expected.total > 0 else "paid")
        for line_id, _, amount, _, _ in lines:
            rows, shares = self._one(
                "SELECT count(*), sum(share) FROM billing.explain_invoice_line(%s)", line_id
            )
            if rows and shares != amount:
                raise CounterExample(f"line {line_id}: shares add up to {shares}, not {amount}")
            self.counts["shares"] += rows
        self._compare_dispositions()
        self.counts["invoices"] += 1
        self.counts["lines"] += len(lines)

    def _compare_dispositions(self) -> None:
        found: dict[str, Decimal] = dict(
            self.connection.execute(
                "SELECT disposition, sum(total_cost) FROM billing.usage_disposition"
                " WHERE tenant_id = %s GROUP BY disposition",
                [self.id],
            ).fetchall()
        )
        sums: Counter[str] = Counter()
        for record in self.tenant.records:
            if record.invoice is None:
                name = "open"
            else:
                bill = self.tenant.bills[record.invoice]
                name = "invoiced" if bill.first <= record.day <= bill.last else "adjusted"
            sums[name] += record.cost  # type: ignore[assignment]
        told = {name: decimal(Fraction(cost)) for name, cost in sums.items()}
        if found != told:
            raise CounterExample(f"tenant {self.id}: {found}, by the oracle {told}")


def _told(lines: list[tuple[str, Fraction, Fraction]]) -> str:
    return ", ".join(f"{kind} {decimal(amount)}" for kind, amount, _ in lines)


def run(connection: Connection, seed: int, tenants: int = 3, periods: int = 4) -> Counter[str]:
    """Live one history, in a migrated database of any content; raises CounterExample."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    histories = [History(connection, chance, counts) for _ in range(tenants)]
    for number in range(periods):
        for history in histories:
            history.live(number)
        for history in histories:
            history.bill(number)
    violations = connection.execute(
        "SELECT * FROM billing.verify()"
        " WHERE check_name <> 'the terms of a tenant are remembered'"  # Plans of the past.
    ).fetchall()
    if violations:
        raise CounterExample(str(violations))
    return counts
