"""Numbers are forgotten without a trace in what is stored, and without one in any sum."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from pyapi import Client, cli
from pyapi.archive import archive_month, restore_month
from pyapi.errors import BadArgumentError

pytestmark = pytest.mark.newest

NUMBER = "442071234567"
SUBJECTS = ["+442071234567", "44 20 7123 4568", "bob@example.org", "+1 (415) 555-2671"]
WRITTEN = ["+{0}", "{0}", "00{0}", "+44 20 7123 {1}", "({0})"]

PLATFORM = """
INSERT INTO tenants (id, company_name, plan_id, timezone)
VALUES (1, 'Acme', 1, 'UTC'), (2, 'Globex', 2, 'Asia/Tokyo');
INSERT INTO pricing_rates (tenant_id, plan_id, channel, resource_type, prefix, unit_price,
    connection_fee, effective_from, effective_until)
VALUES (1, NULL, 'voice', 'minute', '44', 0.02, 0, '2020-01-01', NULL),
    (1, NULL, 'voice', 'minute', '44207', 0.03, 0.1, '2020-01-01', NULL),
    -- A price of one number's own, and one that ends.
    (1, NULL, 'voice', 'minute', '442071234568', 0.5, 0, '2020-01-01', NULL),
    (NULL, 2, 'voice', 'minute', '4420', 0.07, 0, '2020-01-01', '2025-10-15'),
    (NULL, 2, 'voice', 'minute', '4420', 0.08, 0, '2025-10-15', NULL),
    (NULL, NULL, 'sms', 'message', '1415', 0.01, 0, '2020-01-01', NULL);
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, prefix,
    unit_price, effective_from)
VALUES (2, 'voice', 'minute', 'graduated',
    '{"tiers": [{"up_to": 10, "unit_price": 0.2}, {"up_to": null, "unit_price": 0.1}]}', '1', 0,
    '2020-01-01');
SELECT ensure_partitions('2025-09-01', '2025-11-30');
"""
ROWS = """
INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status, initiated_at,
    duration_seconds, metadata)
SELECT n, 1 + n % 2, 'CA' || n, (NUMBERS)[1 + n % 7], (NUMBERS)[1 + n % 5],
    CASE WHEN n % 9 = 0 THEN 'in-progress' ELSE 'completed' END,
    '2025-09-28 12:00:00+00'::timestamptz + n * interval '17 hours', n * 7,
    jsonb_build_object('cnam', (NUMBERS)[1 + n % 3])
FROM generate_series(1, 70) AS n;
UPDATE calls SET duration_seconds = duration_seconds + 5 WHERE id % 6 = 0;
UPDATE calls SET status = 'failed' WHERE id % 11 = 0;
UPDATE calls SET to_number = (NUMBERS)[2] WHERE id % 13 = 0;
INSERT INTO messages (id, tenant_id, message_sid, channel, from_address, to_address, recipients,
    body, status, sent_at)
SELECT n, 1 + n % 2, 'SM' || n, CASE WHEN n % 2 = 0 THEN 'email' ELSE 'sms' END, 'us@here.org',
    CASE WHEN n % 2 = 0 THEN 'bob@example.org' ELSE (NUMBERS)[1 + n % 5] END,
    CASE WHEN n % 4 = 0 THEN ARRAY['Bob <bob@example.org>', 'BOB@example.org', 'a@b.c']
        WHEN n % 6 = 0 THEN ARRAY['bob@example.org', 'a@b.c'] END,
    repeat('Dear Bob, ', n), 'sent', '2025-10-01 12:00:00+00'::timestamptz + n * interval '1 day'
FROM generate_series(1, 40) AS n;
SELECT record_usage(1 + n % 2, 'voice', 'minute',
    CASE n % 3 WHEN 0 THEN (NUMBERS)[1 + n % 5] || '-' || n ELSE 'hand' || n END, 1 + n,
    jsonb_build_object('to', (NUMBERS)[1 + n % 5], 'who', 'BOB@example.org',
        'deep', jsonb_build_array(jsonb_build_object((NUMBERS)[1], 442071234567))),
    '2025-10-03 12:00:00+00'::timestamptz + n * interval '30 hours')
