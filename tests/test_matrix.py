"""Every role, every object of schema billing, every verb, two tenants: held against
data/privileges.txt, which people keep and review. A new object fails until it is listed there.

`python -m pytest tests/test_matrix.py` shows what differs: + is allowed and not listed, - is listed
and not allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from attack import ACME, GLOBEX, MARKS, PEOPLE, Session, Target, login, two_tenants
from conftest import Cluster

from pyapi.deploy import migrate
from pyapi.embedded import project

EXPECTED = project() / "tests" / "data" / "privileges.txt"
ROLES = (
    "billing_writer",
    "billing_reader",
    "billing_analyst",
    "billing_numbers",
    "billing_admin",
    "billing_tenant",
    "billing_api",
    "PUBLIC",
)
Right = tuple[str, str, str]
"""Role, verb and object; the object with its columns where the right is to some of them only."""


@dataclass
class Matrix:
    """What the file says."""

    rights: set[Right] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    # By role and object: own, all or shared.
    rows: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Matrix:
        matrix = cls()
        roles: list[str] = []
        verbs: list[str] = []
        of_tenants: set[str] = set()
        like: dict[str, str] = {}
        # A line that is indented further goes on with the one before.
        for line in re.sub(r"\n {3,}", " ", re.sub("#.*", "", text)).splitlines():
            if not line.startswith(" "):
                role, _, other = line.partition(" has the rights of ")
                if other:
                    like[role] = other
                roles = line.split()
                continue
            head, _, names = line.partition(":")
            verbs = head.split()
            for name in re.findall(r"\w+(?:\([\w ]+\))?", names):
                matrix.objects.add(name.partition("(")[0])
                if roles == ["rows", "of", "tenants"]:
                    of_tenants.add(name)
                elif roles != ["nobody"]:
                    matrix.rights |= {(role, verb, name) for role in roles for verb in verbs}
        for role, other in like.items():
            matrix.rights |= {(role, v, o) for r, v, o in matrix.rights if r == other}
        for role, verb, name in matrix.rights:
            if verb == "SELECT":
                bare = name.partition("(")[0]
                is_own = role in ("billing_reader", "billing_tenant")
                matrix.rows[role, bare] = (
                    "shared" if bare not in of_tenants else "own" if is_own else "all"
                )
        return matrix


MONTH = "usage_records_YYYY_MM"
OBJECTS = rf"""
    SELECT 'schema' AS kind, oid, nspname::text AS name FROM pg_namespace WHERE nspname = 'billing'
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, oid,
        regexp_replace(relname, '^usage_records_\d{{4}}_\d\d$', '{MONTH}')
    FROM pg_class
    WHERE relnamespace = 'billing'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'function', oid, proname FROM pg_proc WHERE pronamespace = 'billing'::regnamespace
    UNION ALL
    SELECT 'type', t.oid, typname FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
    WHERE typnamespace = 'billing'::regnamespace AND typcategory <> 'A'
        AND (t.typtype <> 'c' OR c.relkind = 'c')
