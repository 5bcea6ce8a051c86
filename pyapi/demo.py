"""`irisx-usage demo`: a platform of six made-up tenants, billed while you watch.

The demo is an application like any other: it inserts calls and messages as they begin, completes
them with plain UPDATEs, and never asks for billing. What it then shows, the engine has done by
itself; most of it is printed by the commands of `irisx-usage`, so that everything can be repeated.

The data follow from a seed and the instant of the first run, which the tenants keep as created_at.
A later run finds its rows, completes what an interrupted one left unfinished, and adds nothing.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pyapi import cli, deploy
from pyapi.client import Client, Period, Violation
from pyapi.connection import connect
from pyapi.embedded import ServerError, project, project_server
from pyapi.errors import UsageError, translated

SEED = 20251130
CALLS_IN_ALL = MESSAGES_IN_ALL = 3_000
BATCH = 200
SHARE_ONE_BY_ONE = 0.3
HISTORY_DAYS = 3
PROGRAM = "irisx-usage"

Connection = psycopg.Connection[tuple[Any, ...]]
State = tuple[Any, ...]
Row = TypeVar("Row")


def run(database: str | None) -> None:
    """Load the demo's platform and show what was billed; a second run only shows.

    database: where to; None starts the project's own embedded server. A database that has tenants
    already is refused, unless they are the demo's.

    Raises UsageError.
    """
    started = time.monotonic()
    conninfo = _start_embedded() if database is None else database
    with translated(), connect(conninfo) as connection:
        _refuse_strangers(connection)
    deploy.migrate(conninfo, on_step=_say)
    with translated(), connect(conninfo) as connection:
        # Of two demos at once, the second waits and then finds all there.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('irisx-usage demo', 0))")
        connection.execute("SET search_path = public")
        loaded = load(connection)
        Tour(connection, conninfo, loaded).show()
    _tell_what_next(
        loaded, embedded=database is None, without_option=database in (None, _address_at_hand())
    )
    _say(f"done in {time.monotonic() - started:.0f} s")


def _start_embedded() -> str:
    _say("starting the PostgreSQL that comes with this project ...")
    try:
        return project_server().start().conninfo()
    except (ServerError, OSError) as error:
        raise UsageError(str(error)) from error


def _refuse_strangers(connection: Connection) -> None:
    """Keep made-up tenants, prices and calls out of a database that is somebody's own."""
    installed = _exists(connection, "billing.deployed_files")
    for table in ("tenants", "calls", "messages"):
        if not _exists(connection, f"public.{table}"):
            continue
        if installed and table == "tenants" and len(_find_tenants(connection)[0]) == len(TENANTS):
            return
        rows = connection.execute(f"SELECT EXISTS (SELECT FROM public.{table})".encode())
        if rows.fetchone() == (True,) or not installed:
            raise UsageError(
                f"this database has {table} of its own: the demo does not mix with them",
                hint="name an empty database, or none: then the demo starts a server of its own",
            )


def _exists(connection: Connection, table: str) -> bool:
    query = "SELECT to_regclass(%s) IS NOT NULL"
    return connection.execute(query, [table]).fetchone() == (True,)


# The platform -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tenant:
    """A customer of the platform: its terms, and what it does all day."""

    company_name: str
    plan: str
    timezone: str
    billing_cycle_day: int
    currency: str
    number: str
    domain: str
    share: float  # of all calls and messages
    calls: str  # countries called, repeated by how often
    messages: str  # channels used, likewise
    credit: Decimal = Decimal(0)


TENANTS = (
    Tenant(
        *("Harborview Dental", "professional", "America/New_York", 1, "USD"),
        *("+12125550100", "harborview.example", 0.24),
        calls="us us us us us uk",
        messages="sms sms sms mms email email whatsapp social",
        credit=Decimal(500),
    ),
    Tenant(
        *("Kumo Robotics", "enterprise", "Asia/Tokyo", 15, "USD"),
        *("+81300000100", "kumo.example", 0.20),
        calls="jp jp jp us au",
        messages="sms email email email whatsapp",
        credit=Decimal(2000),
    ),
    Tenant(
        *("Spreewald Logistik", "enterprise_eu", "Europe/Berlin", 31, "EUR"),
        *("+493023125100", "spreewald.example", 0.18),
        calls="de de de de de de de fr fr uk uk se",
        messages="sms mms email whatsapp whatsapp social",
    ),
    Tenant(
        *("Camden Cycles", "starter", "Europe/London", 1, "USD"),
        *("+442079460100", "camden-cycles.example", 0.10),
        calls="uk uk uk us",
        messages="sms whatsapp whatsapp social social",
        credit=Decimal(50),
    ),
    Tenant(
        *("Pixel & Plum", "free_trial", "Australia/Sydney", 20, "USD"),
        *("+61255500100", "pixelplum.example", 0.06),
        calls="au au us",
        messages="email email social mms",
    ),
    Tenant(
        *("Northstar Telecom", "enterprise", "UTC", 1, "USD"),
        *("+14155550100", "northstar.example", 0.22),
        calls="us us uk uk de fr se au",
        messages="sms sms sms email",
        credit=Decimal(5000),
    ),
)
HERO, WITHOUT_A_RATE, WITH_OWN_CARD = 0, 2, 5

