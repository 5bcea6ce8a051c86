"""Increments and costs against exact fractions: tens of thousands of cases, no digit wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from psycopg import Connection

from campaigns import oracle

CASES = 30_000


def number(rng: random.Random, whole: int, decimals: int) -> Decimal:
    """A random number of up to so many digits before and after the point."""
    text = str(rng.randrange(10 ** rng.randint(0, whole)))
    places = rng.randint(0, decimals)
    if places:
        text += "." + str(rng.randrange(10**places)).zfill(places)
    return Decimal(text)


def costs(rng: random.Random) -> Iterator[tuple[Decimal, int, Decimal, Decimal, Decimal]]:
    """billed, per, unit_price, connection_fee, minimum_charge"""
    hair = Decimal("1e-20")
    zero = Decimal(0)
    for _ in range(CASES):
        per = rng.choice((60, 60, 1))
        fee = number(rng, 3, 20) if rng.random() < 0.3 else zero
        minimum = number(rng, 2, 20) if rng.random() < 0.2 else zero
        match rng.randrange(6):
            case 0:  # everyday calls
                billed, price = Decimal(rng.randint(1, 7200)), number(rng, 1, 6)
            case 1:  # long prices
                billed, price = number(rng, 7, 6), number(rng, 3, 20)
            case 2:  # enormous ones
                billed, price = number(rng, 7, 12), number(rng, 30, 20)
            case 3:  # exactly half a unit of the tenth decimal, and a hair beside it
                half = Decimal((2 * rng.randrange(10**13) + 1) * 5).scaleb(-11)
                billed = Decimal(rng.choice((1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)))
                price = half * (Decimal(per) / billed if per % billed == 0 else per)
                if per % billed:
                    billed = Decimal(1)
                price = max(price + rng.choice((-hair, zero, hair)), zero)
                fee = minimum = zero
            case 4:  # the same, the half made of price and fee
                half = Decimal((2 * rng.randrange(10**6) + 1) * 5).scaleb(-11)
                billed, price = Decimal(per), number(rng, 0, 20)
                fee = max(half + 3 - price + rng.choice((-hair, zero, hair)), zero)
            case _:  # great sums of whole seconds at round prices
                billed = Decimal(rng.randint(1, 2_678_400))
                price = Decimal(rng.randint(1, 9)).scaleb(rng.randint(0, 20))
        yield billed, per, price, fee, minimum


def test_a_cost_is_exact_and_rounded_once(db: Connection) -> None:
    seed = 60
    rows = list(costs(random.Random(seed)))
    given = [[str(value) for value in column] for column in zip(*rows, strict=True)]
    answers = db.execute(
        """
        SELECT billing.cost_per_unit(a::numeric, b::numeric, c::numeric, d::numeric, e::numeric)
          FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
               WITH ORDINALITY AS t (a, b, c, d, e, n)
         ORDER BY n
        """,
        given,
    ).fetchall()
    wrong = [
        (row, answer, expected)
        for row, (answer,) in zip(rows, answers, strict=True)
        if answer != (expected := oracle.cost(Fraction(row[0]), *row[1:]))
    ]
    assert not wrong, f"seed {seed}: {len(wrong)} of {CASES} differ, such as {wrong[:3]}"
    assert all(answer.as_tuple().exponent == -10 for (answer,) in answers)


def increments(rng: random.Random) -> Iterator[tuple[Decimal, Decimal, Decimal]]:
    """seconds, initial_increment, billing_increment"""
    usual = [Decimal(n) for n in (0, 1, 6, 10, 15, 18, 20, 30, 60, 300, 3600, 86400)]
    for _ in range(CASES):
        odd = rng.random() < 0.3
        initial = number(rng, 4, 12) if odd else rng.choice(usual)
        increment = number(rng, 4, 12) if odd else rng.choice(usual)
        match rng.randrange(4):
            case 0:
                seconds = Decimal(rng.randint(0, 7200))
            case 1:
                seconds = number(rng, 40, 20)
            case 2:  # on the edge of an increment, or a hair beside it
                hair = Decimal("1e-20") * rng.randint(-1, 1)
                seconds = max(initial + rng.randint(0, 10**6) * increment + hair, Decimal(0))
            case _:
                seconds = number(rng, 7, 3)
        yield seconds, initial, increment


def test_billed_seconds_are_whole_increments(db: Connection) -> None:
    seed = 61
    rows = list(increments(random.Random(seed)))
    given = [[str(value) for value in column] for column in zip(*rows, strict=True)]
    answers = db.execute(
        """
        SELECT billing.bill_seconds(a::numeric, b::numeric, c::numeric)
          FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS t (a, b, c, n)
         ORDER BY n
        """,
        given,
    ).fetchall()
    wrong = [
        (row, answer)
        for row, (answer,) in zip(rows, answers, strict=True)
        if Fraction(answer) != oracle.increments(*map(Fraction, row))
    ]
    assert not wrong, f"seed {seed}: {len(wrong)} of {CASES} differ, such as {wrong[:3]}"