"""
VERBS = {
    "schema": ("USAGE", "CREATE"),
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "type": ("USAGE",),
}


def allowed(session: Session) -> set[Right]:
    """What the catalog says: effective rights, those by membership included, PUBLIC's once."""
    (version,) = session.run("SELECT current_setting('server_version_num')::int / 10000")
    rights: set[Right] = set()
    for kind, verbs in VERBS.items():
        if kind == "table" and version >= 17:
            verbs = (*verbs, "MAINTAIN")
        # A role that is granted nothing has what PUBLIC has.
        query = f"""
            SELECT DISTINCT role, verb, name FROM ({OBJECTS}) AS o
            CROSS JOIN unnest('{{{",".join(ROLES)}}}'::text[]) AS role
            CROSS JOIN unnest('{{{",".join(verbs)}}}'::text[]) AS verb
            WHERE kind = '{kind}'
                AND has_{kind}_privilege(
                    CASE role WHEN 'PUBLIC' THEN '{login("nobody")}' ELSE role END, oid, verb
                )
        """
        rights |= set(session.run(query))
    columns = f"""
        SELECT role, verb, name || '(' || string_agg(attname, ' ' ORDER BY attname) || ')'
        FROM (SELECT DISTINCT role, verb, o.name, a.attname::text
            FROM ({OBJECTS}) AS o
            INNER JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT attisdropped
            CROSS JOIN unnest('{{{",".join(ROLES)}}}'::text[]) AS role
            CROSS JOIN unnest('{{SELECT,INSERT,UPDATE,REFERENCES}}'::text[]) AS verb
            CROSS JOIN LATERAL (
                SELECT CASE role WHEN 'PUBLIC' THEN '{login("nobody")}' ELSE role END AS who
            ) AS w
            WHERE o.kind = 'table'
                AND NOT has_table_privilege(who, a.attrelid, verb)
                AND has_column_privilege(who, a.attrelid, a.attnum, verb)
        ) AS x
        GROUP BY role, verb, name
    """
    rights |= set(session.run(columns))
    everybody = {(verb, name) for role, verb, name in rights if role == "PUBLIC"}
    return {(r, v, n) for r, v, n in rights if r == "PUBLIC" or (v, n) not in everybody}


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Iterator[Target]:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        yield Target.of(cluster, conninfo)


@pytest.fixture(scope="module")
def expected() -> Matrix:
    return Matrix.read(EXPECTED.read_text())


def with_sorted_columns(rights: set[Right]) -> set[Right]:
    def put(name: str) -> str:
        bare, _, columns = name.rstrip(")").partition("(")
        return f"{bare}({' '.join(sorted(columns.split()))})" if columns else bare

    return {(role, verb, put(name)) for role, verb, name in rights}


def test_each_role_has_the_rights_that_are_listed_and_no_others(
    target: Target, expected: Matrix
) -> None:
    with target.session("superuser") as session:
        found = allowed(session)
        (version,) = session.run("SELECT current_setting('server_version_num')::int / 10000")
    listed = {
        right
        for right in with_sorted_columns(expected.rights)
        if right[1] != "MAINTAIN" or version >= 17
    }
    assert len(found) > 100
    assert [
        *(f"+ {' '.join(right)}" for right in sorted(found - listed)),
        *(f"- {' '.join(right)}" for right in sorted(listed - found)),
    ] == []


def test_each_object_is_listed(target: Target, expected: Matrix) -> None:
    names = set(target.superuser(f"SELECT DISTINCT name FROM ({OBJECTS}) AS o"))
    assert (sorted(names - expected.objects), sorted(expected.objects - names)) == ([], [])


