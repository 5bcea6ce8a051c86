"""What an invoice must come to, in fractions, from what happened: no line of SQL is read here.

Money is Fraction, in major units; every rounding is half away from zero, and named. Prices are by
the unit, for this oracle is about invoices; tests/oracle.py is about prices.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def rounded(value: Fraction, decimals: int) -> Fraction:
    """Round half away from zero."""
    scale = 10**decimals
    whole = (abs(value) * scale * 2 + 1) // 2
    return Fraction(whole if value >= 0 else -whole, scale)


def split(amount: Fraction, weights: Sequence[Fraction], decimals: int) -> list[Fraction]:
    """Split an amount in shares of whole minor units by largest remainder, first comes first."""
    scale = 10**decimals
    total = sum(weights, Fraction())
    exact = [amount * weight / total * scale for weight in weights]
    shares = [int(part // 1) for part in exact]
    left = int(amount * scale) - sum(shares)
    order = sorted(range(len(weights)), key=lambda n: (shares[n] - exact[n], n))
    for n in order[:left]:
        shares[n] += 1
    return [Fraction(share, scale) for share in shares]


def period_of(day: date, cycle_day: int) -> tuple[date, date]:
    """The billing period that holds a day, both ends included."""

    def start(year: int, month: int) -> date:
        return date(year, month, min(cycle_day, monthrange(year, month)[1]))

    first = start(day.year, day.month)
    if first > day:
        before = day.replace(day=1) - DAY
        first = start(before.year, before.month)
    after = first.replace(day=1) + timedelta(days=32)
    return first, start(after.year, after.month) - DAY


@dataclass
class Plan:
    id: int
    name: str
    fee: Fraction
    timing: str = "arrears"
    proration: str = "day"


@dataclass
class Record:
    """What was recorded at one moment: a charge, or taken back (negative)."""

    day: date
    channel: str
    price: Fraction
    quantity: Fraction
    cost: Fraction
    invoice: int | None = None  # The invoice or adjustment line that bills it.


@dataclass
class Rule:
    name: str
    percent: Fraction
    kind: str | None = None
    channel: str | None = None


@dataclass
class Coupon:
    percent: Fraction | None
    amount: Fraction | None
    kind: str | None
    first: date
    periods: int | None


@dataclass
class Line:
    kind: str
    amount: Fraction
    exact: Fraction
    channel: str | None = None
    taxable: Fraction | None = None
    plan: int | None = None
    fee_of: date | None = None
    place: tuple[Any, ...] = ()  # On the paper, which decides between equal remainders.


@dataclass
class Bill:
    first: date
    last: date
    lines: list[Line]

    @property
    def total(self) -> Fraction:
        return sum((line.amount for line in self.lines), Fraction())


@dataclass
class Tenant:
    zone: str
    cycle_day: int
    decimals: int
    plans: list[tuple[datetime | None, Plan]]  # From when on; None: always.
    service: tuple[datetime | None, datetime | None] = (None, None)
    rules: list[Rule] = field(default_factory=list)
    coupons: list[Coupon] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    included: Fraction = Fraction()  # Credit of the plan, and all other.
    prepaid: Fraction = Fraction()

    def bill(self, day: date) -> Bill:
        """Draw up and issue the bill of the period that holds a day."""
        first, last = period_of(day, self.cycle_day)
        fees = sorted(self._fees(first, last), key=lambda line: line.place)
        lines = [*fees, *self._usage(first, last), *self._late()]
        for line in lines:
            line.taxable = line.exact
        self._discount(lines, first)
        usage = [line for line in lines if line.kind in ("usage", "adjustment")]
        # What is left of lines as they are rounded.
        taken = min(self.included, self._left(usage))
        if usage and taken > 0:
            self._spread(usage, taken)
            lines.append(Line("credit", -taken, -taken))
            self.included -= taken
        lines += self._taxes(lines)
        due = sum((line.amount for line in lines), Fraction())
        paid = min(self.prepaid, due)
        if paid > 0:
            lines.append(Line("credit", -paid, -paid))
            self.prepaid -= paid
        bill = Bill(first, last, lines)
        self.bills.append(bill)
        if bill.total < 0:
            self.prepaid -= bill.total
        return bill

    def _usage(self, first: date, last: date) -> Iterable[Line]:
        sums: dict[tuple[str, Fraction], list[Record]] = defaultdict(list)
        for record in self.records:
            if first <= record.day <= last:
                assert record.invoice is None
                record.invoice = len(self.bills)
                sums[record.channel, record.price].append(record)
        for (channel, _), records in sorted(sums.items()):
            cost = sum((record.cost for record in records), Fraction())
            if cost or sum(record.quantity for record in records):
                yield Line("usage", rounded(cost, self.decimals), cost, channel)

    def _late(self) -> Iterable[Line]:
        for bill in self.bills:
            late = [
                record
                for record in self.records
                if record.invoice is None and bill.first <= record.day <= bill.last
            ]
            cost = sum((record.cost for record in late), Fraction())
            for record in late:
                record.invoice = len(self.bills)
            if cost:
                yield Line("adjustment", rounded(cost, self.decimals), cost)

    def _shares(self, first: date, last: date) -> list[tuple[Plan, date, Fraction]]:
        """Each stretch of a period on one plan, its first day, and what it asks for."""
        zone = ZoneInfo(self.zone)

        def midnight(day: date) -> datetime:
            return datetime(day.year, day.month, day.day, tzinfo=zone)

        def seconds(start: datetime, end: datetime) -> Fraction:
            return Fraction(end.timestamp() - start.timestamp())

        begin, end = midnight(first), midnight(last + DAY)
        in_days = Fraction((last - first).days + 1)
        begin = max(begin, self.service[0]) if self.service[0] else begin
        end = min(end, self.service[1]) if self.service[1] else end
        if begin.timestamp() >= end.timestamp():
            return []

        def plan_at(at: datetime) -> Plan:
            """The plan just before an instant."""
            held = [plan for since, plan in self.plans if since is None or since < at]
            return held[-1]

        cuts = [
            since
            for since, _ in self.plans
            if since is not None and begin.timestamp() < since.timestamp() < end.timestamp()
        ]
        stretches: list[tuple[Plan, datetime, datetime]] = []
        for start, stop in zip([begin, *cuts], [*cuts, end], strict=True):
            plan = plan_at(stop)
            if stretches and stretches[-1][0] is plan:
                stretches[-1] = (plan, stretches[-1][1], stop)
            else:
                stretches.append((plan, start, stop))
        owner: dict[date, int] = {}
        for n, (_, start, stop) in enumerate(stretches):
            day = start.astimezone(zone).date()
            while midnight(day).timestamp() < stop.timestamp():
                owner[day] = n
                day += DAY
        shares = []
        for n, (plan, start, stop) in enumerate(stretches):
            if plan.proration == "day":
                share = Fraction(sum(whose == n for whose in owner.values())) / in_days
            elif plan.proration == "second":
                share = seconds(start, stop) / seconds(midnight(first), midnight(last + DAY))
            else:
                share = Fraction(n == len(stretches) - 1)
            if share and plan.fee:
                day = start.astimezone(zone).date()
                shares.append((plan, day, rounded(plan.fee * share, 10)))
        return shares

    def _fees(self, first: date, last: date) -> Iterable[Line]:
        following = period_of(last + DAY, self.cycle_day)
        for start, end in ((first, last), following):
            asked: dict[int, list[tuple[Plan, date, Fraction]]] = defaultdict(list)
            for plan, day, amount in self._shares(start, end):
                if start == first or plan.timing == "advance":
                    asked[plan.id].append((plan, day, amount))
            before: dict[int, Fraction] = defaultdict(Fraction)
            for bill in self.bills:
                for line in bill.lines:
                    if line.plan is not None and line.fee_of == start:
                        before[line.plan] += line.amount
            for plan_id, stretches in asked.items():
                for plan, day, amount in stretches if plan_id not in before else ():
                    at = rounded(amount, self.decimals)
                    yield Line(
                        "fee", at, amount, plan=plan_id, fee_of=start, place=(0, plan.fee, day)
                    )
            for plan_id, paid in before.items():
                if start == first or plan_id in asked:
                    sums = sum((amount for _, _, amount in asked[plan_id]), Fraction())
                    at = rounded(sums - paid, self.decimals)
                    if at:
                        place = (1, start, plan_id)
                        yield Line("fee", at, sums - paid, plan=plan_id, fee_of=start, place=place)

    def _left(self, lines: Iterable[Line]) -> Fraction:
        left = Fraction()
        for line in lines:
            assert line.taxable is not None
            left += line.amount - (line.exact - line.taxable)
        return left

    def _spread(self, lines: Sequence[Line], amount: Fraction) -> None:
        weights = [self._left([line]) for line in lines]
        for line, share in zip(lines, split(amount, weights, self.decimals), strict=True):
            assert line.taxable is not None
            line.taxable -= share

    def _discount(self, lines: list[Line], first: date) -> None:
        for coupon in self.coupons:
            if first < coupon.first or coupon.periods == 0:
                continue
            scope = [
                line
                for line in lines
                if line.taxable is not None and (coupon.kind is None or (line.kind == coupon.kind))
            ]
            base = self._left(scope)
            if base <= 0:
                continue
            if coupon.percent is not None:
                discount = rounded(base * coupon.percent / 100, self.decimals)
            else:
                assert coupon.amount is not None
                discount = coupon.amount
            discount = min(discount, base)
            if discount <= 0:
                continue
            self._spread(scope, discount)
            lines.append(Line("discount", -discount, -discount))
            if coupon.periods is not None:
                coupon.periods -= 1

    def _taxes(self, lines: Iterable[Line]) -> list[Line]:
        bases: dict[tuple[str, Fraction], Fraction] = defaultdict(Fraction)
        names = {rule.name for rule in self.rules}
        for line in lines:
            if line.taxable is None:
                continue
            for name in names:
                fitting = [
                    rule
                    for rule in self.rules
                    if rule.name == name
                    and rule.kind in (None, "plan_fee" if line.kind == "fee" else line.kind)
                    and rule.channel in (None, line.channel)
                ]
                if fitting:
                    rule = min(fitting, key=lambda rule: (rule.channel is None, rule.kind is None))
                    # What rounding left of a line that asks for nothing is not taxed.
                    bases[name, rule.percent] += line.taxable if self._left([line]) else 0
        return [
            Line("tax", rounded(base * percent / 100, self.decimals), base * percent / 100)
            for (_, percent), base in sorted(bases.items())
        ]
