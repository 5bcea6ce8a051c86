"""Move house: the database goes elsewhere, and no figure changes, and billing goes on.

By dump and restore (whole; data only), to a newer PostgreSQL, by pg_upgrade, to a replica that is
promoted, by logical replication with metering at either end. What is compared is every row of every
table, every definition, and what the functions say of them.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from campaigns.crash import prepare
from campaigns.load import (
    Connection,
    CounterExample,
    Journal,
    at_work,
    check,
    rate_what_waited,
    repeat,
    settle,
    wait_for_work,
)
from campaigns.servers import (
    NotHereError,
    family,
    kill,
    replica_of,
    run_program,
    upgrade,
    wait_until_gone,
)
from pyapi.deploy import migrate, sql_folder
from pyapi.embedded import OWNER, Server

SETTINGS = {"fsync": "off", "shared_buffers": "64MB", "wal_level": "logical"}
"""Nothing crashes here but the primary, whose replica has it all."""

# A year in the life of a platform: every kind of thing that is moved.
STORY = """
INSERT INTO public.tenants (company_name, plan_id, timezone)
VALUES ('Acme', 1, 'UTC'), ('Tokyo Voice', 2, 'Asia/Tokyo'), ('Late payer', 3, 'Europe/Berlin');
INSERT INTO billing.calendars (name, timezone) VALUES ('office hours', 'Europe/Berlin');
INSERT INTO billing.calendar_bands (calendar_id, band, weekday, from_time, until_time)
SELECT 1, 'peak', day, '08:00', '18:00' FROM generate_series(1, 5) AS day;
INSERT INTO billing.pricing_rates (
    effective_from, plan_id, tenant_id, channel, resource_type, prefix, unit_price, calendar_id,
    terms
)
VALUES
    ('2020-01-01', NULL, 2, 'voice', 'minute', '49', 0.07, NULL, '{}'),
    ('2020-01-01', 3, NULL, 'voice', 'minute', '', 0.01, 1,
        '{"bands": {"peak": {"unit_price": 0.02}}}');
INSERT INTO billing.pricing_rates (
    effective_from, plan_id, channel, resource_type, charge_model, terms
)
VALUES ('2020-01-01', 2, 'sms', 'message', 'graduated',
    '{"tiers": [{"up_to": 10, "unit_price": 0.01}, {"up_to": null, "unit_price": 0.005}]}');
INSERT INTO public.calls (tenant_id, to_number, status, initiated_at, duration_seconds)
SELECT 1 + n % 3, CASE WHEN n % 2 = 0 THEN '+4930' ELSE '+1555' END, 'completed',
    '2025-11-01 00:30:00+00'::timestamptz + n * interval '31 hours', n * 17
FROM generate_series(1, 200) AS n;
UPDATE public.calls SET duration_seconds = duration_seconds + 1 WHERE id % 5 = 0;
UPDATE public.calls SET status = 'failed' WHERE id % 7 = 0;
INSERT INTO public.messages (tenant_id, channel, status, recipients, sent_at)
SELECT 1 + n % 3, CASE WHEN n % 2 = 0 THEN 'sms' ELSE 'email' END, 'sent',
    CASE WHEN n % 2 = 1 THEN ARRAY['a', 'b'] END, '2025-11-05'::timestamptz + n * interval '9 days'