# Numbers that are nobody's: set aside for fiction by each country's regulator, or never assigned.
COUNTRIES = {
    "us": ("+121255501##", "+141555501##", "+161755501##", "+131255501##"),
    "uk": ("+442079460###", "+447700900###"),
    "de": ("+493023125###", "+4917139200##"),
    "fr": ("+3319900####",),
    "se": ("+468465004##",),
    "au": ("+6125550####",),
    "jp": ("+813000001##",),
}
PEOPLE = (
    *("ada.lovelace", "grace.hopper", "alan.turing", "katherine.johnson", "edsger.dijkstra"),
    *("barbara.liskov", "donald.knuth", "radia.perlman", "claude.shannon", "hedy.lamarr"),
)
TEXTS = (
    "Your appointment is confirmed for tomorrow at 10:30.",
    "Your parcel is on its way and arrives today before noon.",
    "Your code is 483920. It is valid for ten minutes.",
    "Thank you for your order! Reply STOP to unsubscribe.",
    "We are closed on Monday. See you on Tuesday!",
)

# Prices beyond those that are there from the start: plan or tenant, channel, resource, prefix,
# price, initial and further increment, connection fee, what it is the price of.
Price = tuple[str, str, str, str, str, int, int, str, str]
CARDS: tuple[Price, ...] = (
    ("enterprise_eu", "voice", "minute", "49", "0.0110", 1, 1, "0", "Germany"),
    ("enterprise_eu", "voice", "minute", "491", "0.0420", 1, 1, "0", "Germany, mobile"),
    ("enterprise_eu", "voice", "minute", "33", "0.0130", 1, 1, "0", "France"),
    ("enterprise_eu", "voice", "minute", "44", "0.0140", 1, 1, "0", "United Kingdom"),
    ("enterprise_eu", "sms", "message", "", "0.0690", 1, 1, "0", "SMS"),
    ("enterprise_eu", "sms", "mms", "", "0.1900", 1, 1, "0", "MMS"),
    ("enterprise_eu", "email", "message", "", "0.0009", 1, 1, "0", "Email, per recipient"),
    ("enterprise_eu", "whatsapp", "message", "", "0.0450", 1, 1, "0", "WhatsApp"),
    ("enterprise_eu", "social", "message", "", "0.0045", 1, 1, "0", "Social media"),
    ("Northstar Telecom", "voice", "minute", "", "0.0900", 60, 60, "0", "Elsewhere"),
    ("Northstar Telecom", "voice", "minute", "1", "0.0062", 6, 6, "0", "USA and Canada"),
    ("Northstar Telecom", "voice", "minute", "44", "0.0095", 30, 6, "0", "United Kingdom"),
    ("Northstar Telecom", "voice", "minute", "447", "0.0240", 30, 6, "0.01", "UK, mobile"),
    ("Northstar Telecom", "voice", "minute", "49", "0.0098", 30, 6, "0", "Germany"),
    ("Northstar Telecom", "voice", "minute", "491", "0.0310", 30, 6, "0.01", "Germany, mobile"),
    ("Northstar Telecom", "voice", "minute", "33", "0.0089", 30, 6, "0", "France"),
)
MISSING_PRICE: Price = ("enterprise_eu", "voice", "minute", "46", "0.0150", 1, 1, "0", "Sweden")


# What happens on it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A table of the application: what it knows when a row begins, and what it learns later."""

    name: str
    key: str
    begun: tuple[str, ...]
    learned: dict[str, str]  # column and type


