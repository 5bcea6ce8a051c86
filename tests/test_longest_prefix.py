"""One probe of resolved_prices finds what the rule says, whatever was entered, ended or withdrawn.

Random decks: nested prefixes on four cards, periods that follow each other with and without gaps,
withdrawn prices, two currencies. Fast way (price_usage), rule (find_rate) and oracle must agree.
"""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pytest
from psycopg import Connection

from campaigns import oracle

pytestmark = pytest.mark.newest

PROBES = 2_000
TENANTS = {
    7: oracle.Terms(2),
    8: oracle.Terms(2, "Asia/Kolkata"),
    9: oracle.Terms(3, "America/New_York", "EUR"),
    10: oracle.Terms(None),
}
CARDS = [(None, None), (None, None), (2, None), (3, None), (None, 7), (None, 9)]
RESOURCES = [("voice", "minute"), ("sms", "message")]
ODD = [None, "", "+", " ", "sip:1900@example.org", "1800FLOWERS", "1:9", "1;ext=9", "19é", "9" * 40]


def instant(rng: random.Random, now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(days=rng.randint(-500, 500), seconds=rng.choice((0, 0, 1, 3600)))


def enter_rates(db: Connection, rng: random.Random, now: dt.datetime, count: int) -> None:
    """Insert count chains of prices that follow each other, in one statement."""
    rows = []
    taken = {
        (r.plan_id, r.tenant_id, r.channel, r.resource_type, r.prefix)
        for r in oracle.read_rates(db)
    }
    for _ in range(count):
        plan_id, tenant_id = rng.choice(CARDS)
        channel, resource_type = rng.choice(RESOURCES)
        prefix = "".join(rng.choice("0199") for _ in range(rng.randint(0, 6)))
        if rng.random() < 0.05:
            prefix = prefix.ljust(20, "9")
        key = (plan_id, tenant_id, channel, resource_type, prefix)
        if key in taken:
            continue
        taken.add(key)
        cuts = sorted({instant(rng, now) for _ in range(rng.randint(2, 5))})
        for since, until in zip(cuts, [*cuts[1:], None], strict=True):
            if rng.random() < 0.8:
                price = Decimal(rng.randint(0, 10**6)).scaleb(-6)
                currency = rng.choice(("USD", "USD", "EUR"))
                rows.append((*key, price, currency, since, until, rng.random() < 0.9))
    if not rows:
        return
    db.execute(
        """
        INSERT INTO pricing_rates (plan_id, tenant_id, channel, resource_type, prefix, unit_price,
            currency, effective_from, effective_until, is_active)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
            %s::numeric[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::boolean[])
        """,
        [list(column) for column in zip(*rows, strict=True)],
    )


def end_rates(db: Connection, rng: random.Random, now: dt.datetime) -> None:
    """Let some prices end sooner: future ones, running ones, even ones that are history."""
    rates = oracle.read_rates(db)
    for rate in rng.sample(rates, min(20, len(rates))):
        at = instant(rng, now)
        if at > rate.effective_from and (rate.effective_until is None or at < rate.effective_until):
            db.execute("UPDATE pricing_rates SET effective_until = %s WHERE id = %s", [at, rate.id])


def delete_rates(db: Connection, rng: random.Random, now: dt.datetime) -> None:
    """Delete some prices that have not begun, all at once."""
    future = [rate.id for rate in oracle.read_rates(db) if rate.effective_from > now]
    chosen = rng.sample(future, len(future) // 4)
    deleted = db.execute("DELETE FROM pricing_rates WHERE id = ANY(%s)", [chosen])
    assert deleted.rowcount == len(chosen)


def withdraw_rates(db: Connection, rng: random.Random) -> None:
    """Withdraw some prices, as if they had never been in force."""
    active = [rate.id for rate in oracle.read_rates(db) if rate.is_active]
    db.execute(
        "UPDATE pricing_rates SET is_active = false WHERE id = ANY(%s)", [rng.sample(active, 5)]
    )


def probe(db: Connection, rng: random.Random, now: dt.datetime) -> None:
    prices = oracle.Prices(oracle.read_rates(db), {t: [terms] for t, terms in TENANTS.items()})
    edges = [
        edge + dt.timedelta(microseconds=step)
        for rate in prices.rates
        for edge in (rate.effective_from, rate.effective_until)
        if edge
        for step in (-1, 0)
    ]
    asked = []
    for _ in range(PROBES):
        number: str | None = "".join(rng.choice("0199") for _ in range(rng.randint(1, 12)))
        if rng.random() < 0.05:
            number = rng.choice(ODD)
        elif rng.random() < 0.3:
            number = "+" + str(number)[:1] + " " + str(number)[1:4] + "-" + str(number)[4:]
        at = rng.choice(edges) if rng.random() < 0.3 else instant(rng, now)
        asked.append((rng.choice(list(TENANTS)), *rng.choice(RESOURCES), number, at))
    answers = db.execute(
        """
        SELECT (billing.price_usage(t, c, r, 40, billing.normalize_destination(d), a)).rate_id,
               (billing.find_rate(t, c, r, d, a)).id
          FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
               WITH ORDINALITY AS p (t, c, r, d, a, n)
         ORDER BY n
        """,
        [list(column) for column in zip(*asked, strict=True)],
    ).fetchall()
    found = 0
    for question, (fast, rule) in zip(asked, answers, strict=True):
        rate = prices.find(*question)
        expected = rate and rate.id
        found += expected is not None
        assert (fast, rule) == (expected, expected), f"{question}: {rate}"
    assert found > PROBES / 4
    for tenant_id, channel, resource_type, number, at in asked[:100]:
        usage = oracle.Usage(tenant_id, channel, resource_type, "x", Decimal(60), number, at)
        charge = prices.charge(usage, at)
        if charge is not None:
            quoted = db.execute(
                "SELECT rate_id, total_cost FROM quote(%s, %s, %s, %s, %s, %s)",
                [tenant_id, channel, resource_type, charge.quantity.numerator, number, at],
            ).fetchone()
            assert quoted == (charge.rate_id, charge.cost)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_resolved_prices_agree_with_the_rule(db: Connection, seed: int) -> None:
    rng = random.Random(seed)
    row = db.execute("SELECT now()").fetchone()
    assert row
    now: dt.datetime = row[0]
    for tenant_id, terms in TENANTS.items():
        db.execute(
            "INSERT INTO tenants (id, plan_id, timezone, currency) VALUES (%s, %s, %s, %s)",
            [tenant_id, terms.plan_id, terms.timezone, terms.currency],
        )
    enter_rates(db, rng, now, 150)
    probe(db, rng, now)
    end_rates(db, rng, now)
    probe(db, rng, now)
    delete_rates(db, rng, now)
    enter_rates(db, rng, now, 60)
    probe(db, rng, now)
    withdraw_rates(db, rng)
    end_rates(db, rng, now)
    probe(db, rng, now)
    assert db.execute("SELECT * FROM verify()").fetchall() == []