FROM generate_series(1, 12) AS n;
SELECT grant_credit(1, 100, 'purchase', 'order 1');
SELECT reserve_call(1, (NUMBERS)[1], 'CA' || n, 60) FROM generate_series(101, 104) AS n;
SELECT release_reservation('CA' || n, 1) FROM generate_series(101, 104) AS n;
"""


def value(db: Connection, query: str) -> Any:
    row = db.execute(query.encode()).fetchone()
    assert row
    return row[0]


def rows(db: Connection, query: str) -> list[Any]:
    return db.execute(query.encode()).fetchall()


@pytest.fixture
def platform(db: Connection) -> Connection:
    """Two tenants who call, write and record by hand to and from four people."""
    db.execute(PLATFORM.encode())
    numbers = [w.format(NUMBER, "4567") for w in WRITTEN[:2]]
    numbers += ["+442071234568", "+14155552671", "+4930123456", "+442071239999", NUMBER]
    listed = "ARRAY[" + ", ".join(f"'{number}'" for number in numbers) + "]"
    db.execute(ROWS.replace("NUMBERS", listed).encode())
    return db


FIGURES = {
    "days": "TABLE usage_summaries ORDER BY 1, 2, 3, 4",
    "rates": "SELECT tenant_id, usage_date, rate_id, unit_cost, sum(quantity),"
    " sum(billed_quantity), sum(total_cost), count(*) FROM usage_records"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    "records": "SELECT id, source_table, source_id, part, revision, kind, total_cost, xact::text"
    " FROM usage_records ORDER BY id",
    "sums": "SELECT * FROM daily_sums ORDER BY 1, 2, 3, 4, 5",
    "invoices": "SELECT i.id, i.total_amount, l.description, l.quantity, l.amount"
    " FROM invoices AS i, get_invoice_lines(i.id) AS l ORDER BY 1, 3, 5, 4",
    "balances": "SELECT t.id, b.* FROM tenants AS t, get_tenant_balance(t.id, '2025-11-30') AS b",
    "by hand": "SELECT record_id, usage_date, reversed_at FROM direct_usage ORDER BY 1",
    "accounts": "SELECT * FROM credit_accounts ORDER BY 1",
}


def figures(db: Connection) -> dict[str, list[Any]]:
    for tenant_id in (1, 2):
        db.execute("SELECT generate_invoice(%s, '2025-10-01')", [tenant_id])
    return {name: rows(db, query) for name, query in FIGURES.items()}


def stored(db: Connection, schemas: str = "billing") -> str:
    """All that is in the tables, read from the catalog and not by our list of them.

    But for prices: a number may have one of its own, and who entered it is in the audit log.
    """
    tables = rows(
        db,
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relname NOT IN ('pricing_rates', 'resolved_prices')"
        f" AND relnamespace = ANY ('{{{schemas}}}'::regnamespace[])",
    )
    found = []
    for (table,) in tables:
        query = f"SELECT j::text FROM {table} AS t, to_jsonb(t) AS j"
        if table.endswith("audit_log"):
            query += " WHERE t.object <> 'pricing_rates'"
        found += [text for (text,) in rows(db, query)]
    return "\n".join(found)


def bare(text: str) -> str:
    """As a person would look for a number: without what may stand between its digits."""
    return text.lower().translate(str.maketrans("", "", "+ -()."))


def assert_settled(db: Connection) -> None:
    """Nothing is wrong, nothing would be billed anew, nothing would be priced otherwise."""
    assert rows(db, "SELECT * FROM verify()") == []
    assert value(db, "SELECT sum(repaired) FROM reconcile('2025-09-01', '2025-12-31')") == 0
    assert value(db, "SELECT sum(recorded) FROM backfill_usage('2025-09-01', '2025-12-31')") == 0
    proposal = value(db, "SELECT propose_rerating('2025-09-01', '2025-12-31')")
    assert rows(db, f"SELECT * FROM rerating_differences WHERE proposal_id = {proposal}") == []


@pytest.mark.parametrize("mode", ["erase", "pseudonymise"])
@pytest.mark.parametrize("with_sources", [False, True])
def test_forgetting_changes_no_figure(platform: Connection, mode: str, with_sources: bool) -> None:
    platform.execute("SELECT reserve_call(1, '+442071234567', 'CA105', 60)")
    assert_settled(platform)
    before = figures(platform)
    client = Client(platform)
    for subject in SUBJECTS:
        counted = client.forget_subject(
            subject, mode, "request 7", with_sources=with_sources, dry_run=True
        )
        done = client.forget_subject(subject, mode, "request 7", with_sources=with_sources)
        assert [(one.table_name, one.changed, one.kept) for one in done] == [
            (one.table_name, one.changed, one.kept) for one in counted
        ]
        assert sum(one.changed for one in done) > 0
    assert figures(platform) == before
    assert_settled(platform)
    assert figures(platform) == before

    # One open reservation still holds money for its call.
    platform.execute("SELECT release_reservation('CA105', 1)")
    for subject in SUBJECTS:
        again = client.forget_subject(subject, mode, "again", with_sources=with_sources)
        assert {one.table_name for one in again} <= {"reservations"}
        assert client.forget_subject(subject, mode, "again", with_sources=with_sources) == []
    left = stored(platform, "billing,public" if with_sources else "billing").replace("CA", "")
    for subject in SUBJECTS:
        assert bare(subject) not in bare(left), subject
    if with_sources:
        read = "SELECT body FROM messages WHERE to_address ~ '[*]{3}'"
        assert "Dear" not in str(rows(platform, read))
    assert rows(platform, "SELECT * FROM verify()") == []

    # Pseudonyms tell people apart and are the same over all tables, and nobody else is touched.
    named = "SELECT DISTINCT destination FROM usage_records WHERE strpos(destination, '***') > 0"
    forms = [form for (form,) in rows(platform, named)]
    assert len(forms) == 3
    assert all(form.endswith("***") == (mode == "erase") for form in forms)
    assert value(platform, "SELECT count(*) FROM usage_records WHERE destination = '4930123456'")
    # Of what was erased nothing is left to trace it by.
    assert value(platform, "SELECT count(*) FROM forgotten_subjects") == (
        0 if mode == "erase" else len(SUBJECTS)
    )


@pytest.mark.parametrize("with_sources", [False, True])
def test_what_is_forgotten_is_billed_on_as_ever(platform: Connection, with_sources: bool) -> None:
    """Corrections keep the rate and do not bring the number back; another number is another."""
    rate = "SELECT rate_id FROM usage_records WHERE source_id = 5 AND source_table = 'calls'"
    old = value(platform, f"{rate} ORDER BY id DESC LIMIT 1")
    platform.execute(
        "SELECT count(*) FROM forget_subject(%s, 'erase', 'x', p_with_sources => %s)",
        [value(platform, "SELECT to_number FROM calls WHERE id = 5"), with_sources],
    )
    # A price entered late would price a new charge otherwise.
    platform.execute("""INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix,
        unit_price, effective_from) SELECT 1 + 5 % 2, 'voice', 'minute',
        left(translate(to_number, '+', ''), 8), 9, '2020-01-01' FROM calls WHERE id = 5
        AND strpos(to_number, '*') = 0""")
    platform.execute("UPDATE calls SET duration_seconds = 1000 WHERE id = 5")
    found = rows(
        platform,
        "SELECT kind, rate_id, strpos(destination, '***') > 0, seconds FROM usage_records"
        " WHERE source_id = 5 AND source_table = 'calls' ORDER BY id DESC LIMIT 2",
    )
    assert found == [("charge", old, True, 1000), ("reversal", old, True, -35)]
    platform.execute("UPDATE calls SET to_number = '+4930123456' WHERE id = 5")
    last = "SELECT destination FROM usage_records WHERE source_id = 5 ORDER BY id DESC LIMIT 1"
    assert value(platform, last) == "4930123456"
    assert rows(platform, "SELECT * FROM verify()") == []


@pytest.mark.parametrize("mode", ["erase", "pseudonymise"])
def test_a_number_goes_out_of_columns_of_any_kind_of_text(db: Connection, mode: str) -> None:
    """Also of those that are too short for what takes its place."""
    number, address = "+442071234567", "Ann.Other@example.org"
    db.execute(
        """
        CREATE DOMAIN public.e164 AS varchar(20);
        CREATE TABLE public.posts (
            id integer PRIMARY KEY, tenant_id bigint, direction text DEFAULT 'outbound',
            status text DEFAULT 'sent', message_id text, to_number varchar(20),
            from_number character(20), by_number e164, copies varchar(20)[],
            subject varchar(180), to_email character(40)
        );
        INSERT INTO tenants (id) VALUES (1);
        INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, effective_from)
        VALUES ('sms', 'message', '44207123', 0.01, '2020-01-01');
        SELECT meter_table('posts', 'billing.measure_social_message', 'message_id');
        """
    )
    columns = "id, tenant_id, to_number, from_number, by_number, copies, subject, to_email"
    for row in (
        (1, 1, number, "", "", [], "a" * 180, ""),
        (2, 1, "", number, "", [number], "a" * 180, ""),
        (3, 1, "", "", number, [], "a" * 180, address),
    ):
        values = ", ".join(["%s"] * len(row))
        db.execute(f"INSERT INTO public.posts ({columns}) VALUES ({values})".encode(), row)
    before = rows(db, "SELECT * FROM usage_summaries")
    for subject, count in ((number, 3), (address, 1)):
        assert value(db, f"SELECT count(*) FROM find_subject('{subject}')") == count
        forget = f"SELECT changed, kept FROM forget_subject('{subject}', '{mode}', 'a', true)"
        assert rows(db, forget) == [(count, 0)]
        assert rows(db, f"SELECT * FROM find_subject('{subject}')") == []
    assert value(db, "SELECT count(*) FROM posts WHERE subject = repeat('*', 180)") == 3
    assert value(db, "SELECT count(*) FROM posts WHERE to_number LIKE '44207123***%'") == 1
    assert rows(db, "SELECT * FROM usage_summaries") == before
    assert rows(db, "SELECT * FROM verify()") == []


def test_a_row_that_somebody_is_changing_is_left_alone_and_counted(
    database: str, platform: Connection
) -> None:
    """Waiting for it, others would wait for rows that were changed before, and miss it then."""
    number = "+442079460000"
    platform.execute("UPDATE calls SET from_number = %s WHERE id IN (20, 21)", [number])
    platform.execute("SET lock_timeout = '100ms'")
    forget = f"SELECT changed, kept FROM forget_subject('{number}', 'erase', 'a', true)"
    with psycopg.connect(database) as writer:
        writer.execute("UPDATE public.calls SET hangup_cause = 'x' WHERE id = 21")
        assert rows(platform, forget) == [(1, 1)]
    assert rows(platform, forget) == [(1, 0)]
    assert rows(platform, f"SELECT * FROM find_subject('{number}')") == []
    assert rows(platform, "SELECT * FROM verify()") == []


def test_a_price_of_one_number_alone_does_not_keep_it(platform: Connection) -> None:
    """Its last four digits go, and re-rating leaves alone what it cannot tell any more."""
    platform.execute("SELECT count(*) FROM forget_subject('+442071234568', 'erase', 'x')")
    assert value(
        platform,
        "SELECT count(*) FROM usage_records AS u JOIN pricing_rates AS p ON p.id = u.rate_id"
        " WHERE p.prefix = '442071234568' AND u.destination = '44207123***'",
    )
    assert_settled(platform)


def test_it_goes_on_where_it_was_left(platform: Connection) -> None:
    before = figures(platform)
    platform.execute(
        "INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)"
        " SELECT n, 1, '+442071234567', 'completed', '2025-10-04', 60"
        " FROM generate_series(1001, 1600) AS n"
    )
    before = figures(platform)
    calls, changed, more = 0, 0, True
    while more:
        part = rows(
            platform,
            f"SELECT * FROM forget_subject('{NUMBER}', 'pseudonymise', 'x', true, p_blocks => 1)",
        )
        calls += 1
        changed += sum(row[1] for row in part)
        more = any(row[3] for row in part)
        assert sum(row[1] for row in part) < 200  # a block's rows
        if calls == 3:
            # One after the other, whoever is called for.
            assert NUMBER in value(
                platform, "SELECT string_agg(destination, ' ') FROM usage_records"
            )
    assert calls > 10
    assert changed == value(platform, "SELECT sum(changed) FROM forgotten_subjects")
    assert NUMBER not in bare(stored(platform, "billing,public").replace("CA", ""))
    assert figures(platform) == before
    assert_settled(platform)


@pytest.mark.parametrize("mode", ["erase", "pseudonymise"])
def test_a_month_that_comes_back_is_looked_through(
    platform: Connection, tmp_path: Path, mode: str
) -> None:
    platform.execute("SELECT detach_month('2025-11-01')")
    in_file = archive_month(platform, date(2025, 10, 1), tmp_path)
    before = figures_of_months(platform)
    done = Client(platform).forget_subject(NUMBER, mode, "x", with_sources=True)
    assert [(one.changed, one.kept) for one in done if one.table_name == in_file.file] == [
        (0, None)
    ]
    assert value(platform, "SELECT count(*) FROM forgotten_subjects") == 1
    # The application's rows of months that are away are not set aside for it.
    assert value(platform, "SELECT count(*) FROM unrated_usage WHERE resolved_at IS NULL") == 0
    assert figures_of_months(platform) == before
    platform.execute("SELECT attach_month('2025-11-01')")
    restore_month(platform, tmp_path / in_file.file)
    assert NUMBER not in bare(stored(platform, "billing,public").replace("CA", ""))
    assert_settled(platform)
    assert value(platform, "SELECT count(*) FROM forgotten_subjects") == (mode == "pseudonymise")


def figures_of_months(db: Connection) -> Any:
    return rows(db, FIGURES["days"]), rows(db, FIGURES["sums"]), rows(db, FIGURES["by hand"])


def test_only_a_subject_with_a_reason_is_forgotten(platform: Connection) -> None:
    client = Client(platform)
    for number, mode, reason in [
        ("", "erase", "x"),
        ("112", "erase", "x"),
        ("Bob", "erase", "x"),
        ("1" * 16, "erase", "x"),
        (NUMBER, "forget", "x"),
        (NUMBER, "erase", ""),
        (NUMBER, "erase", "call of +44 20 7123 4567"),
    ]:
        with pytest.raises(BadArgumentError) as caught:
            client.forget_subject(number, mode, reason)
        said = f"{caught.value.message} {caught.value.detail} {caught.value.hint}"
        assert number == "" or number not in said
    assert value(platform, "SELECT count(*) FROM forgotten_subjects") == 0


def test_everything_about_a_number_is_found(platform: Connection) -> None:
    """By the oracle that reads every row of every table, and by nothing else."""
    platform.execute(
        "INSERT INTO tenant_billing (tenant_id, billing_address) VALUES (1, %s)", [f"+{NUMBER}"]
    )
    found = dict.fromkeys(("calls", "tenant_billing", "usage_records"), 0)
    for row in Client(platform).find_subject("+44 20 7123-4567"):
        assert NUMBER in bare(json.dumps(row.content, default=str))
        found[row.table_name] = found.get(row.table_name, 0) + 1
    lines = [
        line for line in stored(platform, "billing,public").splitlines() if NUMBER in bare(line)
    ]
    # In metadata, a number of a longer one's digits is another.
    assert sum(found.values()) == len(lines)
    assert all(found.values())


# Retention


def test_what_is_done_with_goes_and_the_rest_stays(db: Connection, platform: Connection) -> None:
    platform.execute("SELECT set_alert_threshold(1, 'amount', 0.01)")
    platform.execute("SELECT set_alert_target(1, 'email', 'ops@example.org')")
    platform.execute("""
        INSERT INTO unrated_usage (source_table, source_id, resolved_at, first_seen_at)
        VALUES ('calls', 1, now() - interval '91 days', now()), ('calls', 2, now(), now()),
            ('calls', 3, NULL, now() - interval '9 years');
        INSERT INTO reservations (tenant_id, key, channel, resource_type, granted, amount, rate_id,
            expires_at, outcome, is_counted)
        VALUES (1, 'old', 'voice', 'minute', 1, 1, 1, now() - interval '91 days', 'settled', false),
            (1, 'new', 'voice', 'minute', 1, 1, 1, now() - interval '1 day', 'settled', false);
        INSERT INTO alerts (tenant_id, period_start, basis, threshold, used, currency, created_at)
        VALUES (1, current_date - 500, 'amount', 1, 1, 'USD', now() - interval '400 days'),
            (1, current_date - 20, 'amount', 1, 1, 'USD', now() - interval '400 days'),
            (1, current_date - 500, 'amount', 2, 1, 'USD', now() - interval '400 days');
        INSERT INTO alert_deliveries (tenant_id, alert_id, target_id, next_try_at, delivered_at)
        SELECT 1, a.id, t.id, CASE WHEN a.threshold = 2 THEN now() END,
            CASE WHEN a.threshold = 1 THEN now() - interval '91 days' END
        FROM alerts AS a, alert_targets AS t;
        SELECT propose_rerating('2025-09-01', '2025-10-31');
        UPDATE rerating_proposals SET created_at = now() - interval '2 years';
        INSERT INTO rerating_differences (tenant_id, proposal_id, record_id, record_created_at,
            usage_date, old_rate_id, old_cost)
        SELECT 1, id, 1, now(), '2025-10-01', 1, 1 FROM rerating_proposals;
        UPDATE task_runs SET finished_at = now() WHERE task = 'expire';
    """)
    before = figures(platform)
    held = "SELECT key FROM reservations WHERE key IN ('old', 'new') ORDER BY key"
    done = dict(rows(platform, "SELECT task, done FROM maintain()"))
    assert done["rows expired"] == 0  # once an hour
    platform.execute(
        "UPDATE task_runs SET finished_at = now() - interval '61 minutes' WHERE task = 'expire'"
    )
    done = dict(rows(platform, "SELECT task, done FROM maintain()"))
    assert done["rows expired"] == 7
    assert rows(platform, held) == [("new",)]
    assert rows(platform, "SELECT source_id FROM unrated_usage ORDER BY 1") == [(2,), (3,)]
    assert rows(platform, "SELECT threshold FROM alerts ORDER BY 1") == [(1,), (2,)]
    assert value(platform, "SELECT count(*) FROM alert_deliveries") == 1
    assert rows(platform, "SELECT * FROM rerating_proposals") == []
    assert rows(platform, "SELECT sum(done) FROM expire_data()") == [(0,)]
    after = figures(platform)
    for name in ("days", "rates", "records", "invoices", "by hand"):
        assert after[name] == before[name], name

    # For ever is for ever.
    Client(platform).set_retention("unrated_usage", None)
    platform.execute("UPDATE unrated_usage SET resolved_at = now() - interval '9 years'")
    assert value(platform, "SELECT sum(done) FROM expire_data()") == 0


def test_a_round_of_expiry_is_bounded(db: Connection) -> None:
    db.execute(
        "INSERT INTO unrated_usage (source_table, resolved_at)"
        " SELECT 'calls', '2020-01-01' FROM generate_series(1, 25)"
    )
    parts = [rows(db, "SELECT done, is_more FROM expire_data(10)")[0] for _ in range(3)]
    assert parts == [(10, True), (10, True), (5, False)]


def test_destinations_expire_and_nothing_is_billed_anew(platform: Connection) -> None:
    before = figures(platform)
    platform.execute("SELECT set_retention('usage_records', '30 days')")
    while rows(platform, "SELECT FROM expire_destinations(1) WHERE is_more"):
        pass
    assert figures(platform) == before
    assert_settled(platform)
    assert (
        rows(
            platform,
            "SELECT destination FROM usage_records"
            " WHERE destination ~ '[0-9]{9}' OR metadata <> '{}' AND usage_date < '2025-12-01'",
        )
        == []
    )
    assert value(platform, "SELECT done FROM expire_destinations()") == 0
    # What comes late into such a month goes with the next month that is over.
    platform.execute("UPDATE calls SET to_number = '+4930123456' WHERE id = 5")
    platform.execute(
        "UPDATE retention SET done_until = done_until - 31 WHERE table_name = 'usage_records'"
    )
    assert value(platform, "SELECT done FROM expire_destinations()") == 1
    assert rows(platform, "SELECT * FROM verify()") == []


# Who sees numbers


def test_analysts_see_masks_whatever_they_ask(platform: Connection, superuser: Connection) -> None:
    superuser.execute("SET search_path = billing, public")
    analyst = f"analyst_{superuser.info.dbname}"
    superuser.execute(f"""
        CREATE ROLE {analyst} IN ROLE billing_analyst;
        GRANT CREATE ON SCHEMA public TO {analyst};
    """)
    try:
        superuser.execute(f"SET ROLE {analyst}")
        # What the planner tells nobody, a function in WHERE would tell: it is given masks only.
        superuser.execute("""
            CREATE FUNCTION public.tell(p_seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
            AS $$ BEGIN RAISE NOTICE '%', p_seen; RETURN true; END $$
        """)
        told: list[str] = []
        superuser.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        shown = rows(superuser, "SELECT * FROM usage_details AS d WHERE public.tell(d::text)")
        assert len(told) == len(shown) > 50
        seen = bare(
            " ".join(told)
            + str(shown)
            + str(
                rows(
                    superuser,
                    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM usage_details WHERE part = 1",
                )
            )
            + str(rows(superuser, "SELECT * FROM pg_stats WHERE schemaname = 'billing'"))
        )
        for secret in (NUMBER, "4155552671", "bob@"):
            assert secret not in seen
        for query in (
            "SELECT destination FROM usage_records",
            "TABLE privacy_key",
            "TABLE forgotten_subjects",
            "SELECT secret FROM alert_targets",
            f"SELECT * FROM find_subject('{NUMBER}')",
            f"SELECT * FROM forget_subject('{NUMBER}', 'erase', 'x')",
            f"SELECT digest_subject('{NUMBER}')",
            "SELECT * FROM expire_data()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                superuser.execute(query.encode())
        superuser.execute(f"RESET ROLE; GRANT billing_numbers TO {analyst}; SET ROLE {analyst}")
        assert NUMBER in str(rows(superuser, "SELECT destination FROM usage_details"))
    finally:
        superuser.execute(f"RESET ROLE; DROP OWNED BY {analyst}; DROP ROLE {analyst}")


def test_the_command_line(platform: Connection, database: str) -> None:
    def run(*arguments: str, form: str = "json") -> Any:
        done = CliRunner().invoke(cli.main, ["-d", database, "-f", form, *arguments])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if form == "json" else done.stdout

    stored_rows = run("find", "+44 20 7123 4567")
    assert {row["table_name"] for row in stored_rows} >= {"calls", "usage_records"}
    counted = run("forget", NUMBER, "--with-sources", "--dry-run")
    assert run("forget", NUMBER, "--with-sources", "--mode", "pseudonymise") == counted
    assert run("find", NUMBER) == run("forget", NUMBER, "--with-sources") == []
    run("retention", "set", "alerts", "2 years", form="table")
    run("retention", "set", "reservations", "forever", form="table")
    kept = dict(line.split(",") for line in run("retention", "list", form="csv").splitlines())
    assert (kept["reservations"], kept["alerts"]) == ("for ever", "730 days")
    done = CliRunner().invoke(cli.main, ["-d", database, "retention", "set", "alerts", "3 eons"])
    assert done.exit_code == 2
    assert "is not a time as in '90 days'" in done.output