CALLS = Source(
    "calls",
    "call_sid",
    (
        "call_sid",
        "tenant_id",
        "direction",
        "from_number",
        "to_number",
        "initiated_at",
        "created_at",
    ),
    {
        "status": "text",
        "answered_at": "timestamptz",
        "ended_at": "timestamptz",
        "duration_seconds": "numeric",
        "billable_seconds": "numeric",
        "hangup_cause": "text",
    },
)
MESSAGES = Source(
    "messages",
    "message_sid",
    (
        *("message_sid", "tenant_id", "channel", "direction", "from_address", "to_address"),
        *("recipients", "body", "media_urls", "num_segments", "created_at"),
    ),
    {
        "status": "text",
        "sent_at": "timestamptz",
        "delivered_at": "timestamptz",
        "failed_at": "timestamptz",
        "error_code": "text",
    },
)
SHOWN_CALL = f"CA-demo-{CALLS_IN_ALL}"


@dataclass(frozen=True)
class Story:
    """One row from its INSERT, the first state, through the UPDATEs that bring the others."""

    source: Source
    begun: tuple[Any, ...]
    states: tuple[State, ...]
    one_by_one: bool

    @property
    def key(self) -> str:
        return str(self.begun[0])


@dataclass(frozen=True)
class Span:
    """A tenant's two billing periods up to now, as instants."""

    tenant_id: int
    previous_start: datetime
    current_start: datetime
    now: datetime
    utc_offset: timedelta

    def pick(self, rng: random.Random) -> datetime:
        """Return an instant, mostly of a working day; the current period has its share even when
        it has only just begun."""
        length, elapsed = self.now - self.previous_start, self.now - self.current_start
        share = max(elapsed / length, 0.15)
        current = rng.random() < share
        start, end = (
            (self.current_start, self.now) if current else (self.previous_start, self.current_start)
        )
        while True:
            at = start + timedelta(seconds=int(rng.random() * (end - start).total_seconds()))
            local = at + self.utc_offset
            busy = 1.0 if 8 <= local.hour < 18 else 0.1
            if rng.random() < (busy if local.weekday() < 5 else busy / 4):
                return at


def imagine(spans: Sequence[Span]) -> list[Story]:
    """Return every call and message of the platform, in the order of time; the same every time."""
    rng = random.Random(SEED)
    shares = [tenant.share for tenant in TENANTS]
    chosen = list(zip(TENANTS, spans, strict=True))

    def begin(count: int) -> list[tuple[datetime, Tenant, int]]:
        picked = rng.choices(chosen, shares, k=count)
        moments = [(span.pick(rng), tenant, span.tenant_id) for tenant, span in picked]
        return sorted(moments, key=lambda moment: (moment[0], moment[2]))

    stories = [
        _imagine_call(rng, f"CA-demo-{number:04}", *moment)
        for number, moment in enumerate(begin(CALLS_IN_ALL - 1), 1)
    ]
    # One call is still going on, for the demo to end before your eyes: 315 seconds.
    answered = spans[HERO].now - timedelta(seconds=315)
    stories.append(
        Story(
            CALLS,
            (
                *(SHOWN_CALL, spans[HERO].tenant_id, "outbound"),
                *(TENANTS[HERO].number, "+12125550142", *[answered - timedelta(seconds=8)] * 2),
            ),
            (("in-progress", answered, None, None, None, None),),
            one_by_one=True,
        )
    )
    stories += [
        _imagine_message(rng, f"SM-demo-{number:04}", *moment)
        for number, moment in enumerate(begin(MESSAGES_IN_ALL), 1)
    ]
    return stories


def _imagine_call(
    rng: random.Random, sid: str, at: datetime, tenant: Tenant, tenant_id: int
) -> Story:
    other = _number(rng, rng.choice(tenant.calls.split()))
    inbound = rng.random() < 0.15
    ends = (other, tenant.number) if inbound else (tenant.number, other)
    answered = at + timedelta(seconds=rng.randint(3, 25))
    seconds = min(max(int(rng.lognormvariate(4.8, 0.9)), 4), 3600)
    ended = answered + timedelta(seconds=seconds)
    ringing: State = ("ringing", None, None, None, None, None)
    talking: State = ("in-progress", answered, None, None, None, None)
    done: State = ("completed", answered, ended, seconds, None, "NORMAL_CLEARING")

    def unanswered(status: str, cause: str) -> tuple[State, ...]:
        return (ringing, (status, None, answered, 0, None, cause))

    match rng.choices(range(7), (73, 9, 7, 6, 2, 2, 1))[0]:
        case 1:
            states = unanswered("no-answer", "NO_ANSWER")
        case 2:
            states = unanswered("busy", "USER_BUSY")
        case 3:
            states = unanswered("failed", "NORMAL_TEMPORARY_FAILURE")
        case 4:  # The switch corrects itself: the call was shorter.
            less = max(seconds - rng.randint(1, 30), 1)
            states = (ringing, talking, done, (*done[:4], less, done[5]))
        case 5:  # Its duration comes late.
            states = (ringing, talking, (*done[:3], None, *done[4:]), done)
        case 6:  # Reported as completed, and turns out failed.
            states = (ringing, talking, done, ("failed", *done[1:5], "MEDIA_TIMEOUT"))
        case _:
            states = (ringing, talking, done)
    begun = (sid, tenant_id, "inbound" if inbound else "outbound", *ends, at, at)
    return Story(CALLS, begun, states, rng.random() < SHARE_ONE_BY_ONE)


