"""Credit held against an oracle: random histories of entries, usage, reservations, invoices and
expiries, and after each step what the engine says of some instant against what it must say.

The oracle knows what was done, and the engine's clock, and nothing of the engine's tables. It pays
usage piece by piece, in fractions, from the definition: in the order in which it occurred, from the
lots valid then, by priority, earliest expiry, granted before paid, oldest first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from multiprocessing import Manager
from queue import Empty, Queue
from typing import Any

import psycopg

from campaigns.load import CounterExample

PRICE = Fraction("0.0075")  # An SMS by the default card.
PAID = ("purchase", "payment", "refund")
STEPS = 200
"""Of one tenant's history in the long form."""
MICROSECOND = timedelta(microseconds=1)
NEVER = datetime.max.replace(tzinfo=timezone.utc)
ALWAYS = datetime.min.replace(tzinfo=timezone.utc)


@dataclass
class Lot:
    """What was granted, and the takings from it, each with its time."""

    number: int
    amount: Fraction
    kind: str
    priority: int
    created_at: datetime
    expires_at: datetime
    valid_from: datetime = ALWAYS
    taken: list[tuple[datetime, Fraction]] = field(default_factory=list)

    def remaining(self, at: datetime) -> Fraction:
        return self.amount - sum(amount for when, amount in self.taken if when <= at)

    @property
    def turn(self) -> tuple[object, ...]:
        return (self.priority, self.expires_at, self.kind in PAID, self.created_at, self.number)


@dataclass
class Usage:
    """What was used, when, and the instant from which it is on an issued invoice."""

    cost: Fraction
    occurred_at: datetime
    invoiced_at: datetime = NEVER


@dataclass
class Hold:
    """A reservation; usage takes its place for good."""

    quantity: int
    amount: Fraction
    created_at: datetime
    ends_at: datetime
    is_settled: bool = False


@dataclass
class Oracle:
    """A tenant's credit."""

    lots: list[Lot] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)

    def held(self, at: datetime) -> list[Hold]:
        holds = self.holds.values()
        return [h for h in holds if not h.is_settled and h.created_at <= at < h.ends_at]

    def open_usage(self, at: datetime) -> Fraction:
        return sum((u.cost for u in self.usage if u.occurred_at <= at < u.invoiced_at), Fraction(0))

    def unused(self, at: datetime) -> dict[int, Fraction]:
        """What of each lot no entry has taken and nothing that is still to be paid needs."""
        lots = sorted((lot for lot in self.lots if lot.created_at <= at), key=lambda lot: lot.turn)
        left = {lot.number: lot.remaining(at) for lot in lots}
        needs = [(u.occurred_at, u.cost) for u in self.usage if u.occurred_at <= at < u.invoiced_at]
        needs += [(hold.created_at, hold.amount) for hold in self.held(at)]
        for when, cost in sorted(needs):
            for lot in lots:
                if lot.valid_from <= when < lot.expires_at:
                    paid = min(cost, left[lot.number])
                    left[lot.number] -= paid
                    cost -= paid
        return left

    def lapsed(self, at: datetime) -> dict[int, Fraction]:
        expired = [lot for lot in self.lots if lot.created_at <= at and lot.expires_at <= at]
        if not any(lot.remaining(at) for lot in expired):
            return {}
        unused = self.unused(at)
        return {lot.number: unused[lot.number] for lot in expired if unused[lot.number]}

    def balance(self, at: datetime) -> tuple[Fraction, Fraction, Fraction]:
        """Return credit balance, current usage and reserved."""
        entered = sum((lot.remaining(at) for lot in self.lots if lot.created_at <= at), Fraction(0))
        reserved = sum((hold.amount for hold in self.held(at)), Fraction(0))
        return entered - sum(self.lapsed(at).values()), self.open_usage(at), reserved

    def expire(self, at: datetime) -> Fraction:
        lapsed = self.lapsed(at)
        for lot in self.lots:
            if lot.number in lapsed:
                lot.taken.append((at, lapsed[lot.number]))
        return sum(lapsed.values(), Fraction(0))

    def spend(self, amount: Fraction, kind: str, used_by: datetime, at: datetime) -> Fraction:
        lapsed = self.lapsed(at)
        spent = Fraction(0)
        for lot in sorted(self.lots, key=lambda lot: lot.turn):
            if lot.valid_from > used_by or (kind == "refund" and lot.kind in ("included", "grant")):
                continue
            free = lot.remaining(at) - lapsed.get(lot.number, Fraction(0))
            taken = min(free, amount - spent)
            if taken > 0:
                lot.taken.append((at, taken))
                spent += taken
        return spent


