"""What usage costs, said a second time: in Python, from the contract, without a look at the SQL.

Exact all the way (Fraction); one rounding, where the contract names it. Tests compare the engine
with this and never the other way round.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import dict_row

Row = Mapping[str, Any]

SENT = frozenset({"sent", "delivered", "read", "opened", "clicked"})
LARGEST = {"minute": 31 * 24 * 60 * 60}
"""Seconds a call can believably last; more is set aside. 1e9 of anything else."""


# What a row deserves ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """What one row is to be charged for; amount is seconds for minutes, else units."""

    tenant_id: int | None
    channel: str | None
    resource_type: str
    resource_id: str
    amount: Decimal
    destination: str | None
    occurred_at: dt.datetime | None
    """None: when it was recorded."""

    @property
    def is_believable(self) -> bool:
        largest = LARGEST.get(self.resource_type, 10**9)
        return self.amount.is_finite() and 0 < self.amount <= largest


def deserved_by_call(row: Row) -> Usage | None:
    seconds = row["billable_seconds"]
    if seconds is None:
        seconds = row["duration_seconds"]
    if row["direction"] != "outbound" or row["status"] != "completed" or seconds is None:
        return None
    if seconds == 0:
        return None
    return Usage(
        row["tenant_id"],
        "voice",
        "minute",
        str(row["id"]) if row["call_sid"] is None else row["call_sid"],
        Decimal(seconds),
        digits(row["to_number"]),
        _first(row["answered_at"], row["initiated_at"], row["ended_at"]),
    )


def deserved_by_message(row: Row) -> Usage | None:
    if row["direction"] != "outbound" or row["status"] not in SENT:
        return None
    channel, media = row["channel"], row["media_urls"]
    has_media = channel == "sms" and media not in (None, [], {}, "")
    units = 1
    if channel == "email":
        listed = row["recipients"] or []
        to = row["to_address"]
        units = max(1, len(listed) + (to is not None and to not in listed))
    return Usage(
        row["tenant_id"],
        channel,
        "mms" if has_media else "message",
        str(row["id"]) if row["message_sid"] is None else row["message_sid"],
        Decimal(units),
        digits(row["to_address"]) if channel in ("sms", "whatsapp") else None,
        _first(row["sent_at"], row["delivered_at"]),
    )


DESERVED = {"calls": deserved_by_call, "messages": deserved_by_message}


def digits(destination: str | None) -> str | None:
    """A number as rate decks write it: without plus, blanks, dashes, dots and brackets."""
    if destination is None:
        return None
    return "".join(c for c in destination if c not in "+ -().") or None


def _first(*instants: dt.datetime | None) -> dt.datetime | None:
    return next((instant for instant in instants if instant is not None), None)


# Which price holds --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    id: int
    plan_id: int | None
    tenant_id: int | None
    channel: str
    resource_type: str
    prefix: str
    unit_price: Decimal
    initial_increment: Decimal
    billing_increment: Decimal
    connection_fee: Decimal
    minimum_charge: Decimal
    currency: str
    effective_from: dt.datetime
    effective_until: dt.datetime | None
    is_active: bool

    def holds(self, at: dt.datetime) -> bool:
        ended = self.effective_until is not None and at >= self.effective_until
        return self.is_active and at >= self.effective_from and not ended


@dataclass(frozen=True)
class Terms:
    """What holds for a tenant from `since` on (None: from the beginning)."""

    plan_id: int | None
    timezone: str = "UTC"
    currency: str = "USD"
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Charge:
    tenant_id: int
    channel: str
    resource_type: str
    rate_id: int
    amount: Fraction
    """Measured: seconds for minutes, else units."""
    quantity: Fraction
    """The same in units of the resource: minutes are seconds / 60."""
    billed: Fraction
    """After increments, in seconds or units."""
    cost: Decimal
    currency: str
    usage_date: dt.date


@dataclass
class Prices:
    rates: Iterable[Rate]
    terms: Mapping[int, Iterable[Terms]]
    _by_key: dict[tuple[str, str, str, str], list[Rate]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_key = defaultdict(list)
        for rate in self.rates:
            card = _card(rate.tenant_id, rate.plan_id)
            self._by_key[card, rate.channel, rate.resource_type, rate.prefix].append(rate)

    def terms_at(self, tenant_id: int | None, at: dt.datetime) -> Terms | None:
        """The last that began; a later one of the same instant replaces the earlier."""
        held: Terms | None = None
        for terms in self.terms.get(tenant_id or 0, ()):
            if terms.since is None or (
                terms.since <= at and (held is None or held.since is None or held.since <= at)
            ):
                held = terms
        return held

    def find(
        self,
        tenant_id: int | None,
        channel: str | None,
        resource_type: str,
        destination: str | None,
        at: dt.datetime,
    ) -> Rate | None:
        """The tenant's card, its plan's, the default; in each the longest prefix in force.

        A card whose longest match is in a currency that is not the tenant's has nothing to offer.
        """
        terms = self.terms_at(tenant_id, at)
        if terms is None or channel is None or tenant_id is None:
            return None
        number = digits(destination) or ""
        cards = [_card(tenant_id, None)]
        if terms.plan_id is not None:
            cards.append(_card(None, terms.plan_id))
        for card in [*cards, _card(None, None)]:
            for length in range(min(len(number), 20), -1, -1):
                key = (card, channel, resource_type, number[:length])
                match = next((r for r in self._by_key.get(key, ()) if r.holds(at)), None)
                if match is not None:
                    if match.currency == terms.currency:
                        return match
                    break
        return None

    def charge(self, usage: Usage, at: dt.datetime, rate: Rate | None = None) -> Charge | None:
        """What usage costs that occurred at `at`; by `rate`, where it is known already."""
        rate = rate or self.find(
            usage.tenant_id, usage.channel, usage.resource_type, usage.destination, at
        )
        terms = self.terms_at(usage.tenant_id, at)
        if rate is None or terms is None or not usage.is_believable:
            return None
        assert usage.tenant_id is not None
        assert usage.channel is not None
        amount = Fraction(usage.amount)
        per = 60 if usage.resource_type == "minute" else 1
        billed = bill_seconds(amount, rate) if per == 60 else amount
        return Charge(
            usage.tenant_id,
            usage.channel,
            usage.resource_type,
            rate.id,
            amount,
            amount / per,
            billed,
            cost(billed, per, rate.unit_price, rate.connection_fee, rate.minimum_charge),
            rate.currency,
            day(at, terms.timezone),
        )


def _card(tenant_id: int | None, plan_id: int | None) -> str:
    if tenant_id is not None:
        return f"tenant {tenant_id}"
    return "default" if plan_id is None else f"plan {plan_id}"


def day(at: dt.datetime, timezone: str) -> dt.date:
    return at.astimezone(ZoneInfo(timezone)).date()


# What it costs ------------------------------------------------------------------------------------


def bill_seconds(seconds: Fraction, rate: Rate) -> Fraction:
    return increments(seconds, Fraction(rate.initial_increment), Fraction(rate.billing_increment))


def increments(seconds: Fraction, initial: Fraction, increment: Fraction) -> Fraction:
    """0 costs nothing; up to initial is initial; beyond it whole increments (0: exactly)."""
    if seconds == 0:
        return Fraction(0)
    if seconds <= initial:
        return initial
    if increment == 0:
        return seconds
    return initial + math.ceil((seconds - initial) / increment) * increment


def cost(
    billed: Fraction, per: int, unit_price: Decimal, connection_fee: Decimal, minimum: Decimal
) -> Decimal:
    if billed == 0:
        return Decimal(0)
    exact = billed * Fraction(unit_price) / per + Fraction(connection_fee)
    return rounded(max(exact, Fraction(minimum)), 10)


def rounded(exact: Fraction, decimals: int) -> Decimal:
    """Half away from zero, in whole numbers only."""
    scaled = abs(exact) * 10**decimals
    units = math.floor(scaled + Fraction(1, 2))
    sign = -1 if exact < 0 else 1
    context = Context(prec=len(str(units)) + decimals + 2, rounding=ROUND_HALF_UP)
    return context.scaleb(Decimal(sign * units), -decimals)


# What the application's tables say ----------------------------------------------------------------


def read_rates(db: Connection) -> list[Rate]:
    columns = ", ".join(Rate.__dataclass_fields__)
    query = f"SELECT {columns} FROM billing.pricing_rates".encode()
    with db.cursor(row_factory=dict_row) as cursor:
        return [Rate(**row) for row in cursor.execute(query)]


def read_rows(db: Connection, table: str, where: str = "true") -> list[dict[str, Any]]:
    query = f"SELECT * FROM public.{table} WHERE {where}".encode()
    with db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query).fetchall()