def _imagine_message(
    rng: random.Random, sid: str, at: datetime, tenant: Tenant, tenant_id: int
) -> Story:
    channel = rng.choice(tenant.messages.split())
    recipients, media = None, None
    if channel == "email":
        people = rng.sample(PEOPLE, rng.choice((1, 1, 1, 1, 2, 3, 6)))
        recipients = [f"{person}@example.com" for person in people]  # to, then cc and bcc
        ends = (f"hello@{tenant.domain}", recipients[0])
    elif channel == "social":
        ends = (f"@{tenant.domain.split('.')[0]}", f"@{rng.choice(PEOPLE)}")
    else:
        ends = (tenant.number, _number(rng, rng.choice(tenant.calls.split())))
    if channel == "mms":
        channel, media = "sms", Jsonb([f"https://cdn.{tenant.domain}/{rng.randint(1, 99)}.jpg"])

    sent = at + timedelta(seconds=rng.randint(0, 3))
    delivered = sent + timedelta(seconds=rng.randint(1, 20))
    queued: State = ("queued", None, None, None, None)
    gone: State = ("sent", sent, None, None, None)
    there: State = ("delivered", sent, delivered, None, None)
    kind = rng.choices(("there", "sent", "inbound", "failed", "lost"), (78, 6, 10, 4, 2))[0]
    states: tuple[State, ...] = (queued, gone, there)
    if kind == "inbound":
        states, ends = (("received", None, at, None, None),), (ends[1], ends[0])
        recipients = [ends[1]] if recipients else None
    elif kind == "failed":
        states = (queued, ("failed", None, None, sent, "30005"))
    elif kind == "lost":  # Sent and billed; then the carrier gives up.
        states = (queued, gone, ("undelivered", sent, None, delivered, "30003"))
    elif kind == "sent":
        states = (queued, gone)
    elif channel == "whatsapp" and rng.random() < 0.7:
        states += (("read", *there[1:]),)
    elif channel == "email" and rng.random() < 0.4:
        states += (("opened", *there[1:]), ("clicked", *there[1:]))
    direction = "inbound" if kind == "inbound" else "outbound"
    segments = 1 if channel == "sms" and media is None else None
    begun = (
        *(sid, tenant_id, channel, direction, *ends),
        *(recipients, rng.choice(TEXTS), media, segments, at),
    )
    return Story(MESSAGES, begun, states, rng.random() < SHARE_ONE_BY_ONE)


def _number(rng: random.Random, country: str) -> str:
    pattern = rng.choice(COUNTRIES[country])
    return "".join(rng.choice("0123456789") if letter == "#" else letter for letter in pattern)


# Loading it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """Where the demo's tenants are, by their order in TENANTS, and when it was first run."""

    tenant_ids: tuple[int, ...]
    first_run: datetime
    today: date  # of the first run, where HERO is
    updates: int


def load(connection: Connection) -> Loaded:
    """Put the platform there, or find it, and complete every row that is not complete yet."""
    tenant_ids, first_run = _find_tenants(connection)
    new = not tenant_ids
    if new:
        first_run = datetime.now(timezone.utc).replace(microsecond=0)
    with connection.transaction():
        if new:
            tenant_ids = _insert_tenants(connection, first_run)
        spans = [_span(connection, each, first_run) for each in tenant_ids]
        stories = imagine(spans)
        if new:
            for source in (CALLS, MESSAGES):
                _insert_begun(connection, source, [s for s in stories if s.source is source])
    updates = _complete(connection, stories)
    Client(connection).maintain()
    today = (first_run + spans[HERO].utc_offset).date()
    return Loaded(tenant_ids, first_run, today, updates)


