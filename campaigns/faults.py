"""Faults: an error at every statement that the trigger runs, and the application never hears of it.

Every function that a metered table's trigger reaches is found in the catalog and given a probe
before each of its statements; every table that they write gets one before and after each row. A
probe does nothing until a setting says so; then it raises whatever SQLSTATE it is told. What must
hold: the application's write succeeds, each of its rows is recorded as it would have been or kept
in unrated_usage with that SQLSTATE, and once the fault is gone the records are what they would have
been. What must pass (cancel, serialization failures, deadlocks, corruption) passes, and leaves
nothing behind.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from campaigns.load import CounterExample
from campaigns.sql_text import statement_starts

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[str, int]
"""calls, messages or archive, and the row's id."""

PASSED_ON = frozenset({"40001", "40P01", "57014", "XX001", "XX002", "P0004"})
"""What must reach the application: it tries again, or its operator looks at the disk."""
SECRETS = ("5559876543", "4930123456", "PRIVATE BODY")
"""What rows of the scenarios hold that is nobody's business, and may be in no message."""


def sqlstates() -> list[str]:
    """All codes of Appendix A that an error can have, ours, and one that nobody knows."""
    known = {
        error.sqlstate
        for error in vars(psycopg.errors).values()
        if isinstance(getattr(error, "sqlstate", None), str)
    }
    return sorted({code for code in known if code[:2] not in ("00", "01")} | {"UB001", "ZZ999"})


def one_of_each_class() -> list[str]:
    """The codes passed on, those with a meaning of their own to us, and the first of each class."""
    firsts = {code[:2]: code for code in reversed(sqlstates())}
    own = {"23505", "55P03", "53100", "53200", "57P01", "P0001", "XX000"}
    return sorted({*firsts.values(), *PASSED_ON, *own})


# What is done, and what it should come to ---------------------------------------------------------

SET_UP = """
INSERT INTO public.tenants (id, timezone) VALUES (1, 'UTC'), (2, 'Asia/Tokyo'), (3, 'UTC');
INSERT INTO billing.pricing_rates (
    tenant_id, channel, resource_type, charge_model, terms, effective_from
)
VALUES
    (3, 'voice', 'minute', 'stepped', '{"connection_fee": 0.1, "steps": [
        {"from": 0, "unit_price": 0.06, "per": 60, "increment": 60},
        {"from": 60, "unit_price": 0.02, "per": 60, "increment": 1}]}', '2020-01-01'),
    (3, 'sms', 'message', 'graduated', '{"tiers": [
        {"up_to": 10, "unit_price": 0.01}, {"up_to": null, "unit_price": 0.005}]}', '2020-01-01');

CREATE TABLE public.archive (
    id bigint NOT NULL, tenant_id bigint, call_sid text, direction text, to_number text,
    status text,
    initiated_at timestamptz, answered_at timestamptz, ended_at timestamptz,
    duration_seconds numeric, billable_seconds numeric
) PARTITION BY LIST (status);
CREATE TABLE public.archive_done PARTITION OF public.archive FOR VALUES IN ('completed');
CREATE TABLE public.archive_rest PARTITION OF public.archive DEFAULT;
SELECT billing.meter_table('public.archive', 'billing.measure_call', 'call_sid');

INSERT INTO public.calls (id, tenant_id, call_sid, to_number, status, initiated_at,
    duration_seconds)
SELECT n, 1 + n % 3, 'CA' || n, '+15559876543',
    CASE WHEN n > 200 THEN 'completed' ELSE 'ringing' END,
    '2025-11-14 16:00:00+00', 40 + n
FROM generate_series(100, 299) AS n;
UPDATE public.calls SET status = 'failed' WHERE id BETWEEN 250 AND 299;
INSERT INTO public.messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at)
SELECT n, 1 + n % 3, 'SM' || n, 'sms', '+4930123456', 'PRIVATE BODY',
    CASE WHEN n > 200 THEN 'sent' ELSE 'queued' END, '2025-11-14 16:00:00+00'
FROM generate_series(100, 299) AS n;
INSERT INTO public.archive (id, tenant_id, call_sid, direction, to_number, status, initiated_at,
    duration_seconds)
SELECT n, 1 + n % 3, 'AR' || n, 'outbound', '+15559876543',
    CASE WHEN n > 200 THEN 'completed' ELSE 'ringing' END, '2025-11-14 16:00:00+00', 40 + n
FROM generate_series(100, 299) AS n;
SELECT billing.record_usage(1, 'voice', 'minute', 'CA' || n, 7, '{}', '2025-11-13')
FROM generate_series(150, 159) AS n WHERE n % 3 = 0;
"""


