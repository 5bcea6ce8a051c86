"""Every PL/pgSQL function as plpgsql_check reads it: each statement planned, each type compared."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import debian
import psycopg
import pytest
from conftest import Cluster
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

pytestmark = pytest.mark.every

CACHE = debian.CACHE / "plpgsql_check"
QUOTED = "its names come from qualify_source, list_keyed_tables and compose_measure_call: quoted"
SERIES = "the query is compose_seal_query's, of the names of our own tables"
LISTED = "tables and columns are those of a list of our own, quoted"
ACCEPTED = {
    # function: the message's beginning, and why it may stand
    "attach_trigger": ("text type variable", "the definition is put together by meter_table"),
    "attach_policy": (
        "text type variable",
        "roles are quoted, the condition is policies.sql's own",
    ),
    "compare_rows": ("text type variable", QUOTED),
    "day_ids": ("", f"{QUOTED}; its columns are those of the statement"),
    "digest_seals": ("", f"{SERIES}; its columns are those of the statement"),
    "draw_seal": ("", f"{SERIES}; a row of three is a cut"),
    "expire_data": ("text type variable", LISTED),
    "explain_choice": ("unmodified OUT", "no step of it has an amount; its rows join others"),
    "find_recorded_row": ("text type variable", QUOTED),
    "forget_again": ("", "what it runs is a month's, read in a loop that this sees no row of"),
    "forget_in_source": ("text type variable", QUOTED),
    "forget_in_table": ("", f"{LISTED}; a list begins as its text"),
    "forget_subject": ("target type", "a figure that a statement gives as text"),
    "index_month_table": ("text type variable", "the definitions are the catalog's own"),
    "is_readable": ("text type variable", QUOTED),
    "keys_in_use": ("", f"{QUOTED}; a list begins as its text"),
    "load_rows": ("text type variable", QUOTED),
    "record_new_rows": ("text type variable", QUOTED),
    "record_rows": ("text type variable", QUOTED),
    "replace_charges": ("text type variable", QUOTED),
    "schedule_maintain": ('schema "cron"', "it is there with pg_cron only"),
    "sweep_rows": ("text type variable", QUOTED),
    "verify": ("text type variable", QUOTED),
    "window_ids": ("text type variable", QUOTED),
}

# A trigger function is read once for each table, with all transition tables that it is ever given.
FUNCTIONS = """
SELECT p.oid::regprocedure, 0::oid::regclass, NULL::name, NULL::name
  FROM pg_proc AS p
  JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
 WHERE p.pronamespace = 'billing'::regnamespace AND p.prorettype <> 'trigger'::regtype
 UNION ALL
SELECT p.oid::regprocedure, t.tgrelid::regclass, max(t.tgoldtable), max(t.tgnewtable)
  FROM pg_proc AS p
  JOIN pg_trigger AS t ON t.tgfoid = p.oid AND t.tgparentid = 0
 WHERE p.pronamespace = 'billing'::regnamespace
 GROUP BY p.oid, t.tgrelid
"""
# What import_deck makes for itself, so that its statements can be planned.
SCRATCH = """
CREATE TEMPORARY TABLE billing_deck_changes AS
SELECT * FROM billing.compare_deck('[]', 'default', 'voice', 'minute', now())
"""


@functools.cache
def _package(major: int) -> Path:
    """Where the library and its SQL are: installed, kept from an earlier run, or unpacked now."""
    cached = CACHE / str(major)
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            pattern = f"^postgresql-{major}-plpgsql-check$"
            debian.unpack(pattern, Path(scratch)).replace(cached)
    return cached


@pytest.fixture
def checker(cluster: Cluster, database: str) -> Iterator[Connection]:
    """A superuser in a database that plpgsql_check's functions have been made in."""
    if not isinstance(cluster.version, int):
        pytest.skip("plpgsql_check needs a server of the tests' own")
    try:
        package = _package(cluster.version)
    except (debian.Unavailable, OSError, subprocess.SubprocessError) as reason:
        pytest.skip(f"no plpgsql_check for PostgreSQL {cluster.version}: {reason}")
    (library,) = package.glob("usr/lib/postgresql/*/lib/plpgsql_check.so")
    (script,) = package.glob("usr/share/postgresql/*/extension/plpgsql_check--*.sql")
    lines = (line for line in script.read_text().splitlines() if not line.startswith("\\"))
    # The server has an account of its own, which need not see where this project lies.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = shutil.copy(library, folder)
        Path(copy).chmod(0o644)
        sql = "\n".join(lines).replace("MODULE_PATHNAME", str(copy)).replace("@extschema@", "plc")
        admin = cluster.admin_conninfo(str(conninfo_to_dict(database)["dbname"]))
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA plc")
            connection.execute("SET search_path = plc, pg_catalog")
            connection.execute(sql.encode())
            yield connection


def _check(checker: Connection, function: str, *given: object) -> list[tuple[str, str]]:
    """Return level and message of each remark."""
    return checker.execute(
        """
        SELECT level, concat_ws(' ', 'line ' || lineno || ':', message, detail)
          FROM plc.plpgsql_check_function_tb(%s::regprocedure, %s::regclass, fatal_errors => false,
            security_warnings => true, oldtable => %s, newtable => %s)
        """,
        [function, *given],
    ).fetchall()


def test_no_function_has_a_fault_that_is_not_accounted_for(checker: Connection) -> None:
    checker.execute(SCRATCH.encode())
    found: dict[str, list[str]] = {}
    functions = checker.execute(FUNCTIONS.encode()).fetchall()
    assert len(functions) > 100
    assert sum(relation != "-" for _, relation, *_ in functions) > 10
    for function, *given in functions:
        name = function.removeprefix("billing.").partition("(")[0]
        for level, message in _check(checker, function, *given):
            found.setdefault(name, []).append(f"{level}: {message}")
    unexpected = {
        name: [text for text in texts if name not in ACCEPTED or ACCEPTED[name][0] not in text]
        for name, texts in found.items()
    }
    assert not {name: texts for name, texts in unexpected.items() if texts}
    assert not ACCEPTED.keys() - found.keys(), "no longer needed"


def test_every_trigger_function_was_read(checker: Connection) -> None:
    unused = """
    SELECT p.oid::regprocedure::text FROM pg_proc AS p
     WHERE p.pronamespace = 'billing'::regnamespace AND p.prorettype = 'trigger'::regtype
       AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid)
    """
    assert checker.execute(unused).fetchall() == []


def test_a_fault_is_found(checker: Connection) -> None:
    checker.execute(
        "CREATE FUNCTION billing.faulty() RETURNS bigint LANGUAGE plpgsql AS"
        " 'BEGIN RETURN (SELECT no_such_column FROM billing.usage_records); END'"
    )
    (remark,) = _check(checker, "billing.faulty()", "0", None, None)
    assert remark[0] == "error"
    assert "no_such_column" in remark[1]
