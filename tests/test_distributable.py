"""Ready to be sharded by tenant, says the catalog: keys, references, triggers, statements.

What does not keep to it is listed by name, with its reason, here and in docs/scale.md; the lists
may only become shorter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner
from conftest import Cluster
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from pyapi import cli
from pyapi.client import Client, DistributionStep
from pyapi.errors import BadArgumentError, MissingExtensionError

# Plain PostgreSQL has no GiST equality for numbers: plan_distribution makes it over.
# Numbers of documents are gapless over all tenants of a legal entity.
KEYS_WITHOUT_TENANT = {
    ("invoices", "invoices_periods_do_not_overlap"),
    ("issued_documents", "issued_documents_pkey"),
}
# A row is looked for by its id alone, since its tenant may have changed. On Citus it cannot:
# there these would have to name the tenant, or ask every shard from within one.
STATEMENTS_WITHOUT_TENANT = {
    "find_invoice_problems",
    "find_open_charges",
    "record_deserved",
    "record_inserted",
}
NOT_GROWING = {
    *("_yoyo_log", "_yoyo_migration", "_yoyo_version", "archives", "calendar_bands"),
    *("calendar_holidays", "calendars", "deployed_files", "detached_months", "metered_tables"),
    *("month_loads", "plan_allowances", "pricing_plans", "pricing_rates", "rerating_proposals"),
    *("resolved_prices", "task_runs", "yoyo_lock"),
    *("audit_log", "seal_rounds", "seals"),
    *("coupons", "dunning_steps", "legal_entities", "number_series", "tax_rules"),
    *("forgotten_subjects", "privacy_key", "retention"),
}
UNRATED = "unrated_usage"


@pytest.fixture
def plan(db: Connection) -> list[DistributionStep]:
    # A key of the application's own.
    db.execute("ALTER TABLE tenants ADD slug text CONSTRAINT tenants_slug_key UNIQUE")
    return Client(db).plan_distribution()


def growing(db: Connection) -> set[str]:
    """Tables of billing whose rows belong to a tenant, always."""
    return {
        name
        for (name,) in db.execute(
            "SELECT c.relname FROM pg_class AS c INNER JOIN pg_attribute AS a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND a.attname = 'tenant_id' AND a.attnotnull"
        )
    }


def test_every_table_grows_by_tenant_or_does_not_grow(db: Connection) -> None:
    tables = {
        name
        for (name,) in db.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'billing'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
    }
    assert {"usage_records", "usage_sums", "usage_deltas", "credit_entries"} <= growing(db)
    assert tables - growing(db) - NOT_GROWING == {UNRATED}


def test_every_key_of_what_grows_holds_its_tenant(db: Connection) -> None:
    keys = db.execute(
        "SELECT r.relname, i.relname, pg_get_indexdef(x.indexrelid) FROM pg_index AS x"
        " INNER JOIN pg_class AS r ON r.oid = x.indrelid"
        " INNER JOIN pg_class AS i ON i.oid = x.indexrelid"
        " WHERE (x.indisunique OR x.indisexclusion) AND r.relname = ANY (%s)"
        " AND r.relnamespace = 'billing'::regnamespace",
        [list(growing(db))],
    ).fetchall()
    assert len(keys) > 10
    without = {
        (table, key)
        for table, key, definition in keys
        if not re.search(r"USING \w+ \((?:[^()]*, )?tenant_id[,)]", definition)
    }
    assert without == KEYS_WITHOUT_TENANT


def test_no_foreign_key_leaves_a_tenant(db: Connection) -> None:
    keys = db.execute(
        b"""
        SELECT f.conrelid::regclass::text, f.confrelid::regclass::text, ARRAY(
            SELECT attname FROM pg_attribute WHERE attrelid = f.conrelid AND attnum = ANY (f.conkey)
        ), ARRAY(
            SELECT attname FROM pg_attribute
            WHERE attrelid = f.confrelid AND attnum = ANY (f.confkey)
        )
        FROM pg_constraint AS f
        WHERE f.contype = 'f' AND f.connamespace = 'billing'::regnamespace
        """
    ).fetchall()
    tenants = growing(db)
    inside = [key for key in keys if key[0] in tenants and key[1] in tenants]
    assert inside
    assert all("tenant_id" in own and "tenant_id" in other for _, _, own, other in inside)
    # What does not grow is on every node; it refers to nothing that is not.
    assert all(other not in tenants for table, other, *_ in keys if table not in tenants)


def statements(source: str) -> Iterator[str]:
    """The SQL of a function body, query by query, without comments and texts."""
    source = re.sub(r"--.*", "", source)
    source = re.sub(r"'(?:[^']|'')*'", "''", source)
    yield from re.split(r";|\bUNION\b", source)


def test_no_trigger_joins_its_transition_tables_with_others(db: Connection) -> None:
    """Citus: "unrecognized RTE kind". Rows are gathered into arrays first."""
    db.execute("SELECT meter_table('calls', 'measure_call', 'call_sid')")
    bodies = db.execute(
        "SELECT DISTINCT p.prosrc FROM pg_trigger AS t INNER JOIN pg_proc AS p ON p.oid = t.tgfoid"
        " WHERE COALESCE(t.tgnewtable, t.tgoldtable) IS NOT NULL"
        " AND t.tgrelid IN ('calls'::regclass, 'messages'::regclass)"
    ).fetchall()
    assert len(bodies) == 2
    reading = [
        s for (body,) in bodies for s in statements(body) if re.search(r"\b(new|old)_rows\b", s)
    ]
    assert len(reading) > 4
    for statement in reading:
        others = re.findall(
            r"\b(?:FROM|JOIN|INTO)\s+(?:LATERAL\s+)?((?:billing|public)\.\w+)(?!\w*\()", statement
        )
        assert others == [], statement


def test_every_statement_of_the_write_path_names_a_tenant(db: Connection) -> None:
    """What is inserted carries its tenant; what is read, changed or deleted is asked for by it."""
    tables = "|".join(sorted(growing(db)))
    functions = db.execute(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'billing'::regnamespace"
        " AND (proname ~ '^(record|write_|claim_|find_|set_|price_|zone_)'"
        " OR prorettype = 'trigger'::regtype)"
        # Backfill and sweep ask for ranges of ids, shard by shard; prices are everywhere.
        " AND proname !~ '^(record_batch|record_new_rows|rates_changed|check_|find_rate)'"
    ).fetchall()
    assert len(functions) > 20
    is_read = re.compile(rf"\b(?:FROM|JOIN|UPDATE)\s+billing\.(?:{tables})\b")
    is_named = re.compile(r"tenant_id\s*=|USING \([^)]*tenant_id")
    nameless = {
        name
        for name, source in functions
        for statement in statements(source)
        if is_read.search(statement) and not is_named.search(statement)
    }
    assert nameless <= STATEMENTS_WITHOUT_TENANT


def test_the_plan_places_every_table_once(db: Connection, plan: list[DistributionStep]) -> None:
    made = [s for s in plan if s.statement and s.statement.startswith("SELECT ")]
    names = [step.object_name for step in made]
    assert len(names) == len(set(names))
    assert {step.becomes for step in made} == {"distributed", "reference", "local"}
    by_tenant = {s.object_name for s in made if s.becomes == "distributed"}
    mine = {f"billing.{table}" for table in growing(db)}
    assert by_tenant == mine | {"public.tenants", "public.calls", "public.messages"}
    for step in made:
        if step.becomes == "distributed" and step.object_name != "public.tenants":
            assert "'tenant_id', colocate_with => 'public.tenants'" in str(step.statement)
    # A table comes after those that its foreign keys refer to.
    for name, other in db.execute(
        "SELECT DISTINCT 'billing.' || f.conrelid::regclass, 'billing.' || f.confrelid::regclass"
        " FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conrelid <> f.confrelid"
        " AND f.connamespace = 'billing'::regnamespace"
    ).fetchall():
        assert names.index(other) < names.index(name)


def test_without_citus_it_says_so_and_changes_nothing(database: str, db: Connection) -> None:
    with pytest.raises(MissingExtensionError):
        Client(db).distribute()
    result = CliRunner().invoke(cli.main, ["-d", database, "distribute"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Citus" in result.stderr
    dry = CliRunner().invoke(cli.main, ["-d", database, "distribute", "--dry-run", "-f", "csv"])
    assert dry.exit_code == 0, dry.stderr
    assert len(dry.stdout.splitlines()) > 30


STAND_IN = """
CREATE TABLE public.told (n integer GENERATED ALWAYS AS IDENTITY, told text);
CREATE FUNCTION public.create_reference_table(name text) RETURNS void LANGUAGE sql AS
    $$INSERT INTO public.told (told) VALUES ('reference ' || name)$$;