def _find_tenants(connection: Connection) -> tuple[tuple[int, ...], datetime]:
    """Return the demo's tenants, none or in the order of TENANTS, and when they were made."""
    found = connection.execute(
        """
        SELECT array_agg(id ORDER BY n), min(created_at)
          FROM (
                SELECT DISTINCT ON (n) n, t.id, t.created_at
                  FROM unnest(%s::text[]) WITH ORDINALITY AS names (name, n)
                  JOIN public.tenants AS t ON t.company_name = names.name
                 ORDER BY n, t.id
               ) AS ours
        """,
        [[tenant.company_name for tenant in TENANTS]],
    ).fetchone()
    assert found is not None
    return tuple(found[0] or ()), found[1]


def _insert_tenants(connection: Connection, first_run: datetime) -> tuple[int, ...]:
    """Plans, tenants, cards and credit: what a platform sets up before the first call."""
    connection.execute(
        """
        INSERT INTO billing.pricing_plans
            (name, display_name, description, monthly_base_fee, included_credits, currency)
        VALUES ('enterprise_eu', 'Enterprise Plan EU', 'Enterprise, in euro', 449, 180, 'EUR')
        ON CONFLICT (name) DO NOTHING
        """
    )
    ids = []
    for tenant in TENANTS:
        row = connection.execute(
            """
            INSERT INTO tenants
                (company_name, plan_id, timezone, billing_cycle_day, currency, created_at)
            SELECT %s, id, %s, %s, %s, %s FROM billing.pricing_plans WHERE name = %s
            RETURNING id
            """,
            [
                *(tenant.company_name, tenant.timezone, tenant.billing_cycle_day),
                *(tenant.currency, first_run, tenant.plan),
            ],
        ).fetchone()
        assert row is not None
        ids.append(int(row[0]))
        if tenant.credit:
            Client(connection).grant_credit(ids[-1], tenant.credit, "purchase", "demo top-up")
    for price in CARDS:
        _insert_price(connection, price, first_run)
    return tuple(ids)


def _insert_price(connection: Connection, price: Price, first_run: datetime) -> None:
    """On the card of the plan or the tenant of that name, in its currency, for a year already."""
    owner, channel, resource, prefix, unit_price, initial, increment, fee, description = price
    connection.execute(
        """
        INSERT INTO billing.pricing_rates
            (plan_id, tenant_id, channel, resource_type, prefix, unit_price, initial_increment,
             billing_increment, connection_fee, description, currency, effective_from)
        SELECT owner.plan_id, owner.tenant_id, %s, %s, %s, %s, %s, %s, %s, %s, owner.currency, %s
          FROM (
                SELECT id AS plan_id, NULL::bigint AS tenant_id, currency
                  FROM billing.pricing_plans WHERE name = %s
                UNION ALL
                SELECT NULL, id, currency FROM tenants WHERE company_name = %s
               ) AS owner
        """,
        [
            *(channel, resource, prefix, Decimal(unit_price), initial, increment, Decimal(fee)),
            *(description, first_run - timedelta(days=365), owner, owner),
        ],
    )


def _span(connection: Connection, tenant_id: int, first_run: datetime) -> Span:
    row = connection.execute(
        """
        SELECT previous.period_start::timestamp AT TIME ZONE t.timezone,
               current.period_start::timestamp AT TIME ZONE t.timezone,
               (%(at)s AT TIME ZONE t.timezone) - (%(at)s AT TIME ZONE 'UTC')
          FROM tenants AS t
          CROSS JOIN LATERAL billing.get_billing_period(t.id, %(at)s) AS current
          CROSS JOIN LATERAL billing.get_billing_period(
                t.id, (current.period_start - 1)::timestamp AT TIME ZONE t.timezone
          ) AS previous
         WHERE t.id = %(id)s
        """,
        {"id": tenant_id, "at": first_run},
    ).fetchone()
    assert row is not None
    return Span(tenant_id, row[0], row[1], first_run, row[2])


def _insert_begun(connection: Connection, source: Source, stories: Sequence[Story]) -> None:
    columns = ", ".join((*source.begun, *source.learned))
    statement = f"COPY {source.name} ({columns}) FROM STDIN".encode()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for story in stories:
            copy.write_row((*story.begun, *story.states[0]))