PASSED_OVER = (
    *("settle_reservations", "end_reservations", "set_aside", "reservations", "unrated_usage"),
    "record_difference: UPDATE billing.unrated_usage",
)
"""Where 40001 is caught: nothing is to be settled there, or another entry is as good."""


@dataclass(frozen=True)
class Scenario:
    """Statements of an application, and the rows that they write."""

    name: str
    statements: tuple[str, ...]
    rows: tuple[Row, ...]
    isolation: str = "READ COMMITTED"


def _rows(table: str, *ids: int) -> tuple[Row, ...]:
    return tuple((table, row_id) for row_id in ids)


def _update(
    name: str, table: str, change: str, ids: Sequence[int], isolation: str = "READ COMMITTED"
) -> Scenario:
    statement = f"UPDATE public.{table} SET {change} WHERE id IN ({', '.join(map(str, ids))})"
    return Scenario(name, (statement,), _rows(table, *ids), isolation)


DONE = "status = 'completed'"
FEW, MANY = range(111, 114), range(110, 124)
NEW_CALLS = """
INSERT INTO public.calls (id, tenant_id, call_sid, to_number, status, initiated_at,
    duration_seconds)
SELECT n, 1 + n % 3, 'CA' || n, '+15559876543', 'completed', '2025-11-14 16:00:00+00', n
FROM generate_series({0}, {1}) AS n
"""
NEW_ARCHIVED = """
INSERT INTO public.archive (
    id, tenant_id, call_sid, direction, to_number, status, initiated_at, duration_seconds
)
VALUES (1, 2, 'CA1', 'outbound', '+15559876543', 'completed', '2025-11-14 16:00:00+00', 1)
"""
NEW_MESSAGES = """
INSERT INTO public.messages (id, tenant_id, channel, to_address, recipients, body, status, sent_at)
SELECT n, 1 + n % 3, '{2}', '+4930123456', '{{a@example.org,b@example.org}}', 'PRIVATE BODY',
    'sent', {3}
FROM generate_series({0}, {1}) AS n
"""
SENT = "'2025-11-14 16:00:00+00'"
SCENARIOS = (
    Scenario("insert one call", (NEW_CALLS.format(1, 1),), _rows("calls", 1)),
    Scenario("insert 14 calls", (NEW_CALLS.format(1, 14),), _rows("calls", *range(1, 15))),
    Scenario(
        "insert one message", (NEW_MESSAGES.format(1, 1, "sms", SENT),), _rows("messages", 1)
    ),
    Scenario(
        "insert 14 e-mails",
        (NEW_MESSAGES.format(1, 14, "email", SENT),),
        _rows("messages", *range(1, 15)),
    ),
    Scenario(
        "insert messages without a time",
        (NEW_MESSAGES.format(1, 2, "whatsapp", "NULL"),),
        _rows("messages", 1, 2),
    ),
    _update("complete one call", "calls", DONE, [110]),
    _update("complete three calls", "calls", DONE, FEW),
    _update("complete 14 calls", "calls", DONE, MANY),
    _update("send one message", "messages", "status = 'sent'", [110]),
    _update("send 14 messages", "messages", "status = 'sent'", MANY),
    _update("correct one call", "calls", "duration_seconds = 99", [210]),
    _update("correct 14 calls", "calls", "duration_seconds = 99", range(210, 224)),
    _update("another destination and time", "calls", f"answered_at = {SENT}, to_number = '44'",
        [210]),
    _update("fail one call", "calls", "status = 'failed'", [210]),
    _update("fail 14 messages", "messages", "status = 'failed'", range(210, 224)),
    _update("complete one that failed", "calls", DONE, [260]),
    _update("complete 14 that failed", "calls", DONE, range(260, 274)),
    _update("complete one recorded by hand", "calls", DONE, [150]),
    _update("complete some recorded by hand", "calls", DONE, range(148, 160)),
    _update("correct and complete at once", "calls", f"{DONE}, billable_seconds = 7", [112, 113,
        212, 213, 262]),
    _update("another tenant", "calls", "tenant_id = 2", [212, 213]),
    _update("an unknown tenant", "calls", f"{DONE}, tenant_id = 404", [112]),
    Scenario(
        "upsert",
        (
            NEW_CALLS.format(109, 111)
            + "ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status,"
            " tenant_id = EXCLUDED.tenant_id",
        ),
        _rows("calls", 109, 110, 111),
    ),
    Scenario(
        "a statement after another",
        (
            f"UPDATE public.calls SET {DONE} WHERE id IN (112, 113)",
            "UPDATE public.calls SET duration_seconds = 1 WHERE id IN (113, 213)",
        ),
        _rows("calls", 112, 113, 213),
    ),
    _update("complete one, partitioned", "archive", DONE, [110]),
    _update("complete three, partitioned", "archive", DONE, FEW),
    _update("correct one, partitioned", "archive", "duration_seconds = 99", [210]),
    _update("fail one, partitioned", "archive", "status = 'failed'", [210]),
    Scenario(
        "insert one, partitioned",
        (NEW_ARCHIVED,),
        _rows("archive", 1),
    ),
    _update("complete one, one snapshot", "calls", DONE, [110], "REPEATABLE READ"),
    _update("complete 14, one snapshot", "calls", DONE, MANY, "SERIALIZABLE"),
    _update("correct one, one snapshot", "calls", "duration_seconds = 99", [210], "SERIALIZABLE"),
    _update("complete one recorded by hand, one snapshot", "calls", DONE, [150], "REPEATABLE READ"),
)  # fmt: skip