FROM generate_series(1, 40) AS n;
DO $$ BEGIN WHILE EXISTS (SELECT FROM billing.maintain() WHERE is_more) LOOP END LOOP; END $$;
UPDATE public.calls SET duration_seconds = 61 WHERE id IN (1, 2, 3);
DELETE FROM public.calls WHERE id IN (10, 11);
SELECT billing.record_usage(2, 'voice', 'minute', 'by hand', 2.5, '{}', '2025-11-06');
SELECT billing.grant_credit(1, 25, 'purchase', 'order 1');
SELECT billing.generate_invoice(id, '2025-11-01') FROM public.tenants;
UPDATE public.tenants SET plan_id = 4 WHERE id = 1;
SELECT billing.seal();
"""
AFTER = """
UPDATE public.calls SET duration_seconds = duration_seconds + 30 WHERE id BETWEEN 20 AND 30;
INSERT INTO public.tenants (company_name) VALUES ('New neighbour');
INSERT INTO public.calls (tenant_id, status, initiated_at, duration_seconds)
SELECT 1 + n % 3, 'completed', '2026-02-01'::timestamptz + n * interval '5 days', 90
FROM generate_series(1, 50) AS n;
INSERT INTO public.messages (tenant_id, status, sent_at) VALUES (1, 'sent', now());
SELECT billing.record_usage(2, 'voice', 'minute', 'by hand', 2.5, '{}', '2025-11-06');
SELECT billing.record_usage(2, 'voice', 'minute', 'by hand again', 1, '{}', now());
SELECT billing.grant_credit(1, 25, 'purchase', 'order 1');
SELECT billing.grant_credit(1, 5, 'grant', 'new');
SELECT billing.generate_invoice(id, '2025-12-01') FROM public.tenants WHERE id < 4;
INSERT INTO billing.pricing_rates (channel, resource_type, prefix, unit_price, effective_from)
VALUES ('voice', 'minute', '81', 0.5, now() + interval '1 day');
DO $$ BEGIN WHILE EXISTS (SELECT FROM billing.maintain() WHERE is_more) LOOP END LOOP; END $$;
SELECT billing.seal();
"""

TABLES = """
SELECT c.oid::regclass::text
FROM pg_class AS c
WHERE c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND c.relnamespace IN ('billing'::regnamespace, 'public'::regnamespace)
ORDER BY 1
"""
FIGURES = {
    "period": "SELECT t.id, u FROM tenants t, get_current_period_usage(t.id, '2025-12-14') u",
    "history": "SELECT t.id, h FROM tenants t, get_usage_history(t.id, '2025-10-01', '2027-12-31')"
    " AS h",
    "balance": "SELECT t.id, b FROM tenants t, get_tenant_balance(t.id, '2026-06-30') b",
    "lines": "SELECT i.id, l FROM invoices i, get_invoice_lines(i.id) l",
    "quote": "SELECT t.id, q FROM tenants t, quote_call(t.id, '+4930', 100, '2026-01-05 12:00Z') q",
    "months": "SELECT DISTINCT date_trunc('month', usage_date::timestamp)::date"
    " FROM billing.usage_records",
}
DEFINITIONS = {
    "functions": "SELECT p.oid::regprocedure, pg_get_functiondef(p.oid), p.proacl,"
    " obj_description(p.oid, 'pg_proc') FROM pg_proc AS p"
    " WHERE pronamespace = 'billing'::regnamespace",
    # The comment is the definition as it was written; PostgreSQL's own text changes with each dump.
    "triggers": "SELECT tgrelid::regclass, tgname, tgfoid::regproc, tgtype, tgenabled,"
    " obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE NOT tgisinternal",
    "constraints": "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'billing'::regnamespace AND contype <> 'n'",
    "indexes": "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index i"
    " JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'billing'::regnamespace",
    "columns": "SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,"
    " attidentity, attgenerated, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
    " LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum"
    " WHERE relnamespace = 'billing'::regnamespace AND relkind IN ('r', 'p', 'v', 'c')"
    " AND attnum > 0 AND NOT attisdropped",
}
Inventory = dict[str, list[str]]


# What is compared ---------------------------------------------------------------------------------


def take_inventory(conninfo: str, definitions: bool = True) -> Inventory:
    """Every row of every table, what functions say, and how everything is defined, as text."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET search_path = billing, public; SET TimeZone = 'UTC'")
        queries = {
            f"table {name}": f"SELECT * FROM {name}"
            for (name,) in connection.execute(TABLES.encode()).fetchall()
        }
        queries |= FIGURES | (DEFINITIONS if definitions else {})
        return {
            name: [
                str(text)
                for (text,) in connection.execute(
                    f'SELECT x::text FROM ({query}) AS x ORDER BY x::text COLLATE "C"'.encode()
                )
            ]
            for name, query in queries.items()
        }