def _complete(connection: Connection, stories: Sequence[Story]) -> int:
    """Bring each row to its last state, a state at a time; return how many UPDATEs of rows it took.

    A row in none of its states was changed by somebody else since, and is left alone.
    """
    known: dict[str, State] = {}
    for source in (CALLS, MESSAGES):
        query = f"SELECT {', '.join((source.key, *source.learned))} FROM {source.name}"
        known |= {row[0]: row[1:] for row in connection.execute(query.encode())}
    ahead = {
        story.key: (
            story.states.index(known[story.key]) + 1
            if known.get(story.key) in story.states
            else len(story.states)
        )
        for story in stories
    }
    total = sum(len(story.states) - ahead[story.key] for story in stories)
    if total == 0:
        return 0
    with _progress() as progress:
        task = progress.add_task("completing calls and messages", total=total)
        for number in range(1, max(len(story.states) for story in stories)):
            due = [s for s in stories if ahead[s.key] <= number < len(s.states)]
            for source in (CALLS, MESSAGES):
                for chunk in _chunks([story for story in due if story.source is source]):
                    if chunk[0].one_by_one:
                        _update_one(connection, chunk[0], number)
                    else:
                        _update_batch(connection, source, chunk, number)
                    progress.advance(task, len(chunk))
    return total


def _chunks(stories: Sequence[Story]) -> Iterator[list[Story]]:
    """Rows that are updated alone, each as a chunk, and the others in batches."""
    yield from ([story] for story in stories if story.one_by_one)
    batch = [story for story in stories if not story.one_by_one]
    yield from (batch[first : first + BATCH] for first in range(0, len(batch), BATCH))


def _update_one(connection: Connection, story: Story, number: int) -> None:
    """What an application does when it hears of one row: set what has changed."""
    before, after = story.states[number - 1 : number + 1]
    changed = [
        (column, new)
        for column, old, new in zip(story.source.learned, before, after, strict=True)
        if old != new
    ]
    sets = ", ".join(f"{column} = %s" for column, _ in changed)
    statement = f"UPDATE {story.source.name} SET {sets} WHERE {story.source.key} = %s"
    connection.execute(statement.encode(), [*(value for _, value in changed), story.key])


def _update_batch(
    connection: Connection, source: Source, stories: Sequence[Story], number: int
) -> None:
    """What an application does when it drains a queue of events: many rows in one statement."""
    sets = ", ".join(f"{column} = new.{column}" for column in source.learned)
    arrays = ", ".join(f"%s::{kind}[]" for kind in ("text", *source.learned.values()))
    columns = ", ".join((source.key, *source.learned))
    connection.execute(
        f"UPDATE {source.name} AS old SET {sets} FROM unnest({arrays}) AS new ({columns})"
        f" WHERE old.{source.key} = new.{source.key}".encode(),
        [
            [story.key for story in stories],
            *map(list, zip(*(story.states[number] for story in stories), strict=True)),
        ],
    )


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


# Showing it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    """One tenant of the platform, for the first table."""

    company_name: str
    id: int
    plan: str
    timezone: str
    rows: int
    billed: int


@dataclass(frozen=True)
class CallAndRecord:
    """A row of calls and, beside it, the usage record that came of it, if any."""

    call_sid: str
    to_number: str
    status: str
    duration_seconds: Decimal | None
    kind: str | None
    quantity: Decimal | None
    unit_cost: Decimal | None
    total_cost: Decimal | None


@dataclass(frozen=True)
class Aside:
    """Rows that wait in unrated_usage for the same reason."""

    source_table: str
    rows: int
    sqlstate: str
    reason: str


OVERVIEW = (
    cli.Column("company_name", title="tenant"),
    cli.Column("id", "{}".format),
    cli.Column("plan"),
    cli.Column("timezone", title="time zone"),
    cli.Column("rows", cli.number, total=True),
    cli.Column("billed", cli.number, total=True),
)
CALL = (
    cli.Column("call_sid"),
    cli.Column("to_number"),
    cli.Column("status"),
    cli.Column("duration_seconds", cli.number),
)
RECORD = (
    cli.Column("kind"),
    cli.Column("quantity", cli.number, "quantity (minutes)"),
    cli.Column("unit_cost", cli.money),
    cli.Column("total_cost", cli.money),
)
ASIDE = (
    cli.Column("source_table", title="table"),
    cli.Column("rows", cli.number),
    cli.Column("sqlstate"),
    cli.Column("reason"),
)