CREATE FUNCTION public.create_distributed_table(
    name text, key text, colocate_with text DEFAULT 'none'
) RETURNS void LANGUAGE sql AS
    $$INSERT INTO public.told (told) VALUES (concat_ws(' ', 'distributed', name, key, $3))$$;
CREATE FUNCTION public.citus_add_local_table_to_metadata(name text) RETURNS void LANGUAGE sql AS
    $$INSERT INTO public.told (told) VALUES ('local ' || name)$$;
"""


def test_a_stand_in_is_told_every_step(db: Connection, plan: list[DistributionStep]) -> None:
    """The order of things and their SQL, not what Citus makes of them."""
    db.execute(STAND_IN.encode())
    with pytest.raises(BadArgumentError):
        Client(db).distribute()
    assert db.execute("SELECT count(*) FROM told").fetchone() == (0,)

    yours = [s.statement for s in plan if s.becomes == "change yours" and s.statement]
    for statement in yours:
        db.execute(statement.encode())
    again = Client(db).plan_distribution()
    assert [s for s in again if s.becomes == "change yours" and s.statement] == []
    # Where btree_gist is not to be had, the one constraint that needs it cannot be tried.
    known = "SELECT count(*) FROM pg_available_extensions WHERE name = 'btree_gist'"
    if db.execute(known).fetchone() == (1,):
        db.execute("CREATE EXTENSION btree_gist SCHEMA public")
    else:
        db.execute("ALTER TABLE invoices DROP CONSTRAINT invoices_periods_do_not_overlap")
    done = Client(db).distribute()
    told = [text for (text,) in db.execute("SELECT told FROM told ORDER BY n")]
    assert done > len(told) > 20
    assert told.index("distributed public.tenants id none") < told.index(
        "distributed billing.usage_records tenant_id public.tenants"
    )
    # Billing goes on, with the keys that shards need.
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (1, 1, 'completed', '2025-11-14', 60)"
    )
    db.execute("UPDATE calls SET duration_seconds = 120 WHERE tenant_id = 1 AND id = 1")
    assert db.execute("SELECT sum(seconds) FROM usage_records").fetchone() == (120,)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


def test_on_citus(cluster: Cluster, database: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    with psycopg.connect(cluster.admin_conninfo(name), autocommit=True) as admin:
        known = "SELECT count(*) FROM pg_available_extensions WHERE name IN ('citus', 'btree_gist')"
        if admin.execute(known).fetchone() != (2,):
            pytest.skip("Citus (and btree_gist) is not installed with this PostgreSQL")
        admin.execute("CREATE EXTENSION citus")
        admin.execute("CREATE EXTENSION btree_gist SCHEMA public")
        admin.execute("SET search_path = billing, public")
        for step in Client(admin).plan_distribution():
            if step.becomes == "change yours" and step.statement:
                admin.execute(step.statement.encode())
        assert Client(admin).distribute() > 20
        admin.execute("SET citus.enable_unsafe_triggers = on")
        admin.execute("INSERT INTO tenants (id) VALUES (1)")
        admin.execute(
            "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
            " VALUES (1, 1, 'completed', '2025-11-14', 60)"
        )
        assert admin.execute("SELECT sum(seconds) FROM usage_records").fetchone() == (60,)
