"""What the charge models cost, said a second time: in fractions, from the contract, without a look
at the SQL; and random terms and quantities to ask both about.

Terms are as billing.charge takes them, with text for every amount. Tests compare the engine with
this and never the other way round.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

Terms = Mapping[str, Any]

PLACES = 10**10
MODELS = (
    "per_unit",
    "stepped",
    "graduated",
    "volume",
    "package",
    "percentage",
    "graduated_percentage",
)


class Case(NamedTuple):
    model: str
    terms: Terms
    quantity: str
    events: int


# What it costs ------------------------------------------------------------------------------------


def charge(model: str, terms: Terms, quantity: str | Fraction, events: int = 1) -> str:
    """Rounded once, half away from zero, to ten decimals; as text, with all ten."""
    exact = cost(model, terms, Fraction(quantity), events)
    units = (2 * exact.numerator * PLACES + exact.denominator) // (2 * exact.denominator)
    return f"{units // PLACES}.{units % PLACES:010d}"


def cost(model: str, terms: Terms, quantity: Fraction, events: int) -> Fraction:
    match model:
        case "per_unit":
            return per_unit(terms, quantity)
        case "stepped":
            return stepped(terms, quantity)
        case "graduated":
            return graduated(terms["tiers"], quantity, "unit_price", Fraction(1))
        case "graduated_percentage":
            return graduated(terms["tiers"], quantity, "rate", Fraction(1, 100))
        case "volume":
            return volume(terms["tiers"], quantity)
        case "package":
            return package(terms, quantity)
        case "percentage":
            return percentage(terms, quantity, events)
    raise AssertionError(model)


def amount(terms: Terms, key: str, default: int = 0) -> Fraction:
    value = terms.get(key)
    return Fraction(default if value is None else value)


def whole(quantity: Fraction, size: Fraction) -> Fraction:
    """quantity in whole sizes; as it is where there is no size."""
    return ceil(quantity / size) * size if size else quantity


def within(exact: Fraction, terms: Terms, least: str, most: str) -> Fraction:
    if terms.get(least) is not None:
        exact = max(exact, Fraction(terms[least]))
    if terms.get(most) is not None:
        exact = min(exact, Fraction(terms[most]))
    return exact


def per_unit(terms: Terms, quantity: Fraction) -> Fraction:
    if quantity == 0:
        return Fraction(0)
    initial = amount(terms, "initial_increment")
    if quantity <= initial:
        billed = initial
    else:
        billed = initial + whole(quantity - initial, amount(terms, "increment"))
    price = billed * amount(terms, "unit_price") / amount(terms, "per", 1)
    price += amount(terms, "connection_fee")
    return within(price, terms, "minimum_charge", "maximum_charge")


def billed_steps(steps: list[Terms], quantity: Fraction) -> list[Fraction]:
    """What is billed in each step that the quantity reaches."""
    billed = []
    for number, step in enumerate(steps):
        begins = Fraction(step["from"])
        if quantity > begins:
            rest = steps[number + 1 :]
            ends = min(quantity, Fraction(rest[0]["from"])) if rest else quantity
            billed.append(whole(ends - begins, amount(step, "increment")))
    return billed


def stepped(terms: Terms, quantity: Fraction) -> Fraction:
    if quantity == 0:
        return Fraction(0)
    steps = terms["steps"]
    return amount(terms, "connection_fee") + sum(
        billed * amount(step, "unit_price") / amount(step, "per", 1)
        for step, billed in zip(steps, billed_steps(steps, quantity), strict=False)
    )


def graduated(tiers: list[Terms], quantity: Fraction, key: str, unit: Fraction) -> Fraction:
    price, lower = Fraction(0), Fraction(0)
    for number, tier in enumerate(tiers):
        if number and quantity <= lower:
            break
        upper = quantity if tier.get("up_to") is None else Fraction(tier["up_to"])
        price += (min(quantity, upper) - lower) * amount(tier, key) * unit
        price += amount(tier, "flat_fee")
        lower = upper
    return price


def volume(tiers: list[Terms], quantity: Fraction) -> Fraction:
    for tier in tiers:
        if tier.get("up_to") is None or quantity <= Fraction(tier["up_to"]):
            return quantity * amount(tier, "unit_price") + amount(tier, "flat_fee")
    raise AssertionError("the last tier is open")


def package(terms: Terms, quantity: Fraction) -> Fraction:
    over = max(quantity - amount(terms, "free_units"), Fraction(0))
    return ceil(over / amount(terms, "package_size")) * amount(terms, "package_price")


def percentage(terms: Terms, quantity: Fraction, events: int) -> Fraction:
    """Nothing for nothing: a minimum is of what is charged, not of what is free."""
    charged = max(quantity - amount(terms, "free_amount"), Fraction(0))
    fees = max(events - amount(terms, "free_events"), Fraction(0)) * amount(terms, "fixed_fee")
    if quantity == 0 or (charged == 0 and fees == 0):
        return Fraction(0)
    price = charged * amount(terms, "rate") / 100 + fees
    return within(price, terms, "minimum", "maximum")


# What to ask --------------------------------------------------------------------------------------


def text(units: int, decimals: int) -> str:
    """units of so many decimals, written out."""
    digits = str(units).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def random_amount(rng: random.Random) -> str:
    """A price: everyday, long, tiny, enormous, nothing, or one that makes halves of 1e-10."""
    match rng.randrange(10):
        case 0:
            return "0"
        case 1:
            return text(rng.randrange(10 ** rng.randint(1, 22)), 20)
        case 2:
            return text(rng.randrange(1, 10), rng.choice((9, 10, 11, 12, 20)))
        case 3:
            return text(rng.randrange(10 ** rng.randint(1, 49)), 20)
        case 4:
            return text(10 * rng.randrange(10**6) + 5, 11)
        case 5:
            return str(rng.randrange(1000))
        case _:
            return text(rng.randrange(10 ** rng.randint(1, 7)), rng.randint(1, 6))


def random_size(rng: random.Random) -> str:
    """A divisor, an increment, a size: above 0."""
    match rng.randrange(5):
        case 0:
            return text(rng.randrange(1, 10 ** rng.randint(1, 6)), rng.randint(1, 6))
        case 1:
            return text(rng.randrange(1, 10 ** rng.randint(1, 49)), 20)
        case _:
            return rng.choice(("1", "6", "7", "10", "30", "60", "60", "100", "1000", "3600"))


def random_increment(rng: random.Random) -> str:
    return rng.choice(("0", random_size(rng)))


def random_bound(rng: random.Random, below: Fraction) -> Fraction:
    """Where the next step or tier begins: further on than `below`."""
    match rng.randrange(4):
        case 0:
            return below + Fraction(rng.randrange(1, 10**6), 10**4)
        case 1:
            return below + Fraction(rng.choice((1, 7, 10**10)), 10**20)
        case _:
            return below + rng.choice((1, 5, 10, 30, 60, 100, 1000, 10**9))


def written(bound: Fraction) -> str:
    """A number of at most 40 decimals."""
    decimals = next(d for d in (0, 1, 4, 20, 40) if 10**d % bound.denominator == 0)
    return text(int(bound * 10**decimals), decimals)


def random_quantity(rng: random.Random, edges: list[Fraction]) -> str:
    """Often on an edge of the terms, or a hair beside it."""
    match rng.randrange(8):
        case 0 | 1 | 2 if edges:
            hair = Fraction(rng.choice((-1, 0, 0, 0, 1)), 10**20)
            return written(max(rng.choice(edges) + hair, Fraction(0)))
        case 3:
            return text(rng.randrange(10 ** rng.randint(1, 10)), rng.randint(1, 6))
        case 4:
            return text(rng.randrange(10 ** rng.randint(1, 60)), 20)
        case 5:
            return text(rng.randrange(1, 10), rng.choice((1, 10, 20, 30)))
        case 6:
            return rng.choice(("0", "0.000", "1", "60"))
        case _:
            return str(rng.randrange(1, 7200))


def maybe(
    rng: random.Random, terms: dict[str, Any], key: str, value: Callable[[random.Random], str]
) -> None:
    if rng.random() < 0.4:
        terms[key] = value(rng)


def ordered(rng: random.Random, terms: dict[str, Any], least: str, most: str) -> None:
    """A minimum, a maximum, both or none, that do not contradict each other."""
    keys = [key for key in (least, most) if rng.random() < 0.3]
    terms.update(zip(keys, sorted((random_amount(rng) for _ in keys), key=Fraction), strict=True))


def random_events(rng: random.Random) -> int:
    return rng.choice((0, 1, 1, 2, 5, 1000))


def random_terms(rng: random.Random, model: str) -> tuple[dict[str, Any], list[Fraction]]:
    """Terms, and the quantities at which something in them changes."""
    terms: dict[str, Any] = {}
    edges: list[Fraction] = []
    match model:
        case "per_unit":
            terms["unit_price"] = random_amount(rng)
            maybe(rng, terms, "per", random_size)
            maybe(rng, terms, "initial_increment", random_increment)
            maybe(rng, terms, "increment", random_increment)
            maybe(rng, terms, "connection_fee", random_amount)
            ordered(rng, terms, "minimum_charge", "maximum_charge")
            initial, increment = amount(terms, "initial_increment"), amount(terms, "increment")
            edges = [initial, initial + increment * rng.randrange(10**6)]
            if rng.random() < 0.1:  # Halves of 1e-10, and what is a hair beside them.
                terms = {"unit_price": "1", "per": str(rng.randrange(1, 10 ** rng.randint(1, 29)))}
                halves = Fraction(2 * rng.randrange(10**6) + 1, 2 * PLACES)
                edges = [amount(terms, "per") * halves]
        case "stepped":
            maybe(rng, terms, "connection_fee", random_amount)
            steps: list[Terms] = []
            begins = Fraction(0)
            for _ in range(rng.randint(1, 5)):
                step = {"from": written(begins), "unit_price": random_amount(rng)}
                maybe(rng, step, "per", random_size)
                maybe(rng, step, "increment", random_size)
                steps.append(step)
                edges += [begins, begins + amount(step, "increment") * rng.randrange(100)]
                begins = random_bound(rng, begins)
            terms["steps"] = steps
        case "package":
            terms |= {"package_size": random_size(rng), "package_price": random_amount(rng)}
            maybe(rng, terms, "free_units", random_amount)
            packages = amount(terms, "package_size") * rng.randrange(10**6)
            edges = [amount(terms, "free_units") + packages]
        case "percentage":
            terms["rate"] = random_amount(rng)
            maybe(rng, terms, "fixed_fee", random_amount)
            maybe(rng, terms, "free_events", lambda rng: str(rng.randrange(10)))
            maybe(rng, terms, "free_amount", random_amount)
            ordered(rng, terms, "minimum", "maximum")
            edges = [amount(terms, "free_amount")]
        case _:
            key = "rate" if model == "graduated_percentage" else "unit_price"
            tiers: list[dict[str, Any]] = []
            ends = Fraction(0)
            for _ in range(rng.randint(1, 5)):
                ends = random_bound(rng, ends)
                tier: dict[str, Any] = {"up_to": written(ends), key: random_amount(rng)}
                maybe(rng, tier, "flat_fee", random_amount)
                tiers.append(tier)
                edges.append(ends)
            if rng.random() < 0.5:
                tiers[-1]["up_to"] = None
            else:
                del tiers[-1]["up_to"]
            terms["tiers"] = tiers
    return terms, edges


def random_cases(rng: random.Random, number: int) -> Iterator[Case]:
    """Random terms, each asked with four quantities."""
    for _ in range(-(-number // 4)):
        model = rng.choice(MODELS)
        terms, edges = random_terms(rng, model)
        for _ in range(4):
            yield Case(model, terms, random_quantity(rng, edges), random_events(rng))