class Tour:
    """What the demo has to show, in the order of telling."""

    def __init__(self, connection: Connection, conninfo: str, loaded: Loaded) -> None:
        self.connection = connection
        self.conninfo = conninfo
        self.loaded = loaded
        self.client = Client(connection)
        self.hero = loaded.tenant_ids[HERO]
        self.today = loaded.today

    def show(self) -> None:
        """Print it all. What changes data changes it once; another run shows how it was left."""
        self._show_platform()
        self._show_one_call()
        self._show_unrated()
        self._show_reports()
        self._show_invoice()
        self._show_verified()

    def _show_platform(self) -> None:
        if self.loaded.updates:
            rows = f"{CALLS_IN_ALL:,} calls and {MESSAGES_IN_ALL:,} messages"
            _head("The platform", f"{rows}, as an application writes them")
            _tell(
                f"Inserted as they began, then completed by plain UPDATEs ({self.loaded.updates:,}"
                " changes of",
                "rows, one by one and in batches). The application never asked for billing.",
                "",
            )
        else:
            day = f"{self.loaded.first_run:%Y-%m-%d %H:%M} UTC"
            _head("The platform", f"here already, from {day}: nothing was added")
        query = """
            SELECT t.company_name, t.id, p.name AS plan, t.timezone,
                   (SELECT count(*) FROM calls AS c WHERE c.tenant_id = t.id)
                   + (SELECT count(*) FROM messages AS m WHERE m.tenant_id = t.id) AS rows,
                   (SELECT sum(s.record_count)::bigint FROM billing.usage_summaries AS s
                     WHERE s.tenant_id = t.id) AS billed
              FROM tenants AS t JOIN billing.pricing_plans AS p ON p.id = t.plan_id
             WHERE t.id = ANY (%s)
             ORDER BY t.id
        """
        rows_of_tenants = self._rows(Overview, query, list(self.loaded.tenant_ids))
        cli._print_titled("Calls and messages", cli._table(OVERVIEW, rows_of_tenants))
        _tell("Not billed: inbound, failed, busy, unanswered. Corrected: billed as corrected.")

    def _show_one_call(self) -> None:
        before = self._call_and_record()
        if before.status == "in-progress":
            _head("One call", "still going on, so nothing is billed")
            self._print_call(before)
            ended = self.loaded.first_run
            self.connection.execute(
                "UPDATE calls SET status = 'completed', ended_at = %s, duration_seconds = %s"
                " WHERE call_sid = %s",
                [ended, 315, SHOWN_CALL],
            )
            _tell(
                "It ends, and the application says so, as it always did:",
                "",
                "  UPDATE calls",
                f"     SET status = 'completed', ended_at = '{ended:%Y-%m-%d %H:%M:%S}+00',"
                " duration_seconds = 315",
                f"   WHERE call_sid = '{SHOWN_CALL}';",
                "",
                "That is all. 315 seconds are 5.25 minutes, at 0.015 each:",
                "",
            )
        else:
            _head("One call", "completed by the first run of this demo")
        self._print_call(self._call_and_record())

    def _call_and_record(self) -> CallAndRecord:
        query = """
            SELECT c.call_sid, c.to_number, c.status, c.duration_seconds,
                   r.kind, r.quantity, r.unit_cost, r.total_cost
              FROM calls AS c
              LEFT JOIN billing.usage_records AS r
                ON r.source_table = 'calls' AND r.source_id = c.id AND r.tenant_id = c.tenant_id
             WHERE c.call_sid = %s
             ORDER BY r.id DESC
             LIMIT 1
        """
        return self._rows(CallAndRecord, query, SHOWN_CALL)[0]

    def _print_call(self, row: CallAndRecord) -> None:
        cli._print_titled("calls", cli._table(CALL, [row]))
        if row.kind is None:
            _tell("billing.usage_records: none for it", "")
        else:
            cli._print_titled("billing.usage_records", cli._table(RECORD, [row]))

    def _show_unrated(self) -> None:
        """The one scene with a mistake in it: a price that nobody had entered."""
        query = """
            SELECT source_table, count(*)::int AS rows, sqlstate, reason
              FROM billing.unrated_usage
             WHERE resolved_at IS NULL AND tenant_id = %s
             GROUP BY source_table, sqlstate, reason
        """
        tenant_id = self.loaded.tenant_ids[WITHOUT_A_RATE]
        waiting = self._rows(Aside, query, tenant_id)
        if not waiting:
            return
        name = TENANTS[WITHOUT_A_RATE].company_name
        _head("A missing price", f"{name} calls Sweden, and its plan has none for +46")
        cli._print_titled("billing.unrated_usage", cli._table(ASIDE, waiting))
        with self.connection.transaction():
            _insert_price(self.connection, MISSING_PRICE, self.loaded.first_run)
            row = self.connection.execute("SELECT * FROM billing.retry_unrated()").fetchone()
        assert row is not None
        _tell(
            "The application's UPDATEs succeeded all the same, and no call is lost. The price is",
            f"entered, back-dated, and billing.retry_unrated() has settled {row[1]} of {row[0]} rows.",
        )

    def _show_reports(self) -> None:
        _head("What it comes to", f"{TENANTS[HERO].company_name}, as the command line shows it")
        as_of: tuple[str, ...] = ()
        if self.client.billing_period(self.hero) != self._period(self.hero):
            as_of = ("--as-of", str(self.today))  # This run is later than the data's period.
        self._command("current", *as_of)
        start = self.today - timedelta(days=HISTORY_DAYS - 1)
        self._command("history", "--from", str(start), "--to", str(self.today))
        self._command("balance", *as_of)

    def _show_invoice(self) -> None:
        """Drafts of the period that is over, for all tenants; one is shown."""
        last_days = {
            tenant_id: self._period(tenant_id).period_start - timedelta(days=1)
            for tenant_id in self.loaded.tenant_ids
        }
        for tenant_id, day in last_days.items():
            period = self.client.billing_period(tenant_id, cli._instant(day))
            self.client.generate_invoice(tenant_id, period.period_start)
        _head("The bill", "draft of the period that is over: the plan's fee, and a line a price")
        self._command("invoices", "--draft", str(last_days[self.hero]))

    def _show_verified(self) -> None:
        _head("The proof", "every sum, price, balance and invoice recomputed")
        _tell(f"$ {PROGRAM} verify")
        violations = self.client.verify()
        if violations:
            cli._print_titled("Violations", cli._table(cli.COLUMNS[Violation], violations))
            raise UsageError(f"verify() found {len(violations)} violations")
        _tell("no violations")

    def _period(self, tenant_id: int) -> Period:
        return self.client.billing_period(tenant_id, self.loaded.first_run)

    def _command(self, name: str, *options: str) -> None:
        """Print a command as anyone can type it, and its output, which is that command's own."""
        arguments = [name, str(self.hero), *options]
        if name in ("history", "balance"):
            _tell("")
        _tell(f"$ {PROGRAM} {' '.join(arguments)}")
        settings = cli.Settings(self.conninfo)
        if code := cli.main.main(arguments, PROGRAM, standalone_mode=False, obj=settings):
            raise click.exceptions.Exit(code)

    def _rows(self, row: type[Row], query: str, value: object) -> list[Row]:
        with self.connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(query.encode(), [value]).fetchall()