@dataclass
class Figures:
    """What a campaign has done."""

    steps: int = 0
    balances: int = 0
    refused: int = 0
    kinds: dict[str, int] = field(default_factory=dict)


class History:
    """One tenant's random history, done to the engine and to the oracle."""

    def __init__(self, connection: psycopg.Connection[Any], tenant: int, seed: object) -> None:
        self.connection = connection
        self.tenant = tenant
        self.rng = random.Random(f"{seed}/{tenant}")
        self.oracle = Oracle()
        self.instants: list[datetime] = []
        self.names = iter(range(1, 10**9))
        self.figures = Figures()

    def run(self, steps: int) -> Figures:
        actions = (
            self.grant, self.use, self.use, self.use, self.reserve, self.reserve, self.settle,
            self.release, self.spend, self.expire, self.bill,
        )  # fmt: skip
        for step in range(steps):
            action = self.rng.choice(actions)
            name = action.__name__
            try:
                action()
                self.check()
            except CounterExample as error:
                raise CounterExample(
                    f"tenant {self.tenant}, step {step}, {name}: {error}"
                ) from None
            self.figures.steps += 1
            self.figures.kinds[name] = self.figures.kinds.get(name, 0) + 1
        return self.figures

    # What happens

    def grant(self) -> None:
        amount = self.amount(500)
        kind = self.rng.choice(("purchase", "grant", "payment", "refund", "adjustment"))
        priority = self.rng.choice((0, 0, 0, 1, -1))
        lasts = timedelta(milliseconds=self.rng.choice((5, 20, 60, 200, 1000)))
        expires = self.rng.random() < 0.5
        at, _, until = self.call(
            "SELECT now(), billing.grant_credit(%s, %s, %s, %s, x.until, %s), x.until"
            " FROM (SELECT now() + %s AS until) AS x",
            self.tenant, decimal(amount), kind, self.name("grant"), priority,
            lasts if expires else None,
        )  # fmt: skip
        self.oracle.lots.append(
            Lot(len(self.oracle.lots), amount, kind, priority, at, until or NEVER)
        )
        self.instants.append(at)

    def use(self) -> None:
        """Record usage of now, of an instant before, or of a month before."""
        quantity = self.rng.randint(1, 30)
        ago = timedelta(
            milliseconds=self.rng.choice((0, 0, 1, 7, 40, 150, 700)),
            days=self.rng.choice((0, 0, 0, 0, 40)),
        )
        at, _, occurred_at = self.call(
            "SELECT now(), billing.record_usage(%s, 'sms', 'message', %s, %s, '{}', now() - %s),"
            " now() - %s",
            self.tenant, self.name("use"), quantity, ago, ago,
        )  # fmt: skip
        self.oracle.usage.append(Usage(quantity * PRICE, occurred_at, self.invoiced(occurred_at)))
        self.instants.append(at)

    def reserve(self) -> None:
        quantity = self.rng.randint(1, 60)
        key = self.name("key")
        at, granted, ends_at = self.call(
            "SELECT now(), r.granted_quantity, now() + interval '1 hour'"
            " FROM billing.reserve_usage(%s, 'sms', 'message', %s, %s) AS r",
            self.tenant, quantity, key,
        )  # fmt: skip
        self.oracle.expire(at)
        balance, usage, reserved = self.oracle.balance(at)
        price = quantity * PRICE
        pays = price <= balance - usage - reserved
        self.same("granted", granted, quantity if pays else 0)
        if pays:
            self.oracle.holds[key] = Hold(quantity, price, at, ends_at)
        else:
            self.figures.refused += 1
        self.instants.append(at)

    def settle(self) -> None:
        """Record what was reserved: as much, or more, or less."""
        key = self.some_hold()
        if key is None:
            self.use()
            return
        hold = self.oracle.holds[key]
        quantity = max(1, hold.quantity + self.rng.choice((0, 0, 0, -5, 5)))
        at, _ = self.call(
            "SELECT now(), billing.record_usage(%s, 'sms', 'message', %s, %s, '{}', now())",
            self.tenant, key, quantity,
        )  # fmt: skip
        hold.is_settled = True
        self.oracle.usage.append(Usage(quantity * PRICE, at, self.invoiced(at)))
        self.instants.append(at)

    def release(self) -> None:
        key = self.some_hold()
        if key is None:
            self.expire()
            return
        at, done, ended_at = self.call(
            "WITH r AS MATERIALIZED (SELECT billing.release_reservation(%s, %s) AS done)"
            " SELECT now(), r.done, clock_timestamp() FROM r",
            key, self.tenant,
        )  # fmt: skip
        self.same("released", done, True)
        (ended_at,) = self.call(
            "SELECT expires_at FROM billing.reservations WHERE tenant_id = %s AND key = %s",
            self.tenant, key,
        )  # fmt: skip
        self.oracle.holds[key].ends_at = ended_at
        self.instants.append(at)

    def spend(self) -> None:
        amount = self.amount(300)
        ago = timedelta(milliseconds=self.rng.choice((0, 0, 10, 100)))
        kind = self.rng.choice(("invoice", "refund", "adjustment"))
        at, spent, used_by = self.call(
            "SELECT now(), billing.spend_credit(%s, %s, %s, %s, now() - %s), now() - %s",
            self.tenant, decimal(amount), kind, self.name("spend"), ago, ago,
        )  # fmt: skip
        self.same("spent", spent, self.oracle.spend(amount, kind, used_by, at))
        self.instants.append(at)

    def expire(self) -> None:
        if self.rng.random() < 0.3:
            time.sleep(self.rng.choice((0.003, 0.02)))
        at, expired = self.call("SELECT now(), billing.expire_credit(%s)", self.tenant)
        self.same("expired", expired, self.oracle.expire(at))
        self.instants.append(at)

    def bill(self) -> None:
        """Issue the invoice of the month before last, once."""
        if self.rng.random() < 0.8 or self.billed:
            self.expire()
            return
        at, finalized_at, first, last = self.call(
            # Not by finalize_invoice, which would take credit as well: only the days are billed.
            "INSERT INTO billing.invoices (tenant_id, period_start, period_end, currency, status,"
            " finalized_at, invoice_number, due_date, parties, usage_cut, usage_changes)"
            " SELECT %s, d.day - 3, d.day + 3, 'USD', 'pending', clock_timestamp(), 'by hand',"
            " d.day, '{}', (0, pg_current_snapshot(), NULL)::billing.usage_cut, 0"
            " FROM (SELECT (now() AT TIME ZONE 'UTC')::date - 40 AS day) AS d"
            " RETURNING now(), finalized_at, period_start, period_end",
            self.tenant,
        )  # fmt: skip
        self.billed = (finalized_at, first, last)
        for usage in self.oracle.usage:
            usage.invoiced_at = self.invoiced(usage.occurred_at)
        self.instants.append(at)

    # What must hold

    def check(self) -> None:
        """Compare the balance now, and at an instant that was."""
        (now,) = self.call("SELECT now()")
        past = self.rng.choice(self.instants)
        instants: list[datetime | None] = [None, past, past - MICROSECOND]
        if self.rng.random() < 0.3 and self.oracle.lots:
            edge = self.rng.choice(self.oracle.lots).expires_at
            instants += [edge, edge - MICROSECOND] if edge < now else []
        for instant in instants:
            at, *found = self.call(
                "SELECT x.at, b.credit_balance, b.current_usage, b.reserved, b.remaining_credits"
                " FROM (SELECT COALESCE(%s::timestamptz, now()) AS at) AS x,"
                " billing.get_tenant_balance(%s, x.at) AS b",
                instant, self.tenant,
            )  # fmt: skip
            balance, usage, reserved = self.oracle.balance(at)
            expected = [balance, usage, reserved, balance - usage - reserved]
            self.same(f"balance at {instant or 'now'}", found, expected)
            self.figures.balances += 1
        at, stored, lots = self.call(
            "SELECT now(), t.credit_balance, (SELECT COALESCE(sum(l.remaining), 0)"
            " FROM billing.list_credit_lots(t.id) AS l) FROM tenants AS t WHERE t.id = %s",
            self.tenant,
        )  # fmt: skip
        entered = sum((lot.remaining(at) for lot in self.oracle.lots), Fraction(0))
        self.same("sum of entries and lots", [stored, lots], [entered, entered])

    # How

    billed: tuple[datetime, Any, Any] | None = None

    def invoiced(self, occurred_at: datetime) -> datetime:
        if self.billed is None:
            return NEVER
        at, first, last = self.billed
        return at if first <= occurred_at.astimezone(timezone.utc).date() <= last else NEVER

    def some_hold(self) -> str | None:
        (now,) = self.call("SELECT clock_timestamp()")
        held = [
            key
            for key, hold in self.oracle.holds.items()
            if not hold.is_settled and now < hold.ends_at
        ]
        return self.rng.choice(held) if held else None

    def amount(self, most: int) -> Fraction:
        return Fraction(self.rng.randint(1, most * 100), 10 ** self.rng.choice((2, 2, 4)))

    def name(self, kind: str) -> str:
        return f"{kind} {next(self.names)}"

    def call(self, query: str, *values: object) -> tuple[Any, ...]:
        row = self.connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return tuple(row)

    def same(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            shown = [
                [f"{float(v):f}" for v in side] if isinstance(side, list) else side
                for side in (found, expected)
            ]
            raise CounterExample(f"{what}: the engine says {shown[0]}, it must be {shown[1]}")


def decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def campaign(
    conninfo: str,
    seed: object,
    tenants: Iterable[int],
    steps: int,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[Figures]:
    """Give each tenant a history of so many steps, and yield its figures. Raises CounterExample.

    The tenants are made here, on a plan that includes nothing.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO billing.pricing_plans (id, name, display_name)"
            " VALUES (9000, 'campaign', 'Campaign') ON CONFLICT DO NOTHING"
        )
        for tenant in tenants:
            if is_over():
                return
            connection.execute(
                "INSERT INTO public.tenants (id, plan_id) VALUES (%s, 9000)", [tenant]
            )
            yield History(connection, tenant, seed).run(steps)
            connection.execute("SELECT billing.merge_summaries()")


def side_by_side(
    conninfo: str, seed: object, tenants: range, workers: int, minutes: float | None
) -> Iterator[Figures]:
    """The campaign in several processes; the histories of one seed are the same for any number."""
    ends = None if minutes is None else time.time() + minutes * 60
    shares = [tenants[number::workers] for number in range(workers)]
    with ProcessPoolExecutor(workers) as pool, Manager() as manager:
        figures = manager.Queue()
        running = [
            pool.submit(_work, conninfo, seed, share, ends, figures) for share in shares if share
        ]
        waiting = set(running)
        while waiting or not figures.empty():
            try:
                yield figures.get(timeout=0.2)
            except Empty:
                for done in [each for each in waiting if each.done()]:
                    waiting.remove(done)
                    done.result()


def _work(
    conninfo: str, seed: object, tenants: range, ends: float | None, figures: Queue[Figures]
) -> None:
    is_over = (lambda: False) if ends is None else (lambda: time.time() > ends)
    for done in campaign(conninfo, seed, tenants, STEPS, is_over):
        figures.put(done)