# Probes -------------------------------------------------------------------------------------------

PROBE = """
CREATE SCHEMA faults;
GRANT USAGE ON SCHEMA faults TO PUBLIC;
CREATE SEQUENCE faults.raised;
CREATE FUNCTION faults.probe(p_site integer, p_row bigint DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    v_at text := current_setting('faults.at', true);
BEGIN
    IF COALESCE(v_at, '') = '' THEN
        RETURN true;
    END IF;
    RAISE NOTICE 'site %', p_site;
    IF p_site = ANY (v_at::integer[])
        AND (
            current_setting('faults.row') = '' OR p_row IS NULL
            OR p_row = current_setting('faults.row')::bigint
        )
        AND (current_setting('faults.once') = '' OR nextval('faults.raised') = 1)
    THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = current_setting('faults.state');
    END IF;
    RETURN true;
END;
$$;
"""
REACHED = """
WITH RECURSIVE reached AS (
    SELECT t.tgfoid AS oid
    FROM pg_trigger AS t
    INNER JOIN billing.metered_tables AS m
        ON t.tgrelid = to_regclass(billing.qualify_source(m.source_table))
    WHERE t.tgfoid::regproc::text LIKE '%meter\\_%'
    UNION
    SELECT p.oid
    FROM reached
    INNER JOIN pg_proc AS caller ON caller.oid = reached.oid
    CROSS JOIN LATERAL regexp_matches(caller.prosrc, 'billing\\.(\\w+)\\s*\\(',
        'g') AS called (names)
    INNER JOIN pg_proc AS p ON p.proname = called.names[1]
        AND p.pronamespace = 'billing'::regnamespace
)
SELECT
    p.oid, n.nspname, p.proname, l.lanname, p.prosrc, pg_get_functiondef(p.oid), p.pronargs,
        p.proretset,
    p.prorettype = 'void'::regtype, p.prorettype = 'trigger'::regtype, p.proargnames,
        p.proargmodes::text[],
    p.proargtypes::regtype[]::text[]
FROM reached
INNER JOIN pg_proc AS p USING (oid)
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
INNER JOIN pg_language AS l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql')
ORDER BY p.proname
"""


