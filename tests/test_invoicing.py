"""irisx-usage invoices and invoice: the run over all tenants, and one invoice to its end."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from pyapi import Client, cli
from pyapi.errors import InsufficientCreditError, InvoiceStateError, PeriodError

pytestmark = pytest.mark.newest


def run(database: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["-d", database, *map(str, arguments)])


def read(database: str, *arguments: object) -> Any:
    result = run(database, "-f", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def platform(db: Connection) -> None:
    """Five tenants: usage, unrated usage, a broken sum, none, and a month from the 15th on."""
    db.execute(
        """
        INSERT INTO tenants (id, company_name, plan_id, billing_cycle_day) VALUES
            (1, 'Acme', 3, 1), (2, 'Unrated', 3, 1), (3, 'Broken', 3, 1), (4, 'Idle', 1, 1),
            (5, 'Mid', 3, 15);
        INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
        SELECT n, 1 + n % 3, 'CA' || n, 'completed', '2025-11-14 12:00Z', 60 * n
          FROM generate_series(1, 12) AS n;
        INSERT INTO messages (tenant_id, channel, status, sent_at)
        VALUES (2, 'fax', 'sent', '2025-11-14 12:00Z');
        UPDATE billing.usage_deltas SET total_cost = total_cost + 1 WHERE tenant_id = 3;
        """
    )


def outcomes(found: list[dict[str, Any]]) -> dict[int, tuple[str, str | None]]:
    return {row["tenant_id"]: (row["outcome"], row["invoice_number"]) for row in found}


def test_a_run_issues_what_is_due_and_lists_what_it_refuses(database: str, db: Connection) -> None:
    first = run(database, "-f", "json", "invoices", "run", "--period", "2025-11")
    assert first.exit_code == 1, "somebody should look"
    found = json.loads(first.stdout)
    assert outcomes(found) == {
        1: ("issued", "INV-2025-11-0001"),
        2: ("refused", None),
        3: ("refused", None),
        4: ("nothing to bill", None),
        5: ("issued", "INV-2025-11-0002"),
    }
    reasons = {row["tenant_id"]: row["reason"] for row in found}
    assert reasons[1] is reasons[5] is None
    assert "not rated" in reasons[2]
    assert "summaries equal records" in reasons[3]
    assert db.execute("SELECT count(*) FROM billing.invoices").fetchone() == (2,)

    again = run(database, "-f", "json", "invoices", "run", "--period", "2025-11", "--batch", 2)
    assert {t: o for t, (o, _) in outcomes(json.loads(again.stdout)).items()} == {
        1: "issued before", 2: "refused", 3: "refused", 4: "nothing to bill", 5: "issued before",
    }  # fmt: skip
    db.execute("UPDATE billing.usage_deltas SET total_cost = total_cost - 1 WHERE tenant_id = 3")
    db.execute("SELECT billing.dismiss_unrated(id, 'a test') FROM billing.unrated_usage")
    db.execute("DELETE FROM messages")
    mended = run(database, "invoices", "run", "--period", "2025-11")
    assert mended.exit_code == 0, mended.stderr
    assert "INV-2025-11-0003" in mended.stdout
    assert "2 issued, 2 issued before" in mended.stderr
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []


def test_a_run_passes_nobody_over_when_a_tenant_comes_meanwhile(
    database: str, db: Connection
) -> None:
    db.execute("UPDATE tenants SET id = 7 WHERE id = 5")
    with Client(database) as client:
        batches = client.run_invoices(date(2025, 11, 1), batch=3)
        first = next(batches)
        db.execute("INSERT INTO tenants (id) VALUES (5)")
        rest = list(batches)
    assert [done for done, _, _ in (first, *rest)] == [3, 4, 5]
    seen = [outcome.tenant_id for _, _, found in (first, *rest) for outcome in found]
    assert seen == [1, 2, 3, 4, 5, 7]


def test_a_run_bills_what_came_since_a_draft(database: str, db: Connection) -> None:
    draft = read(database, "invoices", 1, "--draft", "2025-11-01")
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (91, 1, 'completed', '2025-11-20 12:00Z', 6000),"
        " (92, 1, 'completed', '2025-11-14', 6000)"
    )
    result = run(database, "-f", "json", "invoices", "run", "--period", "2025-11", "--skip-verify")
    (issued,) = [row for row in json.loads(result.stdout) if row["tenant_id"] == 1]
    assert (draft["total_amount"], issued["total_amount"]) == ("99.45", "102.45")


def test_without_verifying_sums_are_still_compared(database: str) -> None:
    result = run(database, "-f", "json", "invoices", "run", "--period", "2025-11", "--skip-verify")
    assert outcomes(json.loads(result.stdout))[3] == ("refused", None)


def test_records_that_came_from_another_server_are_billed_once(
    database: str, db: Connection
) -> None:
    """In a dump they keep the numbers of transactions that this server has yet to give."""
    db.execute(
        """
        SELECT billing.ensure_partition('2025-11-01');
        ALTER TABLE billing.usage_records_2025_11 DISABLE TRIGGER USER;
        UPDATE billing.usage_records
        SET xact = (pg_current_xact_id()::text::bigint + 3000)::text::xid8;
        ALTER TABLE billing.usage_records_2025_11 ENABLE ALWAYS TRIGGER append_only_alone;
        """
    )
    with pytest.raises(PeriodError, match="fails verification"), Client(database) as client:
        client.finalize_invoice(client.generate_invoice(1, date(2025, 11, 1)))
    assert "refused" in run(database, "invoices", "run", "--period", "2025-11").stdout
    db.execute("CALL billing.catch_up_transactions()")
    assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)
    issued = json.loads(
        run(database, "-f", "json", "invoices", "run", "--period", "2025-11").stdout
    )
    assert outcomes(issued)[1] == ("issued", "INV-2025-11-0001")
    db.execute("SELECT billing.collect_adjustments('{1}')")
    assert db.execute("SELECT count(*) FROM billing.adjustments").fetchone() == (0,)
    found = db.execute("SELECT check_name FROM billing.verify()").fetchall()
    assert {check for (check,) in found}.isdisjoint(
        {"records are of transactions of this server", "an issued invoice bills its records"}
    )


def test_a_period_that_is_not_over_is_open(database: str, db: Connection) -> None:
    (month,) = db.execute("SELECT to_char(now(), 'YYYY-MM')").fetchone() or ("",)
    result = run(database, "-f", "json", "invoices", "run", "--period", month, "--skip-verify")
    found = {outcome for outcome, _ in outcomes(json.loads(result.stdout)).values()}
    assert found == {"open"}


def test_one_invoice_to_its_end(database: str, db: Connection) -> None:
    draft = read(database, "invoices", 1, "--draft", "2025-11-01")
    assert (draft["status"], draft["total_amount"]) == ("draft", "99.45")
    refused = run(database, "invoice", "finalize", draft["id"], "--expected-total", "1")
    assert (refused.exit_code, refused.stdout) == (1, "")
    issued = read(database, "invoice", "finalize", draft["id"], "--expected-total", "99.45")
    assert (issued["status"], issued["invoice_number"]) == ("pending", "INV-2025-11-0001")
    assert read(database, "invoice", draft["id"]) == read(database, "invoice", "show", draft["id"])

    usage = next(line for line in issued["lines"] if line["kind"] == "usage")
    explained = run(database, "invoice", "explain", usage["id"], "--csv")
    rows = list(csv.DictReader(io.StringIO(explained.stdout)))
    assert [row["resource_id"] for row in rows] == ["CA3", "CA6", "CA9", "CA12"]
    assert [row["share"] for row in rows] == ["0.05", "0.09", "0.13", "0.18"]
    shown = run(database, "invoice", "explain", usage["id"])
    assert "total" in shown.stdout
    traced = read(database, "invoice", "trace", rows[0]["record_id"])
    assert traced[0]["invoice_number"] == "INV-2025-11-0001"

    pay = ("invoice", "pay", draft["id"], "60", "--method", "bank_transfer", "--reference", "B1")
    assert read(database, *pay)[0]["amount_paid"] == read(database, *pay)[0]["amount_paid"] == "60"
    note = read(database, "invoice", "credit-note", draft["id"], "49.45", "--reason", "Outage")
    assert (note["credit_note_number"], note["to_balance"]) == ("CN-2025-11-0001", "10.00")
    assert read(database, "invoice", draft["id"])["status"] == "paid"
    statement = read(database, "invoices", "statement", 1, "--from", "2025-11-01")
    assert [row["balance"] for row in statement] == ["0", "99.45", "39.45", "0.00"]
    assert "statement" in run(database, "invoices", "--help").stdout
    voided = run(database, "invoice", "void", draft["id"], "--reason", "x")
    assert voided.exit_code == 1
    assert "credit note" in voided.stderr


def test_aging_and_revenue(database: str, db: Connection) -> None:
    with Client(database) as client:
        invoice_id = client.finalize_invoice(client.generate_invoice(5, cli.day("2025-11-15")))
        assert client.mark_overdue() == 0, "it was issued today"
        aging = client.aging(cli.day("2030-01-01"))
        assert [(row.tenant_id, str(row.days_over_90)) for row in aging] == [(5, "99.00")]
        client.issue_credit_note(invoice_id, 9, "Goodwill")
        with pytest.raises(InvoiceStateError):
            client.issue_credit_note(invoice_id, 91, "More")
        with pytest.raises(PeriodError):
            client.finalize_invoice(client.generate_invoice(2, cli.day("2025-10-01")))
        payment = client.record_payment(invoice_id, 100, "stripe", "S1")
        with pytest.raises(InsufficientCreditError):
            client.refund_payment(payment, 11, "R1")
        assert client.refund_payment(payment, 10, "R1") == client.refund_payment(payment, 10, "R1")
    revenue = db.execute(
        "SELECT month::text, plan, kind, sum(amount)::text FROM billing.revenue"
        " GROUP BY 1, 2, 3 ORDER BY 3"
    ).fetchall()
    assert revenue == [
        ("2025-11-01", "professional", "credit_note", "-9.00"),
        ("2025-11-01", "professional", "plan_fee", "99.00"),
    ]
