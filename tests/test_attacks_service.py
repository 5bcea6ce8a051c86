"""What people with logins try in order to keep the service from others, and how long it lasts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from attack import ACME, Attack, Attacks, Session, Target, two_tenants
from conftest import Cluster

pytestmark = pytest.mark.newest

attack = Attacks()
REFUSED = re.compile("permission denied|only table or database owner|skipping")

CALL = (
    "INSERT INTO public.calls (tenant_id, status, initiated_at, duration_seconds)"
    f" VALUES ({ACME}, 'completed', now(), 60)"
)


@attack("reader", "GRANT UPDATE ON ALL TABLES IN SCHEMA billing TO PUBLIC")
def tables_and_rows_are_locked(me: Session, target: Target) -> object:
    """Only who reads may lock at all, and only against what changes a table itself."""
    locked = []
    for table in me.run(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'billing'::regnamespace"
        " AND relkind IN ('r', 'p')"
    ):
        for statement in (
            *(f"LOCK TABLE {table} IN {mode} MODE NOWAIT"
              for mode in ("ROW SHARE", "ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")),
            f"SELECT FROM {table} FOR KEY SHARE",
            f"VACUUM {table}",
            f"ANALYZE {table}",
            f"CLUSTER {table}",
        ):  # fmt: skip
            me.told.clear()
            # VACUUM and ANALYZE pass over what is not one's own, with a warning (REFUSED).
            if me.survive("BEGIN" if statement.startswith(("LOCK", "SELECT")) else "SELECT 1",
                          statement) is None and not any(map(REFUSED.search, me.told)):  # fmt: skip
                locked.append(statement)
            me.run("ROLLBACK")
            me.told.clear()
    return locked


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Iterator[Target]:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        yield Target.of(cluster, conninfo)


@contextmanager
def held(target: Target, person: str, *statements: str) -> Iterator[None]:
    """For as long as the context lasts somebody has done this, in a transaction that stays open."""
    with target.session(person) as session:
        session.run("BEGIN", *statements)
        yield


def seconds(target: Target, person: str, *statements: str) -> tuple[float, str | None]:
    """How long it took, and how it failed."""
    with target.session(person) as session:
        begun = time.monotonic()
        state = session.survive(*statements)
        return time.monotonic() - begun, state


KEYS = """
    SELECT pg_advisory_lock(hashtextextended(key, n))
    FROM unnest('{billing.generate_invoice,billing.merge_summaries,billing.list_cards,'
        'billing.ensure_partition,billing.resolve_prices 0 sms message}'::text[]) AS key
    CROSS JOIN generate_series(-10, 10) AS n
""".replace("'\n        '", "")


WAITING = {
    "a call": ("writer", CALL, None),
    "a tenant": ("owner", "INSERT INTO public.tenants (plan_id) VALUES (1)", None),
    "housekeeping": ("owner", "SELECT billing.maintain()", None),
    "an invoice": ("owner", "SELECT billing.generate_invoice(7, now()::date)", "55P03"),
    "a price": (
        "owner",
        "INSERT INTO billing.pricing_rates (channel, resource_type, unit_price, prefix)"
        " VALUES ('sms', 'message', 1, '991')",
        "55P03",
    ),
}


def test_whoever_holds_our_advisory_locks_delays_others_for_a_while(target: Target) -> None:
    """Any login may take any advisory lock: what waits for one of ours ends."""
    for function in ("lock_invoicing", "lock_card"):
        (bound,) = target.superuser(
            f"SELECT proconfig FROM pg_proc WHERE oid = 'billing.{function}'::regproc"
        )
        assert "lock_timeout=60s" in bound
        target.superuser(f"ALTER FUNCTION billing.{function} SET lock_timeout = '300ms'")
    with held(target, "nobody", KEYS):
        for what, (person, statement, expected) in WAITING.items():
            took, state = seconds(target, person, statement)
            assert (what, state, took < 5) == (what, expected, True)


def test_a_reader_that_never_ends_delays_others_by_seconds(target: Target) -> None:
    """Its transaction holds its tables against what changes them: making a partition waits, 2 s."""
    with held(target, "reader", "SELECT count(*) FROM billing.usage_records"):
        took, state = seconds(target, "owner", "SELECT billing.ensure_partition('2032-01-01')")
        assert (state, took < 5) == ("55P03", True)
        took, state = seconds(target, "owner", "SELECT billing.maintain()")
        assert (state, took < 10) == (None, True)
        took, state = seconds(target, "writer", CALL)
        assert (state, took < 3) == (None, True)


def test_a_writer_that_holds_what_it_recorded_delays_nobody(target: Target) -> None:
    with held(
        target, "writer", CALL, "UPDATE public.calls SET duration_seconds = 61 WHERE id = 74"
    ):
        took, state = seconds(target, "writer", CALL)
        assert (state, took < 3) == (None, True)
        took, state = seconds(target, "owner", "SELECT billing.maintain()")
        assert (state, took < 5) == (None, True)


def test_a_prepared_transaction_that_nobody_ends_delays_nobody(target: Target) -> None:
    with target.session("writer") as session:
        session.run("BEGIN", CALL, "PREPARE TRANSACTION 'orphan'")
    try:
        took, state = seconds(target, "writer", CALL)
        assert (state, took < 3) == (None, True)
        took, state = seconds(target, "owner", "SELECT billing.maintain()")
        assert (state, took < 10) == (None, True)
        with target.session("reader") as session:
            assert session.survive("COMMIT PREPARED 'orphan'") == "42501", "it is not the reader's"
    finally:
        target.superuser("ROLLBACK PREPARED 'orphan'")


@pytest.mark.parametrize(
    "metadata",
    [
        "repeat('[', 1000) || repeat(']', 1000)",
        "repeat('[', 100000) || repeat(']', 100000)",
        """'{"blob": "' || repeat('x', 20000000) || '"}'""",
        "'{' || (SELECT string_agg(format('\"k%s\": %s', n, n), ',')"
        " FROM generate_series(1, 100000) AS n) || '}'",
        """'{"to": ' || repeat('[', 5000) || repeat(']', 5000) || '}'""",
        """'{"n": 1' || repeat('0', 100000) || '}'""",
    ],
    ids=["deep", "deeper", "long", "wide", "number", "large"],
)
def test_metadata_that_is_a_bomb_costs_its_own_statement_at_most(
    target: Target, metadata: str
) -> None:
    """PostgreSQL refuses it, or it is written and billed like any other."""
    began = target.superuser("SELECT count(*) FROM billing.usage_records WHERE tenant_id = 7")
    took, state = seconds(
        target,
        "writer",
        "SET statement_timeout = '10s'",
        CALL.replace("duration_seconds)", "duration_seconds, metadata)").replace(
            "60)", f"60, ({metadata})::jsonb)"
        ),
    )
    ended = target.superuser("SELECT count(*) FROM billing.usage_records WHERE tenant_id = 7")
    assert took < 5
    if state is None:
        assert ended == [began[0] + 1]
    else:
        assert (state, ended) == ("54001", began), "the stack limit of the server's own parser"


@pytest.mark.parametrize("tried", attack, ids=lambda tried: tried.name)
def test_attack(tried: Attack, cluster: Cluster) -> None:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        tried.try_on(Target.of(cluster, conninfo))