NEVER_FAIL = ("BEGIN", "GET", "NULL;", "RAISE", "RETURN NULL;")
"""Statements before which nothing can go wrong, or does already."""


@dataclass(frozen=True)
class Site:
    """Where an error can be raised."""

    number: int
    place: str
    is_of_row: bool = False
    """Whether it knows which row it is about, so that a fault can be for one only."""


def prepare(connection: Connection) -> list[Site]:
    """Fill and instrument a migrated database that is otherwise empty."""
    connection.execute(SET_UP.encode())
    return instrument(connection)


def instrument(connection: Connection) -> list[Site]:
    """Give every function that a trigger reaches its probes, and every table that they write.

    A probe stands in an ASSERT, the one statement with an expression that leaves FOUND alone.
    """
    connection.execute(PROBE.encode())
    sites: list[Site] = []

    def new_site(place: str, is_of_row: bool = False) -> int:
        sites.append(Site(len(sites) + 1, place, is_of_row))
        return len(sites)

    functions = connection.execute(REACHED.encode()).fetchall()
    written: set[str] = set()
    for _, schema, name, language, source, definition, *shape in functions:
        written.update(re.findall(r"(?:INSERT\s+INTO|UPDATE)\s+billing\.(\w+)", source))
        head, quote, _ = _split(definition)
        if language == "plpgsql":
            definition = head + quote + _probed(source, name, new_site) + quote
            connection.execute(definition.encode())
        if not shape[3]:
            _wrap(connection, schema, name, definition, shape, new_site)
    for table in sorted(written):
        _watch(connection, table, new_site)
    return sites


def _split(definition: str) -> tuple[str, str, str]:
    """What pg_get_functiondef gave: up to the body, its quote, and the body with the rest."""
    match = re.search(r"^AS (\$\w*\$)", definition, re.MULTILINE)
    assert match
    return definition[: match.start(1)], match[1], definition[match.end(1) :]


def _probed(body: str, name: str, new_site: Callable[..., int]) -> str:
    parts, done = [], 0
    for start in statement_starts(body):
        words = " ".join(body[start : start + 60].split())
        if words.startswith(NEVER_FAIL):
            continue
        parts += [body[done:start], f"ASSERT faults.probe({new_site(f'{name}: {words}')}); "]
        done = start
    return "".join([*parts, body[done:]])


def _wrap(
    connection: Connection,
    schema: str,
    name: str,
    definition: str,
    shape: Sequence[Any],
    new_site: Callable[..., int],
) -> None:
    """Move the function into schema faults; in its place stands one that calls it, or raises."""
    count, is_set, is_void, _, names, modes, types = shape
    head, quote, _ = _split(definition)
    moved = re.sub(rf'FUNCTION "?{schema}"?\.', "FUNCTION faults.", definition, count=1)
    connection.execute(moved.encode())
    called = f'faults."{name}"({", ".join(f"${n}" for n in range(1, count + 1))})'
    outs = [n for n, mode in zip(names or [], modes or [], strict=False) if mode in "ob"]
    if is_void:
        call = f"PERFORM {called};"
    elif is_set:
        call = f"RETURN QUERY SELECT * FROM {called};"
    elif outs:
        call = f"SELECT * INTO {', '.join(outs)} FROM {called};"
    else:
        call = f"RETURN {called};"
    row = "NULL"
    for position, (argument, its_type) in enumerate(zip(names or [], types, strict=False), start=1):
        if argument in ("p_id", "p_source_id"):
            row = f"${position}::bigint"
        elif its_type == "billing.measurement":
            row = f"${position}.source_id"
    head = re.sub(r"LANGUAGE sql", "LANGUAGE plpgsql", head)
    site = new_site(f"{name}: called", row != "NULL")
    body = f"BEGIN ASSERT faults.probe({site}, {row}); {call} END"
    connection.execute((head + quote + body + quote).encode())


