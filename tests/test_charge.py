"""The charge models: what peers published, what an oracle in fractions says, and what is refused.

IRISX_TEST_MONEY sets how many random cases (`make test-money`: ten million), IRISX_TEST_SEED which.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import charge_oracle
import psycopg
import pytest
from charge_oracle import Case
from psycopg import Connection

from pyapi.embedded import project

pytestmark = pytest.mark.newest

FIXTURES = project().parent / "shared" / "fixtures" / "rating"
PUBLISHED = json.loads((project() / "tests" / "data" / "rating_cases.json").read_text())
SEED = int(os.environ.get("IRISX_TEST_SEED", 62))
CASES = int(os.environ.get("IRISX_TEST_MONEY", 50_000))
BATCH = 20_000


def columns(cases: Sequence[Case], rng: random.Random | None = None) -> list[list[Any]]:
    """The cases as the arrays that unnest takes; half of them, at random, with JSON numbers."""
    terms = [json.dumps(case.terms) for case in cases]
    if rng:
        bare = partial(re.sub, r'"([0-9.]+)"', r"\1")
        terms = [bare(text) if rng.random() < 0.5 else text for text in terms]
    models, _, quantities, events = zip(*cases, strict=True)
    return [list(models), terms, list(quantities), list(events)]


def charges(db: Connection, cases: Sequence[Case]) -> list[Decimal]:
    query = """
        SELECT billing.charge(m, t::jsonb, q::numeric, e)
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[])
            WITH ORDINALITY AS c (m, t, q, e, n)
        ORDER BY n
        """
    return [price for (price,) in db.execute(query, columns(cases)).fetchall()]


# What was published -------------------------------------------------------------------------------


def cases_of(published: dict[str, Any]) -> list[tuple[int, Case]]:
    return [
        (
            charge.get("sign", 1),
            Case(charge["model"], charge["terms"], charge["quantity"], charge.get("events", 1)),
        )
        for charge in published["charges"]
    ]


def as_published(price: Decimal, published: dict[str, Any]) -> Decimal:
    if "decimals" not in published:
        return price
    rounding = {"down": ROUND_DOWN, "half up": ROUND_HALF_UP}[published.get("rounding", "half up")]
    return price.quantize(Decimal(1).scaleb(-published["decimals"]), rounding)


def differing(prices: Iterator[Decimal]) -> list[tuple[str, str, Decimal]]:
    """The published cases that cost something else, the prices coming in the order of CASES."""
    wrong = []
    for published in PUBLISHED["cases"]:
        price = sum((sign * next(prices) for sign, _ in cases_of(published)), Decimal(0))
        if as_published(price, published) != Decimal(published["expected"]):
            wrong.append((published.get("id", published["source"]), published["expected"], price))
    return wrong


def all_published() -> list[Case]:
    return [case for published in PUBLISHED["cases"] for _, case in cases_of(published)]


def test_every_published_case_costs_what_was_published(db: Connection) -> None:
    assert len(PUBLISHED["cases"]) > 150
    assert {case.model for case in all_published()} == set(charge_oracle.MODELS)
    wrong = differing(iter(charges(db, all_published())))
    assert not wrong


def test_the_oracle_says_the_same() -> None:
    wrong = differing(Decimal(charge_oracle.charge(*case)) for case in all_published())
    assert not wrong


def test_the_published_tiers_and_billed_seconds_are_listed(db: Connection) -> None:
    listed = []
    for published in PUBLISHED["cases"]:
        case = cases_of(published)[0][1]
        given = (json.dumps(case.terms), case.quantity)
        if "tiers" in published:
            query = "SELECT amount FROM billing.list_tiers(%s, %s, %s::numeric)"
            amounts = db.execute(query, (case.model, *given)).fetchall()
            assert [amount for (amount,) in amounts] == [Decimal(a) for a in published["tiers"]]
            listed.append("tiers")
        elif "billed" in published and case.model == "stepped":
            query = "SELECT sum(billed) FROM billing.list_steps(%s, %s::numeric)"
            assert db.execute(query, given).fetchone() == (Decimal(published["billed"]),)
            listed.append("billed")
    assert Counter(listed) == {"tiers": 1, "billed": 2}


def test_no_published_case_was_dropped() -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the published cases themselves are not here, only what was carried over")
    carried = Counter(
        (case["source"], case["fingerprint"]) for case in PUBLISHED["cases"] + PUBLISHED["left_out"]
    )
    kinds = {case["kind"] for case in PUBLISHED["cases"]}
    assert not kinds & set(PUBLISHED["other_kinds"])
    there: Counter[tuple[str, str]] = Counter()
    for file in sorted(FIXTURES.glob("*.json")):
        for case in json.loads(file.read_text()):
            if case["model"] not in PUBLISHED["other_kinds"]:
                print_of = hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()
                there[case["source"], print_of[:12]] += 1
    assert there
    # A case may be carried twice, as two models or as two halves of a period.
    assert set(there) == set(carried)
    assert all(carried[key] >= number for key, number in there.items())


# What the oracle says -----------------------------------------------------------------------------


def wrong_in_batch(conninfo: str, number: int, batch: int) -> list[tuple[Case, Decimal, str]]:
    """The cases of a batch that the engine prices otherwise than the oracle."""
    rng = random.Random(f"{SEED} {batch}")
    cases = list(charge_oracle.random_cases(rng, number))
    expected = [charge_oracle.charge(*case) for case in cases]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        rows = connection.execute(
            """
            SELECT n, price
            FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::text[])
                WITH ORDINALITY AS c (m, t, q, e, expected, n)
            CROSS JOIN LATERAL billing.charge(m, t::jsonb, q::numeric, e) AS price
            WHERE price IS DISTINCT FROM expected::numeric OR scale(price) <> 10
            """,
            [*columns(cases, rng), expected],
        ).fetchall()
    return [(cases[n - 1], price, expected[n - 1]) for n, price in rows]


def test_random_prices_are_exact_and_rounded_once(database: str, thorough: bool) -> None:
    cases = CASES if thorough else CASES // 10
    batches = range(-(-cases // BATCH))
    sizes = [min(BATCH, cases - BATCH * batch) for batch in batches]
    workers = min(len(sizes), os.cpu_count() or 1)
    done = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        for wrong in pool.map(wrong_in_batch, [database] * len(sizes), sizes, batches):
            if wrong:
                pool.shutdown(cancel_futures=True)
            assert not wrong, f"IRISX_TEST_SEED={SEED}: {len(wrong)} differ, such as {wrong[:3]}"
            done += 1
            if len(sizes) > 50 and done % 10 == 0:
                print(f"{sum(sizes[:done]):,} of {cases:,} prices exact", file=sys.stderr)


def test_more_never_costs_less(db: Connection) -> None:
    """Except by volume, where a total may fall when a tier is crossed."""
    rng = random.Random(SEED)
    groups = []
    for _ in range(2_000):
        model = rng.choice([model for model in charge_oracle.MODELS if model != "volume"])
        terms, edges = charge_oracle.random_terms(rng, model)
        quantities = {charge_oracle.random_quantity(rng, edges) for _ in range(8)}
        groups.append([Case(model, terms, q, 1) for q in sorted(quantities, key=Fraction)])
    prices = iter(charges(db, [case for group in groups for case in group]))
    for group in groups:
        for (_, before), (case, after) in pairwise([(case, next(prices)) for case in group]):
            assert before <= after, f"IRISX_TEST_SEED={SEED}: {case}"


def test_steps_add_up_to_the_quantity(db: Connection) -> None:
    rng = random.Random(SEED)
    cases = random_of(rng, "stepped", 4_000)
    rows = db.execute(
        """
        SELECT s.quantity, s.billed
        FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS c (t, q, n)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0), coalesce(array_agg(billed ORDER BY step), '{}')
            FROM billing.list_steps(t::jsonb, q::numeric)
        ) AS s (quantity, billed)
        ORDER BY n
        """,
        columns(cases, rng)[1:3],
    ).fetchall()
    for case, (quantity, billed) in zip(cases, rows, strict=True):
        assert quantity == Fraction(case.quantity)
        expected = charge_oracle.billed_steps(case.terms["steps"], Fraction(case.quantity))
        assert [Fraction(part) for part in billed] == expected


@pytest.mark.parametrize("model", ["graduated", "volume", "graduated_percentage"])
def test_tiers_add_up_to_the_quantity_and_the_price(db: Connection, model: str) -> None:
    rng = random.Random(SEED)
    cases = random_of(rng, model, 2_000)
    rows = db.execute(
        """
        SELECT s.quantity, round(s.amount, 10), s.tiers
        FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS c (m, t, q, n)
        CROSS JOIN LATERAL (
            SELECT
                sum(quantity),
                sum(amount),
                array_agg(ARRAY[tier, from_quantity, least(up_to, q::numeric)] ORDER BY tier)
            FROM billing.list_tiers(m, t::jsonb, q::numeric)
        ) AS s (quantity, amount, tiers)
        ORDER BY n
        """,
        columns(cases, rng)[:3],
    ).fetchall()
    for case, (quantity, price, listed) in zip(cases, rows, strict=True):
        whole = Fraction(case.quantity)
        assert quantity == whole
        assert price == Decimal(charge_oracle.charge(*case))
        bounds = [Fraction(0), *(Fraction(t.get("up_to") or "1e99") for t in case.terms["tiers"])]
        entered = [
            [number, lower, min(upper, whole)]
            for number, (lower, upper) in enumerate(pairwise(bounds), start=1)
            if (number == 1 or lower < whole) and not (model == "volume" and upper < whole)
        ]
        assert listed == entered


def random_of(rng: random.Random, model: str, number: int) -> list[Case]:
    cases = []
    for _ in range(number):
        terms, edges = charge_oracle.random_terms(rng, model)
        quantity = charge_oracle.random_quantity(rng, edges)
        cases.append(Case(model, terms, quantity, charge_oracle.random_events(rng)))
    return cases


def test_a_minute_costs_what_the_columns_of_a_rate_say(db: Connection) -> None:
    """cost_per_unit, which prices a call by its columns, is charge with the same terms."""
    row = db.execute(
        """
        SELECT count(*), count(*) FILTER (WHERE by_columns IS DISTINCT FROM by_terms)
        FROM generate_series(0, 400) AS seconds
        CROSS JOIN (
            VALUES (0, 0), (1, 1), (30, 6), (30, 18), (60, 60), (60, 1)
        ) AS i (initial, increment)
        CROSS JOIN (
            VALUES (0.015, 0, 0), (0.00000003, 0.01, 0), (0.0087, 0, 0.02)
        ) AS p (price, fee, least)
        CROSS JOIN LATERAL billing.bill_seconds(seconds, initial, increment) AS billed
        CROSS JOIN LATERAL billing.cost_per_unit(billed, 60, price, fee, least) AS by_columns
        CROSS JOIN LATERAL jsonb_build_object(
            'unit_price', price, 'per', 60, 'connection_fee', fee, 'minimum_charge', least,
            'initial_increment', initial, 'increment', increment
        ) AS terms
        CROSS JOIN LATERAL billing.charge('per_unit', terms, seconds) AS by_terms
        """
    ).fetchone()
    assert row == (401 * 6 * 3, 0)


# What is refused ----------------------------------------------------------------------------------

STEP: dict[str, Any] = {"from": 0, "unit_price": 1}
OPEN: dict[str, Any] = {"unit_price": 1}


def tiers(*up_to: Any) -> dict[str, Any]:
    return {"tiers": [{"up_to": bound, "unit_price": 1} for bound in up_to]}


NO_OBJECTS: list[Any] = [None, [], "x", 1]
NO_AMOUNTS: list[Any] = [
    *(-1, -0.000001, "-1", True, False, None, [], [1], {}, "", " ", "one", "NaN", "nan", "$1"),
    *("Infinity", "-Infinity", "inf", "0x10", "1_000", "1,5", " 1", "1 ", "1\n", "1e", "e1", "."),
    *("+", "--1", "1.2.3", "٣", "1e30", 1e30, "1e400", "1e999", "1e9999999", "1e-21", "1e-999"),
    *("0." + "0" * 20 + "1", "1" * 31, "1" * 400, "0b1", "0o7", "1e1_0"),
]
BAD_TERMS: list[tuple[str | None, Any, str]] = [
    # model, terms, what the DETAIL names
    (None, {"unit_price": 1}, "NULL"),
    ("", {"unit_price": 1}, "''"),
    ("Per_unit", {"unit_price": 1}, "Per_unit"),
    ("flat", {"unit_price": 1}, "flat"),
    *((model, terms, "Terms are") for model in charge_oracle.MODELS for terms in NO_OBJECTS),
    ("per_unit", {}, "unit_price is missing"),
    ("per_unit", {"unit_price": 1, "tiers": []}, "unknown key tiers"),
    ("per_unit", {"unit_price": 1, "Per": 60}, 'unknown key "Per"'),
    ("per_unit", {"unit_price": 1, "": 60}, 'unknown key ""'),
    *(("per_unit", {"unit_price": bad}, "unit_price is") for bad in NO_AMOUNTS),
    *(
        ("per_unit", {"unit_price": 1, key: bad}, f"{key} is")
        for key in (
            *("per", "initial_increment", "increment", "connection_fee", "minimum_charge"),
            "maximum_charge",
        )
        for bad in NO_AMOUNTS
        if bad is not None
    ),
    *(("per_unit", {"unit_price": 1, "per": bad}, "per is") for bad in (0, "0.0", "0e5", None)),
    ("per_unit", {"unit_price": 1, "connection_fee": None}, "connection_fee is null"),
    (
        "per_unit",
        {"unit_price": 1, "minimum_charge": 2, "maximum_charge": 1},
        "maximum_charge is 1",
    ),
    ("stepped", {}, "steps is missing"),
    ("stepped", {"steps": None}, "steps is null"),
    ("stepped", {"steps": {}}, "steps is {}"),
    ("stepped", {"steps": []}, "0 elements"),
    ("stepped", {"steps": [STEP] * 1001}, "1001 elements"),
    ("stepped", {"steps": [1]}, "step 1"),
    ("stepped", {"steps": [STEP, None]}, "step 2"),
    ("stepped", {"steps": [{"unit_price": 1}]}, "step 1: from is missing"),
    ("stepped", {"steps": [{"from": 0}]}, "step 1: unit_price is missing"),
    ("stepped", {"steps": [{"from": 1, "unit_price": 1}]}, "step 1: from is 1"),
    ("stepped", {"steps": [STEP, STEP]}, "step 2: from is 0"),
    ("stepped", {"steps": [STEP, STEP | {"from": 60}, STEP | {"from": 60}]}, "step 3: from is 60"),
    ("stepped", {"steps": [STEP, STEP | {"from": 60}, STEP | {"from": 30}]}, "step 3: from is 30"),
    *(
        ("stepped", {"steps": [STEP | {key: bad}]}, f"step 1: {key} is")
        for key in ("increment", "per")
        for bad in (0, -1, "0", "NaN", None)
    ),
    ("stepped", {"steps": [STEP | {"up_to": 60}]}, "step 1: unknown key up_to"),
    ("stepped", {"steps": [STEP], "minimum_charge": 1}, "terms: unknown key minimum_charge"),
    ("stepped", {"steps": [STEP], "connection_fee": -1}, "connection_fee is -1"),
    *(
        (model, terms, detail)
        for model in ("graduated", "volume")
        for terms, detail in (
            ({}, "tiers is missing"),
            ({"tiers": {}}, "tiers is {}"),
            ({"tiers": []}, "0 elements"),
            ({"tiers": [None]}, "tier 1"),
            ({"tiers": [[]]}, "tier 1"),
            ({"tiers": [{"up_to": None}]}, "tier 1: unit_price is missing"),
            ({"tiers": [OPEN | {"rate": 1}]}, "tier 1: unknown key rate"),
            ({"tiers": [OPEN | {"from": 0}]}, "tier 1: unknown key"),
            ({"tiers": [OPEN | {"flat_fee": -1}]}, "tier 1: flat_fee is -1"),
            ({"tiers": [OPEN | {"flat_fee": None}]}, "tier 1: flat_fee is null"),
            ({"tiers": [OPEN], "free_units": 1}, "unknown key free_units"),
            (tiers(10), "tier 1: up_to is 10"),
            (tiers(10, 20), "tier 2: up_to is 20"),
            (tiers(None, None), "tier 1: up_to is missing"),
            (tiers(None, 10), "tier 1: up_to is missing"),
            (tiers(10, None, 20), "tier 2: up_to is missing"),
            (tiers(10, 10, None), "tier 2: up_to is 10"),
            (tiers(10, 5, None), "tier 2: up_to is 5"),
            (tiers("10", "9.99", None), "tier 2: up_to is 9.99"),
            (tiers(0, None), "tier 1: up_to is 0"),
            (tiers(-1, None), "tier 1: up_to is -1"),
            (tiers("NaN", None), "tier 1: up_to is"),
            (tiers("Infinity"), "tier 1: up_to is"),
        )
    ),
    ("graduated_percentage", {"tiers": [OPEN]}, "tier 1: unknown key unit_price"),
    ("graduated_percentage", {"tiers": [{}]}, "tier 1: rate is missing"),
    ("graduated_percentage", {"tiers": [{"rate": -1}]}, "tier 1: rate is -1"),
    ("graduated_percentage", {"tiers": [{"rate": 1, "up_to": 10}]}, "tier 1: up_to is 10"),
    ("package", {"package_price": 1}, "package_size is missing"),
    ("package", {"package_size": 1}, "package_price is missing"),
    ("package", {"package_size": 0, "package_price": 1}, "package_size is 0"),
    ("package", {"package_size": -10, "package_price": 1}, "package_size is -10"),
    ("package", {"package_size": 1, "package_price": -1}, "package_price is -1"),
    ("package", {"package_size": 1, "package_price": 1, "free_units": -1}, "free_units is -1"),
    ("package", {"package_size": 1, "package_price": 1, "rounding": "up"}, "unknown key rounding"),
    ("percentage", {}, "rate is missing"),
    ("percentage", {"rate": "1.3%"}, "rate is"),
    ("percentage", {"rate": -1}, "rate is -1"),
    ("percentage", {"rate": 1, "fixed_fee": "NaN"}, "fixed_fee is"),
    ("percentage", {"rate": 1, "free_events": 1.5}, "free_events is 1.5"),
    ("percentage", {"rate": 1, "free_amount": -1}, "free_amount is -1"),
    ("percentage", {"rate": 1, "minimum": 2, "maximum": "1.99"}, "maximum is 1.99"),
    ("percentage", {"rate": 1, "minimum_charge": 2}, "unknown key minimum_charge"),
]


def refusal(db: Connection, model: str | None, terms: Any, quantity: str = "1") -> psycopg.Error:
    with pytest.raises(psycopg.Error) as raised:
        db.execute(
            "SELECT billing.charge(%s, %s::jsonb, %s::numeric)",
            (model, None if terms is None else json.dumps(terms), quantity),
        )
    return raised.value


def test_bad_terms_are_refused_and_named(db: Connection) -> None:
    wrong = []
    for model, terms, detail in BAD_TERMS:
        error = refusal(db, model, terms)
        told = error.diag.message_detail or ""
        if error.sqlstate != "UB005" or detail not in told or not error.diag.message_hint:
            wrong.append((model, terms, detail, error.sqlstate, told))
    assert not wrong


def test_amounts_may_be_numbers_or_strings_in_plain_notation(db: Connection) -> None:
    for given in (0.5, "0.5", ".5", "5e-1", "5E-1", "+0.5", "00.5", "0.50000000000000000000"):
        case = Case("per_unit", {"unit_price": given}, "3", 1)
        assert charges(db, [case]) == [Decimal("1.5")], given
    for given in ("5", "5.", 5, 5.0, "0.5e1", "-0", -0.0, "1e29", "0." + "0" * 19 + "1"):
        case = Case("per_unit", {"unit_price": given}, "1", 1)
        assert charges(db, [case]) == [Decimal(charge_oracle.charge(*case))], given


def test_null_stands_for_none_where_there_may_be_none(db: Connection) -> None:
    cases = [
        Case("per_unit", {"unit_price": 2, "maximum_charge": None}, "3", 1),
        Case("percentage", {"rate": 50, "minimum": None, "maximum": None}, "12", 1),
        Case("graduated", tiers(2, None), "6", 1),
    ]
    assert charges(db, cases) == [6, 6, 6]


@pytest.mark.parametrize("model", charge_oracle.MODELS)
def test_bad_quantities_are_refused(db: Connection, model: str) -> None:
    terms = json.dumps(charge_oracle.random_terms(random.Random(SEED), model)[0])
    bad: list[tuple[str | None, int | None]] = [
        *((quantity, 1) for quantity in (None, "-1", "-1e-20", "NaN", "Infinity", "-Infinity")),
        *((quantity, 1) for quantity in ("1e100", "1e131000", "1e-1001")),
        *(("1", events) for events in (None, -1)),
    ]
    for quantity, events in bad:
        with pytest.raises(psycopg.Error) as raised:
            db.execute(
                "SELECT billing.charge(%s, %s, %s::numeric, %s)", (model, terms, quantity, events)
            )
        assert raised.value.sqlstate == "UB003", (quantity, events)
        assert raised.value.diag.message_detail
        assert raised.value.diag.message_hint


# What was never thought of ------------------------------------------------------------------------

SCRAPS: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        60,
        0.1,
        1e-7,
        1e29,
        10**40,
        -(10**40),
        "",
        "0",
        "1",
        "-0",
        "1e3",
    ),
    *("NaN", "Infinity", "0x1", "1e131073", "1e-17000", "e", "'", "\\", "ü", "x" * 1_000, [], {}),
    *([[]], [{}], [None], {"tiers": []}, {"from": 0}, {"": None}, "9" * 200, [1, [2, [3]]]),
]
KEYS = [
    *("unit_price", "per", "steps", "tiers", "from", "up_to", "rate", "flat_fee", "increment"),
    *("maximum", "minimum", "free_events", "package_size", "maximum_charge", "", "x"),
]


def scrap(rng: random.Random, depth: int = 0) -> Any:
    match rng.randrange(4):
        case 0 if depth < 4:
            return [scrap(rng, depth + 1) for _ in range(rng.randrange(4))]
        case 1 if depth < 4:
            return {rng.choice(KEYS): scrap(rng, depth + 1) for _ in range(rng.randrange(5))}
    return rng.choice(SCRAPS)


def spoilt(rng: random.Random, value: Any) -> Any:
    """value with something in it replaced, added or removed."""
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.1:
        return scrap(rng)
    copy = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    key = rng.choice(list(copy))
    match rng.randrange(6):
        case 0:
            del copy[key]
        case 1 if isinstance(value, dict):
            copy[rng.choice(KEYS)] = scrap(rng)
        case 2 if isinstance(value, list):
            copy[len(copy)] = copy[key]
        case _:
            copy[key] = spoilt(rng, copy[key])
    return copy if isinstance(value, dict) else list(copy.values())


def test_whatever_the_terms_they_are_refused_or_priced(db: Connection) -> None:
    rng = random.Random(SEED)
    cases = [
        case._replace(terms=spoilt(rng, case.terms) if rng.random() < 0.8 else scrap(rng))
        for case in charge_oracle.random_cases(rng, 20_000)
    ]
    db.execute(
        """
        CREATE FUNCTION pg_temp.outcome(
            p_model text, p_terms jsonb, p_quantity numeric, p_events int
        )
        RETURNS text
        LANGUAGE plpgsql
        AS $$
        DECLARE
            v_price numeric;
        BEGIN
            v_price := billing.charge(p_model, p_terms, p_quantity, p_events);
            RETURN CASE
                WHEN v_price >= 0 AND v_price < 'Infinity' THEN 'priced'
                ELSE 'no price'
            END;
        EXCEPTION
            WHEN OTHERS THEN
                RETURN SQLSTATE;
        END;
        $$
        """
    )
    outcomes = db.execute(
        """
        SELECT pg_temp.outcome(m, t::jsonb, q::numeric, e)
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[])
            WITH ORDINALITY AS c (m, t, q, e, n)
        ORDER BY n
        """,
        columns(cases),
    ).fetchall()
    found = Counter(outcome for (outcome,) in outcomes)
    odd = [
        (case, outcome)
        for case, (outcome,) in zip(cases, outcomes, strict=True)
        if outcome not in ("UB005", "priced")
    ]
    assert not odd, f"IRISX_TEST_SEED={SEED}: {odd[:3]}"
    assert found["UB005"] > 5_000
    assert found["priced"] > 500