def compare(before: Inventory, after: Inventory) -> None:
    """Raise CounterExample where the two differ."""
    for name in before.keys() | after.keys():
        old, new = before.get(name, []), after.get(name, [])
        if old != new:
            gone, come = [set(a) - set(b) for a, b in ((old, new), (new, old))]
            shown = [
                [text[:300] + " ... " + text[-300:] for text in side[:2]]
                for side in (sorted(gone), sorted(come))
            ]
            raise CounterExample(f"{name} differs: was {shown[0]}, is {shown[1]}")


def furnish(conninfo: str) -> Inventory:
    """Make the database that is moved; what it holds."""
    migrate(conninfo)
    run_script(conninfo, STORY)
    expect_sound(conninfo)
    return take_inventory(conninfo)


def run_script(conninfo: str, script: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(script.encode())


def expect_sound(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if found := connection.execute("SELECT * FROM billing.verify()").fetchall():
            raise CounterExample(f"billing.verify() found {found[:5]}")


def live_on(conninfo: str) -> None:
    """Bill on, correct what was billed before the move, and see that no id is given twice."""
    last = {
        name: f"SELECT COALESCE(max(id), 0) FROM {name}"
        for name in (
            *("usage_records", "invoices", "invoice_line_items", "credit_entries"),
            *("pricing_rates", "public.tenants", "public.calls", "public.messages"),
        )
    }
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET search_path = billing, public")
        before = {name: _one(connection, query) for name, query in last.items()}
        run_script(conninfo, AFTER)
        for name, query in last.items():
            if _one(connection, query) <= before[name]:
                raise CounterExample(f"{name}: no row after {before[name]}")
            if doubled := _one(connection, f"SELECT count(*) - count(DISTINCT id) FROM {name}"):
                raise CounterExample(f"{name}: {doubled} ids were given twice")
    expect_sound(conninfo)
    if changed := migrate(conninfo):
        raise CounterExample(f"migrate had something to do: {changed}")


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row
    return int(row[0])


def create_database(server: Server, name: str) -> str:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        name_ = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name_))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name_))
    return make_conninfo(server.conninfo(), dbname=name)


def name_of(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["dbname"])


def admin_of(server: Server, conninfo: str) -> str:
    return make_conninfo(server.conninfo(admin=True), dbname=name_of(conninfo))


# Dump and restore ---------------------------------------------------------------------------------


def dump(source: str, server: Server, file: Path, *options: str) -> None:
    """By the server's own pg_dump, as the owner: it reads what is as old as itself, or older."""
    run_program(server, "pg_dump", *options, "--file", file, conninfo=source)


def restore_custom(source: str, server: Server, folder: Path, target: str) -> None:
    file = folder / "custom.dump"
    dump(source, server, file, "--format=custom")
    run_program(
        server,
        "pg_restore",
        *("--exit-on-error", "--jobs=2", f"--dbname={name_of(target)}", file),
        conninfo=target,
    )


def restore_plain(source: str, server: Server, folder: Path, target: str) -> None:
    file = folder / "plain.sql"
    dump(source, server, file)
    run_program(server, "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", file, conninfo=target)


def empty(server: Server, target: str) -> None:
    """Take what a new installation holds out of it, its prices and plans, before others come in."""
    with psycopg.connect(admin_of(server, target)) as admin:
        admin.execute("SET session_replication_role = replica")
        tables = ", ".join(name for (name,) in admin.execute(TABLES.encode()).fetchall())
        admin.execute(f"TRUNCATE {tables}".encode())