def test_a_new_object_starts_closed_and_fails_until_it_is_listed(
    cluster: Cluster, expected: Matrix
) -> None:
    """But that PUBLIC may execute a function which an owner with a login makes by hand: until the
    next migrate, and of those only who may use the schema."""
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        target = Target.of(cluster, conninfo)
        with target.session("owner") as owner:
            owner.run(
                "CREATE TABLE billing.new_table (tenant_id bigint)",
                "CREATE SEQUENCE billing.new_sequence",
                "CREATE FUNCTION billing.new_function() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            )
        with target.session("superuser") as session:
            new = {right for right in allowed(session) if right[2].startswith("new_")}
            names = set(session.run(f"SELECT name FROM ({OBJECTS}) AS o"))
            assert new == {("PUBLIC", "EXECUTE", "new_function")}
            assert names - expected.objects == {"new_table", "new_sequence", "new_function"}
            migrate(conninfo)
            assert not {right for right in allowed(session) if right[2].startswith("new_")}


TRY = """
    CREATE FUNCTION pg_temp.outcome(p_role text, p_statement text) RETURNS text
    LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', p_role);
        BEGIN
            EXECUTE p_statement;
            RAISE EXCEPTION 'taken back' USING ERRCODE = 'P9999';
        EXCEPTION
            WHEN OTHERS THEN RESET ROLE; RETURN SQLSTATE;
        END;
    END $$
"""


def test_what_is_not_listed_is_refused_when_it_is_done(target: Target, expected: Matrix) -> None:
    """Not by what the catalog says of rights, but by trying, as each login, on each table."""
    columns = target.superuser(
        f"""
        SELECT o.name, format('billing.%I', c.relname), min(a.attname)
        FROM ({OBJECTS}) AS o
        INNER JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT attisdropped
        INNER JOIN pg_class AS c ON c.oid = o.oid AND c.relkind IN ('r', 'p')
        WHERE o.kind = 'table' AND a.attgenerated = '' AND a.attidentity = ''
        GROUP BY 1, 2
        """
    )
    roles = {
        login(person): role or "PUBLIC" for person, role in PEOPLE.items() if person != "rival"
    }
    tried = []
    for name, table, column in columns:
        for verb, statement in {
            "SELECT": f"SELECT FROM {table}",
            "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
            "UPDATE": f'UPDATE {table} SET "{column}" = NULL WHERE false',
            "DELETE": f"DELETE FROM {table} WHERE false",
            "TRUNCATE": f"TRUNCATE {table} CASCADE",
            "TRIGGER": f"CREATE TRIGGER t AFTER INSERT ON {table} EXECUTE FUNCTION nothing()",
        }.items():
            tried += [(who, role, verb, name, statement) for who, role in roles.items()]
    with target.session("superuser") as session:
        session.run(
            "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            TRY,
        )
        outcomes = session.connection.execute(
            "SELECT pg_temp.outcome(t.who, t.statement)"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS t (who, statement, n)"
            " ORDER BY n",
            [[who for who, *_ in tried], [statement for *_, statement in tried]],
        ).fetchall()
    listed = {(role, verb, name.partition("(")[0]) for role, verb, name in expected.rights}
    wrong = [
        f"{role} {verb} {name}: {state}"
        for (_, role, verb, name, _), (state,) in zip(tried, outcomes, strict=True)
        if (state == "42501") == ((role, verb, name) in listed)
    ]
    assert len(tried) > 1000
    assert wrong == []


@pytest.mark.parametrize("person", [p for p, role in PEOPLE.items() if role])
def test_each_role_sees_the_rows_of_whom_it_should(
    target: Target, expected: Matrix, person: str
) -> None:
    """own: its tenants' only; all: both tenants'; shared: nobody's in particular."""
    role = PEOPLE[person] or ""
    if person == "api":
        role = "billing_tenant"
    mine = {GLOBEX} if person == "rival" else {ACME}
    wrong = []
    with target.session(person) as session:
        if person == "api":
            session.run("SET ROLE billing_tenant", f"SET billing.tenant_id = '{ACME}'")
        for _, verb, name in sorted(
            r for r in with_sorted_columns(expected.rights) if r[0] == role
        ):
            if verb != "SELECT" or name in (MONTH,):
                continue
            bare, _, columns = name.rstrip(")").partition("(")
            rows = session.run(
                f"SELECT to_jsonb(t) FROM (SELECT {', '.join(columns.split()) or '*'}"
                f" FROM billing.{bare}) AS t"
            )
            tenants = {row.get("tenant_id", row.get("card")) for row in rows}
            tenants = {n for n in tenants if n is not None and n > 0}
            marked = {GLOBEX} if any(MARKS.search(str(row)) for row in rows) else set()
            kind = expected.rows[role, bare]
            should = {"own": mine, "all": {ACME, GLOBEX}, "shared": set()}[kind]
            # An API's tenant comes by the setting: it is a member of none.
            if person == "api" and bare == "tenant_members":
                should = set()
            if tenants != should or not marked <= should:
                wrong.append(f"{bare} is {kind}: {sorted(tenants)}, {len(rows)} rows")
    assert wrong == []
