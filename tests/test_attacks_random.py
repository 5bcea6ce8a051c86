"""A reader of Acme that tries anything: no statement ever brings back what only Globex has."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest
from attack import ACME, GLOBEX, Session, Target, login, two_tenants
from conftest import Cluster

pytestmark = pytest.mark.newest

STATEMENTS = 500


class Intruder:
    """Makes up statements over whatever the catalog shows."""

    def __init__(self, session: Session, seed: int) -> None:
        self.rng = random.Random(seed)
        self.relations: dict[str, list[str]] = {}
        for name, column in session.run(
            "SELECT c.oid::regclass::text, quote_ident(a.attname) FROM pg_class AS c"
            " INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
            " WHERE relnamespace = ANY ('{billing,public}'::regnamespace[])"
            " AND relkind IN ('r', 'p', 'v')"
            " AND has_column_privilege(c.oid, a.attnum, 'SELECT')"
        ):
            self.relations.setdefault(name, []).append(column)
        self.functions = session.run(
            "SELECT oid::regproc::text, proargtypes::regtype[]::text[] FROM pg_proc"
            " WHERE pronamespace = 'billing'::regnamespace AND prorettype <> 'trigger'::regtype"
            " AND has_function_privilege(oid, 'EXECUTE')"
        )

    def statement(self) -> str:
        kinds: list[Callable[[], str]] = [self.select, self.select, self.call, self.other]
        return self.rng.choice(kinds)()

    def value(self, kind: str = "") -> str:
        by_kind = {
            "bigint": [str(n) for n in (ACME, GLOBEX, *range(1, 9), -1, 81, 84)],
            "text": ["'day'", "'voice'", "'minute'", "'starter'", "''", "'%'",
                     "'tenant:8'", "'calls'"],
            "date": ["'2026-10-01'", "CURRENT_DATE", "CURRENT_DATE - 60", "'-infinity'"],
            "timestamp with time zone": ["now()", "now() - interval '40 days'", "'infinity'"],
        }  # fmt: skip
        pool = by_kind.get(kind) or by_kind["bigint"]
        chosen = self.rng.choice([*pool, "NULL"])
        return f"{chosen}::{kind}" if kind else chosen

    def column(self, relation: str) -> str:
        return self.rng.choice([*self.relations[relation], "ctid", "tableoid::regclass", "xmin"])

    def predicate(self, relation: str) -> str:
        column = "t." + self.column(relation)
        return self.rng.choice(
            [
                f"t.tenant_id = {GLOBEX}",
                f"reader.leak({column}::text)",
                f"{column}::text ~ '.'",
                f"{column}::text::numeric / 0 > 1",
                f"({column})::text::date IS NULL",
                f"{column} IN (SELECT {self.value()})",
                f"EXISTS (SELECT FROM {self.relation()} AS x WHERE reader.leak(x::text))",
                "true",
                f"NOT (t.tenant_id = {ACME})",
                f"CASE WHEN t.tenant_id = {GLOBEX} THEN 1 / 0 ELSE 1 END = 1",
            ]
        )

    def relation(self) -> str:
        return self.rng.choice(sorted(self.relations))

    def select(self) -> str:
        one = self.relation()
        other = self.relation()
        what = self.rng.choice(
            ["t.*", "t::text", f"t.{self.column(one)}", "count(*)", "max(t::text)",
             "string_agg(t::text, '')",
             "to_jsonb(t)", "row_to_json(t)", f"lag(t.{self.column(one)}) OVER ()",
             f"(SELECT max(x::text) FROM {other} AS x)"]
        )  # fmt: skip
        copy = f"CREATE TABLE IF NOT EXISTS reader.copy{self.rng.randrange(9)} AS "
        start = self.rng.choice(["", "", "", "EXPLAIN (ANALYZE, VERBOSE) ", copy])
        end = self.rng.choice(
            ["", "", " LIMIT 5", " ORDER BY 1 DESC", " FOR UPDATE", " FOR SHARE", " OFFSET 1",
             f" UNION ALL SELECT NULL FROM {other}"]
        )  # fmt: skip
        join = self.rng.choice(
            ["", "", f" FULL JOIN {other} AS o ON true",
             f" LEFT JOIN {other} AS o ON reader.leak(o::text)",
             " TABLESAMPLE SYSTEM (100)"]
        )  # fmt: skip
        return f"{start}SELECT {what} FROM {one} AS t{join} WHERE {self.predicate(one)}{end}"

    def call(self) -> str:
        name, types = self.rng.choice(self.functions)
        arguments = ", ".join(self.value(kind) for kind in types)
        return f"SELECT * FROM {name}({arguments})"

    def other(self) -> str:
        table = self.relation()
        column = self.rng.choice(self.relations[table])
        return self.rng.choice(
            [
                f"UPDATE {table} SET {column} = {column} WHERE tenant_id = {GLOBEX} RETURNING *",
                f"DELETE FROM {table} WHERE tenant_id = {GLOBEX} RETURNING *",
                f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT DO NOTHING RETURNING *",
                f"MERGE INTO {table} AS t USING {table} AS s ON true WHEN MATCHED THEN DELETE",
                f"SET billing.tenant_id = '{GLOBEX}'",
                "SET row_security = " + self.rng.choice(["on", "off"]),
                "SET search_path = " + self.rng.choice(["reader, pg_catalog, billing", "billing"]),
                f"SET ROLE {self.rng.choice(['billing_reader', 'billing_tenant', 'NONE'])}",
                "SET enable_seqscan = off; SET enable_indexscan = off",
                "SET plan_cache_mode = force_generic_plan",
                f"SELECT most_common_vals, histogram_bounds FROM pg_stats"
                f" WHERE tablename = '{table.rpartition('.')[2]}'",
                f"COPY (SELECT * FROM {table}) TO '/tmp/x'",
                f"SELECT pg_get_viewdef('{table}'::regclass)",
                f"SELECT query FROM pg_stat_activity WHERE usename <> '{login('reader')}'",
            ]
        )


LEAK = (
    "CREATE OR REPLACE FUNCTION reader.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
    " AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$"
)


def rampage(target: Target, seed: int, count: int) -> tuple[list[str], Counter[str]]:
    """What was told of Globex, after which statement; and how the statements ended."""
    ends: Counter[str] = Counter()
    with target.session("reader") as session:
        session.run(LEAK, "SET statement_timeout = '3s'", "SET search_path = billing")
        intruder = Intruder(session, seed)
        for _ in range(count):
            session.told.clear()
            statement = intruder.statement()
            try:
                session.run(statement)
                ends["done"] += 1
            except psycopg.Error as error:
                assert not session.connection.closed, statement
                ends[error.sqlstate or "?"] += 1
            if leaks := session.leaks():
                return [statement, *leaks], ends
    return [], ends


def test_nothing_of_another_tenant_comes_back(cluster: Cluster) -> None:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        leaks, ends = rampage(Target.of(cluster, conninfo), seed=8, count=STATEMENTS)
    assert leaks == []
    assert ends["done"] > STATEMENTS / 4, ends
    assert ends["42501"] > STATEMENTS / 50, ends


def test_the_intruder_finds_an_open_door(cluster: Cluster) -> None:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        target = Target.of(cluster, conninfo)
        target.superuser("CREATE POLICY weak ON billing.payments USING (true)")
        leaks, _ = rampage(target, seed=8, count=STATEMENTS * 4)
    assert leaks != []