def _head(title: str, remark: str) -> None:
    cli._console().print(Text(f"\n{title}", style="bold cyan"), Text(f"- {remark}\n"))


def _tell(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _address_at_hand() -> str:
    """What a command uses that is typed without -d; empty: the PG* variables."""
    return next(filter(None, map(os.environ.get, cli.VARIABLES)), "")


def _tell_what_next(loaded: Loaded, *, embedded: bool, without_option: bool) -> None:
    """Commands that work as typed, from where the demo was started."""
    hero, own_card = loaded.tenant_ids[HERO], loaded.tenant_ids[WITH_OWN_CARD]
    program = ".venv/bin/irisx-usage" if Path(".venv/bin/irisx-usage").exists() else PROGRAM
    here = Path("Makefile").exists() and Path.cwd() == project()
    make = "make {}" if here else "python -m pyapi.embedded {}"
    if not without_option:
        program += " -d DATABASE"
    _head("What to try next", "change anything: what is billed follows")
    _tell(
        "# a tenant with a rate card of its own, by prefix",
        f"{program} current {own_card}",
        "# 40 seconds, billed as 30 and then sixes",
        f"{program} quote {own_card} +447700900123 --seconds 40",
        "# for programs: -f json, -f csv",
        f"{program} history {hero} --interval week -f csv",
        "",
    )
    if embedded:
        _tell("# change anything, and see it billed", make.format("psql"))
    else:
        _tell("# in psql: change anything, and see it billed")
    _tell(
        f"  UPDATE calls SET duration_seconds = 600 WHERE call_sid = '{SHOWN_CALL}';",
        "  SELECT kind, quantity, total_cost FROM billing.usage_records",
        f"   WHERE resource_id = '{SHOWN_CALL}' ORDER BY id;",
        "",
    )
    if here:
        _tell("# every promise, as a test", "make test", "")
    if embedded:
        stop, reset = make.format("stop"), make.format("reset" if here else "destroy")
        _tell(
            "# the server keeps running: stop it (its data stay), or delete it",
            f"{stop}",
            f"{reset}",
        )