def _watch(connection: Connection, table: str, new_site: Callable[..., int]) -> None:
    """Probes before and after each row that is written to a table of ours."""
    query = "SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'source_id'"
    is_of_row = connection.execute(query, [f"billing.{table}"]).fetchone() is not None
    row = sql.SQL("NEW.source_id" if is_of_row else "NULL")
    for moment in ("BEFORE", "AFTER"):
        for event in ("INSERT", "UPDATE"):
            site = new_site(f"{table}: {moment} {event}".lower(), is_of_row)
            function = sql.Identifier("faults", f"{table} {moment} {event}".lower())
            connection.execute(
                sql.SQL(
                    "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS"
                    " 'BEGIN ASSERT faults.probe({}, {}); RETURN NEW; END'"
                ).format(function, site, row)
            )
            connection.execute(
                sql.SQL("CREATE TRIGGER {} {} {} ON {} FOR EACH ROW EXECUTE FUNCTION {}()").format(
                    sql.Identifier(f"faults {moment} {event}"),
                    sql.SQL(moment),
                    sql.SQL(event),
                    sql.Identifier("billing", table),
                    function,
                )
            )


# One fault ----------------------------------------------------------------------------------------

RECORDS = """
SELECT
    source_table, source_id, part, usage_date, revision, kind, tenant_id, channel, resource_type,
        resource_id, rate_id,
    quantity, seconds, billed_quantity, unit_cost, total_cost, currency, destination, occurred_at
FROM billing.usage_records
WHERE source_table = ANY (%(tables)s) AND source_id = ANY (%(ids)s)
ORDER BY source_table, source_id, part, tenant_id, id
"""
ASIDE = """
SELECT source_table, source_id, sqlstate, reason, context, tenant_id
FROM billing.unrated_usage
WHERE resolved_at IS NULL AND source_table = ANY (%(tables)s) AND source_id = ANY (%(ids)s)
"""
VERIFIED = "SELECT check_name, subject FROM billing.verify() ORDER BY 1, 2"
BY_HAND = """
SELECT tenant_id, channel, resource_type, resource_id, record_id, reversed_at IS NULL
FROM billing.direct_usage WHERE record_id < %(first_id)s ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class Fault:
    """At which sites, with which SQLSTATE; once only, or for one row only, or always."""

    sites: tuple[int, ...]
    state: str
    is_once: bool = False
    row_id: int | None = None

    def __str__(self) -> str:
        manner = "once" if self.is_once else f"for {self.row_id}" if self.row_id else "always"
        return f"{self.state} {manner} at sites {', '.join(map(str, self.sites))}"


@dataclass
class Found:
    """What stands in the database for the rows of a scenario."""

    records: dict[Row, list[tuple[Any, ...]]]
    aside: dict[Row, tuple[Any, ...]]
    rows: list[tuple[Any, ...]]
    by_hand: list[tuple[Any, ...]]
    standing: dict[Row, list[tuple[Any, ...]]]
    broken: list[tuple[Any, ...]]


@dataclass
class Figures:
    """What was done, for people."""

    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    sites: set[int] = field(default_factory=set)
    states: set[str] = field(default_factory=set)


class Faults:
    """Scenarios in an instrumented database, each rolled back in the end."""

    def __init__(self, connection: Connection, sites: list[Site]) -> None:
        """The connection is in autocommit, and its database prepared with these sites."""
        self.connection = connection
        self.sites = sites
        self.figures = Figures()
        # Level and texts, copied: a notice lives no longer than its handler.
        self._notices: list[tuple[str, str, str]] = []
        connection.add_notice_handler(
            lambda notice: self._notices.append(
                (
                    notice.severity_nonlocalized or "",
                    notice.message_primary or "",
                    f"{notice.message_detail} {notice.context}",
                )
            )
        )
        self._first_id = self._value("SELECT max(id) + 1 FROM billing.usage_records")
        connection.execute("SET client_min_messages = notice; SET jit = off")
        self._expected: dict[str, Found] = {}
        self._before: dict[str, Found] = {}
        self._between: dict[str, list[Found]] = {}
        self.reached: dict[str, set[int]] = {}
        for scenario in SCENARIOS:
            self._learn(scenario)

    def _learn(self, scenario: Scenario) -> None:
        """What the scenario comes to when nothing goes wrong, and the sites that it reaches."""
        self._begin(scenario, Fault((0,), ""))
        self._before[scenario.name] = self._look(scenario)
        self._notices.clear()
        window = self._write(scenario)
        self.reached[scenario.name] = self._reached()
        self._calm()
        self._expected[scenario.name] = self._look(scenario, window, is_verified=True)
        self.connection.execute("ROLLBACK")
        self._between[scenario.name] = [self._before[scenario.name]]
        for count in range(1, len(scenario.statements)):
            self._begin(scenario, Fault((0,), ""))
            half = replace(scenario, statements=scenario.statements[:count])
            self._between[scenario.name].append(self._look(scenario, self._write(half)))
            self.connection.execute("ROLLBACK")

    def plan(self, rng: random.Random, depth: int = 12) -> list[tuple[Scenario, Fault]]:
        """Every site with every class of SQLSTATE, in a scenario that comes by; some once, and
        some for one row of several. The same for the sites that only another fault leads to, looked
        for with so many first faults a scenario."""
        classes = one_of_each_class()
        faults: list[tuple[Scenario, Fault]] = []

        def add(sites: tuple[int, ...], scenarios: list[Scenario]) -> None:
            for state in classes:
                faults.append((rng.choice(scenarios), Fault(sites, state)))
            others = rng.sample(sqlstates(), 8)
            faults.extend((rng.choice(scenarios), Fault(sites, state)) for state in others[:4])
            faults.extend((rng.choice(scenarios), Fault(sites, state, True)) for state in others)

        comes_by: defaultdict[int, list[Scenario]] = defaultdict(list)
        for scenario in SCENARIOS:
            for number in sorted(self.reached[scenario.name]):
                comes_by[number].append(scenario)
        for number, scenarios in sorted(comes_by.items()):
            add((number,), scenarios)
            several = [scenario for scenario in scenarios if len(scenario.rows) > 1]
            if self.sites[number - 1].is_of_row and several:
                for state in rng.sample(sorted(set(classes) - PASSED_ON), 8):
                    scenario = rng.choice(several)
                    row_id = rng.choice(scenario.rows)[1]
                    faults.append((scenario, Fault((number,), state, row_id=row_id)))
        for second, (first, scenarios) in sorted(self._second_sites(rng, depth).items()):
            add((first, second), scenarios)
        rng.shuffle(faults)
        return faults

    def _second_sites(
        self, rng: random.Random, depth: int
    ) -> dict[int, tuple[int, list[Scenario]]]:
        """Sites that no scenario reaches by itself, each with a first fault that leads there."""
        usual = set().union(*self.reached.values())
        found: dict[int, tuple[int, list[Scenario]]] = {}
        for scenario in SCENARIOS:
            for first in rng.sample(sorted(self.reached[scenario.name]), depth):
                for second in self.attempt(scenario, Fault((first,), "XX000")) - usual:
                    found.setdefault(second, (first, [scenario]))
        return found

    def attempt(self, scenario: Scenario, fault: Fault) -> set[int]:
        """Raises CounterExample; the sites that were reached."""
        try:
            reached, outcome = self._attempt(scenario, fault)
        except CounterExample as error:
            places = "; ".join(self.sites[site - 1].place for site in fault.sites)
            raise CounterExample(f"{scenario.name}: {error}\n({fault}: {places})") from None
        finally:
            self.connection.execute("ROLLBACK")
        if reached & set(fault.sites):
            self.figures.counts["faults"] += 1
            self.figures.counts[outcome] += 1
            self.figures.sites |= reached & set(fault.sites)
            self.figures.states.add(fault.state)
        return reached

    def _may_absorb(self, fault: Fault, hit: set[int]) -> bool:
        """In an old snapshot, what became of a reservation or an entry since is passed over."""
        return fault.state == "40001" and all(
            site.place.startswith(PASSED_OVER) for site in self.sites if site.number in hit
        )

    def _attempt(self, scenario: Scenario, fault: Fault) -> tuple[set[int], str]:
        expected, before = self._expected[scenario.name], self._before[scenario.name]
        self._begin(scenario, fault)
        self._notices.clear()
        self.connection.execute("SAVEPOINT before")
        try:
            window = self._write(scenario)
        except psycopg.Error as error:
            return self._reached(), self._passed_on(scenario, fault, error, before)
        reached = self._reached()
        warnings = self._warnings()
        self._calm()
        found = self._look(scenario, window)
        hit = reached & set(fault.sites)
        if (
            hit
            and fault.state in PASSED_ON
            and not fault.is_once
            and not self._may_absorb(fault, hit)
        ):
            raise CounterExample(f"{fault.state} did not reach the application")
        if found.rows != expected.rows:
            raise CounterExample("the application's rows are not what it wrote")
        aside, lost = [], []
        for row in scenario.rows:
            records = found.records.get(row, [])
            entry = found.aside.get(row)
            if records == expected.records.get(row, []) and entry == expected.aside.get(row):
                continue
            # In part only as whole statements, or triggers of one, are.
            if all(
                records != known.records.get(row, [])
                for known in (expected, *self._between[scenario.name])
            ):
                raise CounterExample(f"{row} is recorded by half: {records}")
            if entry is not None:
                self._check_entry(row, entry, fault, expected.aside.get(row))
                aside.append(row)
            elif any(_names(warning, row) for warning in warnings):
                lost.append(row)
            else:
                raise CounterExample(f"{row} is neither recorded nor set aside, and nobody says so")
        if fault.row_id and not {row_id for _, row_id in aside + lost} <= {fault.row_id}:
            raise CounterExample(f"{aside} set aside, not only {fault.row_id}")
        if lost and len(fault.sites) == 1 and fault.sites[0] in self._usual:
            raise CounterExample(f"{lost} not set aside, only warned of")
        self._execute("SELECT billing.retry_unrated(100000)")
        if lost:
            self._execute("SELECT * FROM billing.reconcile('2025-11-01', '2025-11-30')")
            self._execute("SELECT * FROM billing.reconcile(current_date - 1, current_date + 1)")
        end = (window[0], self._value("SELECT clock_timestamp()") if lost else window[1])
        healed = self._look(scenario, end, is_verified=True)
        # What came in several steps may be recorded in fewer.
        what_stands = "records" if len(scenario.statements) == 1 else "standing"
        for what in (what_stands, "by_hand", "broken", "rows"):
            is_, should_be = getattr(healed, what), getattr(expected, what)
            if is_ != should_be:
                raise CounterExample(f"{what} after the fault: {is_}\ninstead of {should_be}")
        if healed.aside.keys() != expected.aside.keys():
            raise CounterExample(f"still set aside: {healed.aside}")
        if lost:
            return reached, "rows that could not even be set aside: warned of, found by reconcile"
        return reached, "set aside, and rated later" if aside else "absorbed"

    @property
    def _usual(self) -> set[int]:
        """Sites that are reached without any fault, in scenarios that nothing is set aside in."""
        return {
            site
            for name, sites in self.reached.items()
            if not self._expected[name].aside
            for site in sites
        }

    def _passed_on(
        self, scenario: Scenario, fault: Fault, error: psycopg.Error, before: Found
    ) -> str:
        """The application heard of it: it must have been what it should hear of, as it was."""
        self.connection.execute("ROLLBACK TO before")
        self._calm()
        is_stale = scenario.isolation != "READ COMMITTED" and fault.state == "23505"
        if error.sqlstate != ("40001" if is_stale else fault.state) or not (
            is_stale or fault.state in PASSED_ON
        ):
            raise CounterExample(f"the write failed: {error.sqlstate} {error}") from None
        found = self._look(scenario)
        if found != before:
            raise CounterExample("the write failed and left something behind")
        return "passed on"

    def _check_entry(
        self, row: Row, entry: tuple[Any, ...], fault: Fault, expected: tuple[Any, ...] | None
    ) -> None:
        state, reason, context, _ = entry
        if state != fault.state and (expected is None or state != expected[0]):
            raise CounterExample(f"{row} was set aside with {state}")
        if not reason or not context:
            raise CounterExample(f"{row} was set aside without reason or context: {entry}")
        if any(secret in f"{reason} {context}" for secret in SECRETS):
            raise CounterExample(f"the entry of {row} tells what is nobody's business: {entry}")

    def _warnings(self) -> list[str]:
        found = []
        for level, message, details in self._notices:
            if level == "WARNING":
                text = f"{message} {details}"
                if any(secret in text for secret in SECRETS):
                    raise CounterExample(f"a warning tells what is nobody's business: {text}")
                found.append(text)
        return found

    def _reached(self) -> set[int]:
        texts = [message for _, message, _ in self._notices]
        return {int(text[5:]) for text in texts if text.startswith("site ")}

    def _begin(self, scenario: Scenario, fault: Fault) -> None:
        self.connection.execute(f"BEGIN ISOLATION LEVEL {scenario.isolation}".encode())
        self.connection.execute(
            "SELECT set_config('faults.at', %s, true), set_config('faults.state', %s, true),"
            " set_config('faults.once', %s, true), set_config('faults.row', %s, true),"
            " setval('faults.raised', 1, false)",
            [
                f"{{{','.join(map(str, fault.sites))}}}",
                fault.state,
                "on" if fault.is_once else "",
                str(fault.row_id or ""),
            ],
        )

    def _calm(self) -> None:
        """The fault is gone."""
        self._execute("SELECT set_config('faults.at', '', true)")

    def _write(self, scenario: Scenario) -> tuple[Any, Any]:
        begin = self._value("SELECT clock_timestamp()")
        for statement in scenario.statements:
            self.connection.execute(statement.encode())
        return begin, self._value("SELECT clock_timestamp()")

    def _look(
        self,
        scenario: Scenario,
        window: tuple[Any, Any] = (None, None),
        is_verified: bool = False,
    ) -> Found:
        """A record of the moment of writing shows None for its time and day."""
        given = {
            "tables": sorted({table for table, _ in scenario.rows}),
            "ids": sorted({row_id for _, row_id in scenario.rows}),
            "first_id": self._first_id,
        }
        records: dict[Row, list[tuple[Any, ...]]] = {}
        standing: dict[Row, dict[tuple[Any, ...], tuple[Any, ...]]] = {}
        for table, row_id, part, day, revision, kind, tenant, *rest, at in self._all(
            RECORDS, given
        ):
            if window[0] and window[0] <= at <= window[1]:
                day = at = None
            row, chain = (table, row_id), (part, day, tenant)
            records.setdefault(row, []).append((*chain, revision, kind, *rest, at))
            standing.setdefault(row, {}).pop(chain, None)
            if kind == "charge":
                standing[row][chain] = (*rest, at)
        rows = []
        for table in given["tables"]:
            statement = f"SELECT * FROM public.{table} WHERE id = ANY (%(ids)s) ORDER BY id"
            rows += [_without_clock(row) for row in self._all(statement, given)]
        return Found(
            records,
            {(table, row_id): tuple(rest) for table, row_id, *rest in self._all(ASIDE, given)},
            rows,
            self._all(BY_HAND, given),
            {row: list(chains.items()) for row, chains in standing.items()},
            self._all(VERIFIED, {}) if is_verified else [],
        )

    def _all(self, query: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), given).fetchall()

    def _value(self, query: str) -> Any:
        row = self.connection.execute(query.encode()).fetchone()
        assert row
        return row[0]

    def _execute(self, statement: str) -> None:
        self.connection.execute(statement.encode())


def _without_clock(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The application's row, but for created_at and updated_at, which differ from run to run."""
    return row[:-2] if len(row) > 12 else row


def _names(warning: str, row: Row) -> bool:
    """All rows of the table, where not even their ids could be had."""
    found = re.search(r"rows of (\w+), ids (?:(\d+) to (\d+)| to )", warning)
    if found is None or found[1] != row[0]:
        return False
    return found[2] is None or int(found[2]) <= row[1] <= int(found[3])


def campaign(
    faults: Faults,
    plan: Sequence[tuple[Scenario, Fault]],
    on_case: Callable[[], object] = lambda: None,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Attempt what is planned. Raises CounterExample."""
    for scenario, fault in plan:
        if is_over():
            return
        faults.attempt(scenario, fault)
        on_case()
