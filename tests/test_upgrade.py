"""An upgrade from each landed state, with data in place, loses nothing and changes no figure.

The earlier states come from the repository's own history; a copy without it skips these tests.
"""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyapi.deploy import migrate
from pyapi.embedded import project

LANDED = {
    "spine": "d63fd0fc16e8c409201c871ac685c4cac66cff55",
    "invoices": "7e36edcff518933c3f38a08dcce21b6aaf91e53e",
    "access": "752a338e3166c8702b14b719a442fd3e0e756917",
    "sets": "49b2eb21ac4f79d780391680cb88a079f811773c",
}

STORY = """
INSERT INTO tenants (id, company_name, plan_id, timezone)
VALUES (1, 'Acme', 1, 'UTC'), (2, 'Tokyo Voice', 2, 'Asia/Tokyo');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price,
    initial_increment, billing_increment, effective_from)
VALUES (2, 'voice', 'minute', '49', 0.07, 30, 6, '2020-01-01');
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
SELECT n, 1 + n % 2, CASE WHEN n % 3 = 0 THEN '+4930' ELSE '+1555' END, 'completed',
    '2025-11-01 00:30:00+00'::timestamptz + n * interval '7 hours', n * 17
FROM generate_series(1, 60) AS n;
UPDATE calls SET duration_seconds = duration_seconds + 1 WHERE id % 5 = 0;
UPDATE calls SET status = 'failed' WHERE id % 7 = 0;
INSERT INTO messages (id, tenant_id, channel, status, recipients, sent_at)
SELECT n, 1, CASE WHEN n % 2 = 0 THEN 'sms' ELSE 'email' END, 'sent',
    CASE WHEN n % 2 = 1 THEN ARRAY['a', 'b'] END, '2025-11-05' FROM generate_series(1, 9) AS n;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (900, 77, 'completed', '2025-11-05', 60);
"""
MERGE = "SELECT merge_summaries()"
BY_HAND = "SELECT record_usage(2, 'voice', 'minute', 'by hand', 2.5, '{}', '2025-11-06')"

FIGURES = {
    "records": "SELECT id, kind, quantity, total_cost, rate_id FROM usage_records ORDER BY id",
    "summaries": "SELECT tenant_id, summary_date, channel, resource_type, total_quantity,"
    " total_cost, record_count FROM usage_summaries ORDER BY 1, 2, 3, 4",
    "period": "SELECT t.id, u.* FROM tenants t,"
    " get_current_period_usage(t.id, '2025-11-14') u ORDER BY 1, 2, 3",
    "history": "SELECT t.id, h.* FROM tenants t,"
    " get_usage_history(t.id, '2025-10-01', '2025-12-31') h ORDER BY 1, 2, 3, 4",
    "balance": "SELECT t.id, b.* FROM tenants t, get_tenant_balance(t.id, '2025-11-30') b",
    "invoices": "SELECT generate_invoice(id, '2025-11-01') FROM tenants ORDER BY id",
    "lines": "SELECT i.tenant_id, l.kind, l.description, l.amount"
    " FROM invoices i, get_invoice_lines(i.id) l ORDER BY 1, 2, 3",
}


def landed(commit: str, folder: Path) -> Path:
    """Unpack the SQL folder of a commit; skip where the history is not at hand."""
    try:
        done = subprocess.run(
            ["git", "archive", commit, "db"], cwd=project(), capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the history of this copy does not hold commit {commit[:7]}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder)
    return folder / "db"


def figures(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    return {name: connection.execute(query.encode()).fetchall() for name, query in FIGURES.items()}


@pytest.mark.every
@pytest.mark.parametrize("name", ["spine", "sets"])
def test_an_upgrade_keeps_every_figure_and_goes_on(
    empty_database: str, tmp_path: Path, name: str
) -> None:
    """From the first and the last landed state."""
    upgrade(empty_database, landed(LANDED[name], tmp_path))


@pytest.mark.newest
@pytest.mark.parametrize("name", ["invoices", "access"])
def test_an_upgrade_from_between_does(empty_database: str, tmp_path: Path, name: str) -> None:
    upgrade(empty_database, landed(LANDED[name], tmp_path))


def upgrade(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(STORY.encode())
        connection.execute(MERGE.encode())
        connection.execute(BY_HAND.encode())
        before = figures(connection)
    assert migrate(empty_database).migrations

    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert figures(connection) == before
        violated = connection.execute("SELECT check_name, subject FROM verify()").fetchall()
        assert violated == [("usage is rated", "calls 900")]
        # What was recorded before is corrected, and billed on, as if nothing had happened.
        connection.execute("UPDATE calls SET duration_seconds = 90 WHERE id <= 10")
        connection.execute("INSERT INTO tenants (id, company_name) VALUES (77, 'Late')")
        connection.execute("SELECT retry_unrated()")
        assert connection.execute(BY_HAND.encode()).fetchone() is not None
        assert connection.execute("SELECT * FROM verify()").fetchall() == []
        assert not migrate(empty_database)


@pytest.mark.newest
def test_a_month_that_is_away_is_asked_whose_records_it_took(
    empty_database: str, tmp_path: Path
) -> None:
    migrate(empty_database, folder=landed(LANDED["sets"], tmp_path))
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO tenants (id) VALUES (1);
            SELECT ensure_partitions('2025-08-01', '2025-09-30');
            INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
            SELECT n, 1, 'completed', '2025-09-05', 60 FROM generate_series(11, 13) AS n;
            INSERT INTO messages (id, tenant_id, channel, status, sent_at)
            VALUES (7, 1, 'sms', 'sent', '2025-09-05'), (8, 1, 'sms', 'sent', '2025-08-05');
            SELECT detach_month('2025-08-01'), detach_month('2025-09-01');
            DROP TABLE usage_records_2025_08;
            """
        )
    migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        found = connection.execute(
            "SELECT month::text, source_ids FROM detached_months ORDER BY month"
        ).fetchall()
    assert found == [
        ("2025-08-01", {"": [None, None]}),
        ("2025-09-01", {"calls": [11, 13], "messages": [7, 7]}),
    ]
