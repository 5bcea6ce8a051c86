"""SECURITY.md: each of its queries returns no rows, and would where its sentence were not true."""

from __future__ import annotations

import re

import pytest
from attack import Target, two_tenants
from conftest import Cluster

from pyapi.embedded import project

TEXT = (project() / "SECURITY.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
# One for each query, in order: what makes its sentence untrue, and what puts roles right again.
UNTRUE = [
    ("ALTER ROLE billing_reader CREATEROLE", "ALTER ROLE billing_reader NOCREATEROLE"),
    ("GRANT DELETE ON billing.tenant_limits TO billing_admin", ""),
    ("GRANT INSERT ON billing.credit_entries TO billing_admin", ""),
    ("GRANT EXECUTE ON FUNCTION billing.charge TO PUBLIC", ""),
    ("ALTER TABLE billing.payments DISABLE ROW LEVEL SECURITY", ""),
    ("CREATE POLICY weak ON billing.payments TO billing_reader USING (true)", ""),
    (
        "DO $$ BEGIN EXECUTE (SELECT format('GRANT SELECT ON %s TO billing_reader',"
        " max(inhrelid::oid)::regclass)"
        " FROM pg_inherits WHERE inhparent = 'billing.usage_records'::regclass); END $$",
        "",
    ),
    ("ALTER VIEW billing.revenue RESET (security_invoker)", ""),
    ("ALTER FUNCTION billing.grant_credit SET search_path = ''", ""),
    (
        "CREATE OR REPLACE FUNCTION billing.acting_role() RETURNS name LANGUAGE sql STABLE"
        " AS 'SELECT current_user WHERE 1 = 1'; ALTER FUNCTION billing.acting_role() RESET ALL",
        "",
    ),
    (
        "ALTER TABLE billing.payments DISABLE TRIGGER append_only;"
        "ALTER TABLE billing.payments DISABLE TRIGGER append_only_truncate",
        "",
    ),
    (
        "INSERT INTO billing.tenant_members (member, tenant_id, granted_by)"
        " VALUES ('nobody of that name', 7, 'x')",
        "",
    ),
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_a_query_returns_no_rows_and_would(cluster: Cluster, number: int) -> None:
    assert len(QUERIES) == len(UNTRUE)
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        target = Target.of(cluster, conninfo)
        assert target.superuser(QUERIES[number]) == []
        untrue, undo = UNTRUE[number]
        target.superuser(untrue)
        try:
            assert target.superuser(QUERIES[number]) != []
        finally:
            target.superuser(undo or "SELECT")


def test_each_test_that_it_names_is_there() -> None:
    names = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(names) >= 5
    for name in names:
        assert (project() / "tests" / f"{name}.py").exists()