def restore_data(
    source: str, server: Server, folder: Path, target: str, *options: str, settings: str = ""
) -> None:
    """Data only, by a superuser, into an installation that was emptied."""
    file = folder / "data.dump"
    # Via the root: a month need not be the same partition there.
    dump(source, server, file, "--format=custom", "--data-only", "--load-via-partition-root")
    run_program(
        server,
        "pg_restore",
        *("--data-only", "--exit-on-error", f"--dbname={name_of(target)}", *options),
        file,
        conninfo=admin_of(server, target),
        settings=settings,
    )


def restore_as_replica(source: str, server: Server, folder: Path, target: str) -> None:
    """In a session that says it is a replica's: no trigger fires, no key is looked up."""
    replica = "-c session_replication_role=replica"
    restore_data(source, server, folder, target, settings=replica)


def make_months(source: str, target: str) -> None:
    """Give the target the partitions of the source: pg_restore --disable-triggers names them."""
    query = FIGURES["months"]
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        for (month,) in old.execute(query.encode()).fetchall():
            new.execute("SELECT billing.ensure_partition(%s)", [month])


# By replication ----------------------------------------------------------------------------------

# What the subscriber is told of each sequence: logical replication does not carry them.
CARRY_SEQUENCES = """
SELECT format('SELECT setval(%L, %s, %L)', format('%I.%I', schemaname, sequencename),
    COALESCE(last_value, start_value), last_value IS NOT NULL)
FROM pg_sequences
WHERE schemaname IN ('billing', 'public')
"""
MEANWHILE = """
UPDATE public.calls SET duration_seconds = duration_seconds + 7 WHERE id BETWEEN 100 AND 140;
UPDATE public.calls SET status = 'failed' WHERE id BETWEEN 141 AND 150;
INSERT INTO public.calls (tenant_id, status, initiated_at, duration_seconds)
SELECT 1 + n % 3, 'completed', '2027-01-01'::timestamptz + n * interval '5 days', 45
FROM generate_series(1, 30) AS n;
DELETE FROM public.calls WHERE id = 151;
UPDATE public.tenants SET timezone = 'Europe/Paris' WHERE id = 1;
DO $$ BEGIN WHILE EXISTS (SELECT FROM billing.maintain() WHERE is_more) LOOP END LOOP; END $$;
SELECT billing.generate_invoice(1, '2026-01-01');
"""


PARTITIONED_CALLS = """
CREATE TABLE public.calls (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, tenant_id bigint, call_sid text,
    direction text, from_number text, to_number text, status text, initiated_at timestamptz,
    answered_at timestamptz, ended_at timestamptz, duration_seconds numeric,
    billable_seconds numeric, hangup_cause text, metadata jsonb, created_at timestamptz,
    updated_at timestamptz
) PARTITION BY HASH (id);
CREATE TABLE public.calls_0 PARTITION OF public.calls FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.calls_1 PARTITION OF public.calls FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""
CALLS_BILLED = 100
CALLS = f"""
INSERT INTO public.calls (tenant_id, to_number, status, initiated_at, duration_seconds)
SELECT 1 + n % 2, '+4930', 'completed', '2025-11-01'::timestamptz + n * interval '1 day', 60
FROM generate_series(1, {CALLS_BILLED}) AS n;
"""


def promote(major: int, place: Path, rng: random.Random, seconds: float = 3) -> str:
    """A synchronous replica takes over from a primary that is killed at work."""
    settings = {**SETTINGS, "fsync": "on"}
    primary = Server(place / "primary", major, **settings)
    prepare(primary)
    replica = replica_of(primary, place / "replica")
    journal = Journal()
    with psycopg.connect(primary.conninfo("postgres", admin=True), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        admin.execute("SELECT pg_reload_conf()")
    wait_until(primary, "SELECT sync_state = 'sync' FROM pg_stat_replication")
    pid = primary.pid
    assert pid
    with at_work(journal, rng, primary.conninfo()):
        wait_for_work(journal, 1)
        time.sleep(rng.uniform(seconds / 2, seconds))
        members = family(pid)
        kill(members)
        wait_until_gone(members)
    with psycopg.connect(replica.conninfo("postgres", admin=True), autocommit=True) as admin:
        admin.execute("SELECT pg_promote()")
    with psycopg.connect(replica.conninfo(), autocommit=True) as connection:
        settle(journal, connection)
        rate_what_waited(journal, connection)
        check(journal, connection)
        repeat(journal, connection)
        kept = journal.figures["transactions acknowledged"]
        with at_work(journal, rng, replica.conninfo()):
            wait_for_work(journal, 20)
        rate_what_waited(journal, connection)
        check(journal, connection)
    return f"{kept} transactions acknowledged before, 0 lost"


def wait_until(server: Server, query: str, dbname: str = OWNER, patience: float = 20) -> None:
    deadline = time.monotonic() + patience
    with psycopg.connect(server.conninfo(dbname, admin=True), autocommit=True) as admin:
        while admin.execute(query.encode()).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise CounterExample(f"waited in vain for: {query}")
            time.sleep(0.02)


def subscribe(
    publisher: Server, subscriber: Server, target: str, published: str, source: str = ""
) -> None:
    """Have the target follow what is published; returns when it has all there is."""
    source = admin_of(publisher, source or publisher.conninfo())
    with psycopg.connect(source, autocommit=True) as admin:
        admin.execute(f"CREATE PUBLICATION moving FOR {published}".encode())
    with psycopg.connect(admin_of(subscriber, target), autocommit=True) as admin:
        create = sql.SQL("CREATE SUBSCRIPTION moving CONNECTION {} PUBLICATION moving")
        admin.execute(create.format(sql.Literal(source)))
    query = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
    wait_until(subscriber, query, name_of(target))


def catch_up(publisher: Server, source: str = "") -> None:
    """Until the subscriber has what is committed now."""
    with psycopg.connect(source or publisher.conninfo()) as connection:
        row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    wait_until(
        publisher,
        f"SELECT confirmed_flush_lsn >= '{row and row[0]}' FROM pg_replication_slots"
        " WHERE slot_name = 'moving'",
    )


def unsubscribe(publisher: Server, subscriber: Server, target: str, source: str = "") -> None:
    with psycopg.connect(admin_of(subscriber, target), autocommit=True) as admin:
        admin.execute("DROP SUBSCRIPTION moving")
    source = admin_of(publisher, source or publisher.conninfo())
    with psycopg.connect(source, autocommit=True) as admin:
        admin.execute("DROP PUBLICATION moving")


def follow_records(publisher: Server, subscriber: Server, folder: Path, target: str) -> None:
    """The publisher bills, and the subscriber receives rows and records; then it takes over."""
    source = publisher.conninfo()
    dump(source, subscriber, folder / "schema.sql", "--schema-only")
    run_program(
        subscriber,
        "psql",
        *("-qX", "-v", "ON_ERROR_STOP=1", "-f", folder / "schema.sql"),
        conninfo=target,
    )
    # Named one by one, not ALL TABLES: a month that is being made is no part of usage_records yet.
    with psycopg.connect(source) as connection:
        tables = ", ".join(name for (name,) in connection.execute(TABLES.encode()).fetchall())
    published = f"TABLE {tables} WITH (publish_via_partition_root = true)"
    subscribe(publisher, subscriber, target, published)
    run_script(source, MEANWHILE)
    catch_up(publisher)
    compare(take_inventory(source, definitions=False), take_inventory(target, definitions=False))
    expect_sound(target)

    unsubscribe(publisher, subscriber, target)
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        for (statement,) in old.execute(CARRY_SEQUENCES.encode()).fetchall():
            new.execute(statement.encode())
    live_on(target)


def meter_at_subscriber(publisher: Server, subscriber: Server, is_partitioned: bool) -> None:
    """The publisher knows no billing; rows arrive at the subscriber, and are billed there.

    Apply fires no ordinary trigger, and statement triggers not at all: an ordinary table is billed
    by reconcile(), a partitioned one by its row triggers once they are enabled always.
    """
    name = "partitioned" if is_partitioned else "ordinary"
    source, target = create_database(publisher, name), create_database(subscriber, name)
    platform = (sql_folder() / "migrations" / "0001_application_tables.sql").read_text()
    run_script(source, platform)
    if is_partitioned:
        run_script(target, PARTITIONED_CALLS)
    migrate(target)
    # What a tenant is entitled to is remembered by row triggers: these must fire.
    run_script(
        target,
        "ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER billing_tenant_inserted,"
        " ENABLE ALWAYS TRIGGER billing_tenant_changed",
    )
    if is_partitioned:
        for trigger in ("insert", "update", "move"):
            name = f"billing_meter_{trigger}"
            run_script(target, f"ALTER TABLE public.calls ENABLE ALWAYS TRIGGER {name}")
    subscribe(publisher, subscriber, target, "TABLE public.tenants, public.calls", source=source)
    run_script(source, "INSERT INTO public.tenants (company_name) VALUES ('Acme'), ('Umbrella')")
    run_script(source, CALLS)
    run_script(source, "UPDATE public.calls SET duration_seconds = 61 WHERE id <= 20")
    catch_up(publisher, source)
    with psycopg.connect(target, autocommit=True) as connection:
        written = _one(connection, "SELECT count(*) FROM billing.usage_records")
        if written != (CALLS_BILLED + 2 * 20 if is_partitioned else 0):
            raise CounterExample(f"apply had {written} records written")
        connection.execute("SELECT * FROM billing.reconcile('2025-11-01', '2026-12-31')")
        seconds = _one(connection, "SELECT sum(seconds) FROM billing.usage_records")
        rows = _one(connection, "SELECT count(DISTINCT source_id) FROM billing.usage_records")
    if (rows, seconds) != (CALLS_BILLED, 20 * 61 + 80 * 60):
        raise CounterExample(f"{rows} calls billed, {seconds} seconds")
    expect_sound(target)
    unsubscribe(publisher, subscriber, target, source)


# All of them --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """One way to move; go gets a folder for servers and gives what there is to say, if anything."""

    name: str
    go: Callable[[Path, random.Random], str | None]


@dataclass(frozen=True)
class Outcome:
    name: str
    result: str
    seconds: float
    is_failure: bool = False


def attempt(move: Move, place: Path, rng: random.Random) -> Outcome:
    begin = time.monotonic()
    is_failure = False
    try:
        result = move.go(place, rng) or "the same, and billing goes on"
    except NotHereError as error:
        result = f"skipped: {error}"
    except subprocess.CalledProcessError as error:
        result, is_failure = f"{error}: {error.stdout[-2000:]}", True
    except (CounterExample, psycopg.Error) as error:
        result, is_failure = f"{type(error).__name__}: {error}", True
    return Outcome(move.name, result, time.monotonic() - begin, is_failure)


def list_moves(majors: Sequence[int]) -> list[Move]:
    """Every way to move within each major, and from each to each newer one."""
    moves = []
    for major in majors:
        at = f"PostgreSQL {major}"
        moves += [
            Move(
                f"{at}: pg_dump and pg_restore", partial(dump_whole, restore_custom, major, major)
            ),
            Move(f"{at}: pg_dump and psql", partial(dump_whole, restore_plain, major, major)),
            Move(f"{at}: data only", partial(dump_data, major)),
            Move(f"{at}: data only, triggers firing", partial(refuse_data, major)),
            Move(f"{at}: promotion of a synchronous replica", partial(promote, major)),
            Move(f"{at}: logical replication of records", partial(replicate, major, major)),
            Move(f"{at}: metered at the subscriber", partial(meter_elsewhere, major)),
        ]
    for old, new in combinations(sorted(majors), 2):
        between = f"PostgreSQL {old} to {new}"
        moves += [
            Move(
                f"{between}: pg_dump and pg_restore", partial(dump_whole, restore_custom, old, new)
            ),
            Move(f"{between}: pg_upgrade", partial(upgrade_whole, old, new)),
            Move(f"{between}: logical replication of records", partial(replicate, old, new)),
        ]
    return moves


def dump_whole(
    how: Callable[[str, Server, Path, str], None],
    old: int,
    new: int,
    place: Path,
    _: random.Random,
) -> None:
    source, target = start(place, old, new)
    before = furnish(source.conninfo())
    there = create_database(target, "there")
    with files() as folder:
        how(source.conninfo(), target, folder, there)
    compare(before, take_inventory(there))
    live_on(there)


def dump_data(major: int, place: Path, _: random.Random) -> None:
    """Into an installation of its own, by both ways to keep triggers still."""
    server = Server(place / "old", major, **SETTINGS).start()
    before = furnish(server.conninfo())
    with files() as folder:
        for how in ("replica", "disable"):
            there = create_database(server, how)
            migrate(there)
            empty(server, there)
            if how == "disable":
                make_months(server.conninfo(), there)
                restore_data(server.conninfo(), server, folder, there, "--disable-triggers")
                run_script(there, "SELECT billing.attach_guards()")
                compare(before, take_inventory(there))
            else:
                restore_as_replica(server.conninfo(), server, folder, there)
                # Its months are others until maintain() has been round.
                rows = {name: rows for name, rows in before.items() if name not in DEFINITIONS}
                compare(rows, take_inventory(there, definitions=False))
            live_on(there)


def refuse_data(major: int, place: Path, _: random.Random) -> str:
    """With triggers firing nothing comes in, or verify() says what is wrong."""
    server = Server(place / "old", major, **SETTINGS).start()
    furnish(server.conninfo())
    there = create_database(server, "there")
    migrate(there)
    empty(server, there)
    make_months(server.conninfo(), there)
    bare = take_inventory(there)
    with files() as folder:
        try:
            restore_data(server.conninfo(), server, folder, there, "--single-transaction")
        except subprocess.CalledProcessError as error:
            # Prices come before tenants, and acts of the restore are in the way of those restored.
            if "unknown tenant" not in error.stdout and "audit_log_pkey" not in error.stdout:
                raise
        else:
            raise CounterExample("triggers let all rows in")
    compare(bare, take_inventory(there))
    return "refused, and nothing came in"


def upgrade_whole(old: int, new: int, place: Path, _: random.Random) -> None:
    source = Server(place / "old", old, **SETTINGS).start()
    before = furnish(source.conninfo())
    target = Server(place / "new", new, **SETTINGS)
    upgrade(source, target)
    compare(before, take_inventory(target.conninfo()))
    live_on(target.conninfo())


def replicate(old: int, new: int, place: Path, _: random.Random) -> None:
    source, target = start(place, old, new, are_two=True)
    furnish(source.conninfo())
    there = create_database(target, "there")
    with files() as folder:
        follow_records(source, target, folder, there)


def meter_elsewhere(major: int, place: Path, _: random.Random) -> str:
    source, target = start(place, major, major, are_two=True)
    meter_at_subscriber(source, target, is_partitioned=False)
    meter_at_subscriber(source, target, is_partitioned=True)
    return "reconcile() bills an ordinary table, ALWAYS triggers a partitioned one"


def start(place: Path, old: int, new: int, are_two: bool = False) -> tuple[Server, Server]:
    """One server, or two where they are of two majors or must be two."""
    source = Server(place / "old", old, **SETTINGS).start()
    if old == new and not are_two:
        return source, source
    return source, Server(place / "new", new, **SETTINGS).start()


@contextmanager
def files() -> Iterator[Path]:
    with TemporaryDirectory(prefix="irisx-dump-") as folder:
        yield Path(folder)
