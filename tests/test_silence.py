"""Whatever goes wrong, nothing that is said of it holds a number, an address, a body or a key."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from http.client import BadStatusLine
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import psycopg
import pytest
from click.testing import CliRunner
from conftest import Cluster
from psycopg import Connection
from psycopg.types.json import Jsonb

from pyapi import Client, alerts, cli
from pyapi.errors import UsageError

pytestmark = pytest.mark.newest

NUMBER = "4479998887776"
WORD = "Xyzzyplugh"
ADDRESS = f"{WORD}@example.org"
JSON = Jsonb({"to": f"+{NUMBER}", WORD: ADDRESS, "note": f"+44 7999 888 7776 {WORD}"})

# Measure functions of an application that say all they know.
CHATTY = """
CREATE TABLE public.chats (id bigint PRIMARY KEY, tenant_id bigint, to_number text, body text);
CREATE FUNCTION public.measure_chat(p_id bigint, p_tenant_id bigint, p_to_number text, p_body text)
RETURNS SETOF billing.measurement LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE p_id % 8
        WHEN 0 THEN RAISE EXCEPTION 'cannot send % to %', p_body, p_to_number;
        WHEN 1 THEN RAISE EXCEPTION 'cannot send %', p_body USING ERRCODE = '22023';
        WHEN 2 THEN RAISE EXCEPTION 'cannot send %', p_body USING ERRCODE = 'ZZ001';
        WHEN 3 THEN PERFORM p_body::numeric;
        WHEN 4 THEN PERFORM p_body::timestamptz;
        WHEN 5 THEN PERFORM (p_to_number || p_body)::jsonb;
        WHEN 6 THEN PERFORM p_to_number::integer;
        ELSE RAISE EXCEPTION '%', p_body USING ERRCODE = '23514', DETAIL = p_to_number;
    END CASE;
END $$;
SELECT billing.meter_table('public.chats', 'public.measure_chat');
"""
CALL = (
    "INSERT INTO calls (tenant_id, call_sid, from_number, to_number, status, initiated_at,"
    " duration_seconds, metadata) VALUES (%s, %s, %s, %s, 'completed', %s, %s, %s)"
)
MESSAGE = (
    "INSERT INTO messages (tenant_id, message_sid, channel, to_address, recipients, body, status,"
    " sent_at, metadata) VALUES (%s, %s, %s, %s, %s, %s, 'sent', %s, %s)"
)
N, W, A = f"+{NUMBER}", WORD, ADDRESS
SAID: list[tuple[str, list[Any]]] = [
    (CALL, [1, f"{W}{N}", N, N, "2026-05-01", "NaN", JSON]),
    (CALL, [77, f"{W}2", N, N, "2026-05-01", 60, JSON]),
    (CALL, [1, f"{W}3", N, f"sip:{A}", "infinity", 60, JSON]),
    (CALL, [1, f"{W}4", N, f"{N}\x01\\'\"{W}", "2026-05-01", -1, JSON]),
    (MESSAGE, [77, f"{W}1", "sms", N, None, f"{W} {N}", "2026-05-01", JSON]),
    (MESSAGE, [1, f"{W}2", "fax", N, [A], f"{W} {N}", "2026-05-01", JSON]),
    (MESSAGE, [1, f"{W}3", "email", A, [A, N], f"{W} {N}", "-infinity", JSON]),
    *(("INSERT INTO chats VALUES (%s, 1, %s, %s)", [n, N, f'{W} "{N}" {A}']) for n in range(8)),
    ("UPDATE chats SET body = %s", [f"{A} 2"]),
    # In bulk, then alone.
    ("INSERT INTO chats SELECT n, 1, %s, %s FROM generate_series(8, 40) AS n", [N, f"{N} {W}"]),
    ("SELECT record_call_usage(id) FROM calls WHERE call_sid = %s", [f"{W}2"]),
    ("SELECT record_message_usage(id) FROM messages WHERE message_sid = %s", [f"{W}2"]),
    *((f"SELECT record_row('chats', {n})", []) for n in range(8)),
    ("SELECT record_row('chats', 999)", []),
    ("SELECT record_usage(77, 'voice', 'minute', %s, 1, %s)", [N, JSON]),
    ("SELECT record_usage(1, 'voice', 'minute', %s, 'NaN', %s)", [N, JSON]),
    ("SELECT record_usage(1, 'voice', 'minute', %s, 1, %s, 'infinity')", [N, JSON]),
    ("SELECT record_usage(1, 'voice', 'minute', %s, 1, %s)", [N, JSON]),
    ("SELECT record_usage(1, 'voice', 'minute', %s, 2, %s)", [N, JSON]),
    ("SELECT record_usage(1, %s, 'minute', '', 2, %s)", [W, JSON]),
    ("SELECT reserve_call(77, %s, %s)", [N, f"{W}{N}"]),
    ("SELECT reserve_call(1, %s, %s, -1)", [N, f"{W}{N}"]),
    ("SELECT reserve_call(1, %s, %s, 60)", [N, f"{W}{N}"]),
    ("SELECT reserve_call(1, '+15550001111', %s, 60)", [f"{W}{N}"]),
    ("SELECT reserve_usage(1, 'sms', 'message', 1, %s, %s)", [f"{W}{N}", N]),
    ("SELECT reserve_usage(77, 'sms', 'message', 1, %s, %s)", [f"{W}{N}", N]),
    ("SELECT release_reservation(%s)", [f"{W}{N}"]),
    ("SELECT reserve_call(1, %s, %s, 60)", [N, f"{W}{N}"]),
    ("SELECT release_reservation(%s)", [f"{W} other"]),
    ("SELECT quote_call(77, %s, 60)", [N]),
    ("SELECT quote(1, 'voice', 'minute', 'NaN', %s)", [N]),
    ("SELECT explain_quote_call(77, %s, 60)", [N]),
    ("SELECT grant_credit(1, 1, %s, %s)", [W, N]),
    ("SELECT grant_credit(1, 'NaN', 'grant', %s)", [N]),
    ("SELECT grant_credit(1, 1, 'grant', %s), grant_credit(1, 2, 'grant', %s)", [A, A]),
    ("SELECT spend_credit(1, 1, %s, %s)", [W, N]),
    ("SELECT record_payment(1, 1, %s, %s)", [W, N]),
    ("SELECT refund_payment(1, 1, %s)", [N]),
    ("SELECT void_invoice(1, %s)", [W]),
    ("SELECT issue_credit_note(1, 1, %s)", [W]),
    ("SELECT set_alert_target(1, 'email', %s)", [f"{W} {N}"]),
    ("SELECT set_alert_target(1, 'webhook', %s, %s)", [f"ftp://{ADDRESS}", W]),
    ("SELECT set_alert_target(1, %s, %s, %s)", [W, A, W]),
    ("SELECT forget_subject(%s, 'erase', 'x')", [f"{W}{N}"]),
    ("SELECT forget_subject(%s, %s, 'x')", [N, W]),
    ("SELECT forget_subject(%s, 'erase', %s)", [N, f"call of {N}"]),
    ("SELECT find_subject(%s)", [f"{W} {N}"]),
    ("SELECT normalize_destination(%s), mask_number(%s)::int", [N, A]),
    ("SELECT * FROM retry_unrated(1000)", []),
    # What raises neither a data exception nor P0001 ends a sweep, as it came.
    ("DELETE FROM chats WHERE id %% 8 IN (%s, %s)", [2, 7]),
    ("SELECT * FROM reconcile('2026-01-01', '2026-12-31')", []),
    ("SELECT * FROM backfill_usage('2026-01-01', '2026-12-31')", []),
    ("SELECT * FROM maintain()", []),
    ("SELECT * FROM verify()", []),
    ("SELECT * FROM usage_health", []),
]
UNSAYABLE = ("SELECT normalize_destination(%s), mask_number(%s)::int", [N, A])
"""What a caller does himself with PostgreSQL's own means is quoted by PostgreSQL."""
COMMANDS = [
    ["quote", "77", N, "--seconds", "60"],
    ["quote", "1", N, "--seconds", "60", "--at", "2000-01-01"],
    ["reserve", "77", N, "--key", f"{W}{N}"],
    ["release", f"{W}{N}"],
    ["find", f"{W}{N}"],
    ["forget", N, "--reason", f"of {N}"],
    ["credit", "grant", "77", "5", "--reference", f"{W}{N}"],
    ["credit", "grant", "1", "5", "--reference", A],
    ["credit", "grant", "1", "6", "--reference", A],
    ["alerts", "set", "1", "--email", f"{W} {N}"],
    ["alerts", "set", "1", "--webhook", f"ftp://{A}", "--secret", W],
    ["invoice", "pay", "77", "5", "--method", W, "--reference", N],
    ["verify"],
]


def assert_silent(said: str, about: object) -> None:
    bare = said.lower().translate(str.maketrans("", "", "+ -()."))
    for secret in (NUMBER, WORD.lower()):
        assert secret not in bare, f"{about}: {said}"


@pytest.fixture
def heard(db: Connection) -> list[str]:
    said: list[str] = []
    db.add_notice_handler(
        lambda n: said.append(
            f"{n.message_primary} {n.message_detail} {n.message_hint} {n.context}"
        )
    )
    db.add_notify_handler(lambda notify: said.append(notify.payload))
    db.execute("LISTEN billing_unrated")
    return said


def test_nothing_is_said_of_anybody(
    cluster: Cluster, db: Connection, superuser: Connection, database: str, heard: list[str]
) -> None:
    row = superuser.execute("SHOW data_directory").fetchone()
    assert row
    log = Path(row[0]) / "server.log"
    begin = log.stat().st_size
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute(CHATTY.encode())
    failed: list[str] = []
    for statement, values in SAID:
        try:
            found = (
                str(db.execute(statement.encode(), values).fetchall())
                if (statement.startswith("SELECT") and (statement, values) != UNSAYABLE)
                else str(db.execute(statement.encode(), values) and "")
            )
            # What was asked for may be told; what is found out about it may not.
            if "verify" in statement or "health" in statement or "retry" in statement:
                assert_silent(found, statement)
        except psycopg.Error as error:
            failed.append(statement)
            if (statement, values) != UNSAYABLE:
                d = error.diag
                said = (d.message_primary, d.message_detail, d.message_hint, d.context)
                assert_silent(f"{said} {error}", statement)
    assert len(failed) > 25
    # The application's writes succeed.
    assert not [one for one in failed if one.startswith(("INSERT", "UPDATE"))]
    aside = db.execute("SELECT to_jsonb(u)::text FROM unrated_usage AS u").fetchall()
    assert len(aside) > 40
    assert {"P0001", "22023", "ZZ001", "22P02", "22007", "23514", "UB002", "UB003"} <= {
        json.loads(text)["sqlstate"] for (text,) in aside
    }
    assert_silent(str(aside), "unrated_usage")
    assert len(heard) > 40
    assert_silent("\n".join(heard), "notices")
    written = log.read_text(errors="replace")[begin:]
    # The log quotes the statement that failed, whose values are elsewhere; and what is not ours.
    ours = "\n".join(line for line in written.splitlines() if "of type integer" not in line)
    assert "UB" in written or "no such reservation" in written
    assert_silent(ours, "server log")


def test_the_last_resort_names_rows_by_their_ids(
    db: Connection, superuser: Connection, heard: list[str]
) -> None:
    """Not even setting aside works: a WARNING, and the application's write stands."""
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute(CHATTY.encode())
    db.execute("ALTER TABLE unrated_usage ADD CONSTRAINT broken CHECK (reason IS NULL)")
    db.execute("INSERT INTO chats VALUES (8, 1, %s, %s)", [N, f"{W} {N}"])
    assert len(heard) == 1
    assert "neither recorded nor set aside" in heard[0]
    assert_silent(heard[0], "warning")


def test_the_command_line_says_nothing_of_anybody(db: Connection, database: str) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    failed = 0
    for command in COMMANDS:
        done = CliRunner().invoke(cli.main, ["-d", database, *command])
        failed += done.exit_code != 0
        assert done.exit_code in (0, 1), (command, done.output)
        assert_silent(done.stderr + str(done.exception or ""), command)
    assert failed > 8


def test_the_client_says_nothing_of_anybody(database: str) -> None:
    with Client(database) as client:
        for attempt in (
            lambda: client.quote_call(77, N, 60),
            lambda: client.quote(1, "voice", "minute", WORD),
            lambda: client.record_usage(77, "voice", "minute", N, 1, {"to": N}),
            lambda: client.release_reservation(f"{W}{N}"),
            lambda: client.set_retention(WORD, N),
        ):
            with pytest.raises(UsageError) as caught:
                attempt()
            error = caught.value
            assert_silent(f"{error.message} {error.detail} {error.hint}", attempt)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (HTTPError(f"http://{A}", 503, W, None, None), "HTTP status 503"),  # type: ignore[arg-type]
        (URLError(ConnectionRefusedError(111, W)), "ConnectionRefusedError: Connection refused"),
        (URLError(socket.gaierror(-2, f"{W} not known")), "gaierror"),
        (ssl.SSLCertVerificationError(1, f"hostname {W}"), "SSLCertVerificationError"),
        (
            smtplib.SMTPRecipientsRefused({A: (550, W.encode())}),
            "recipient refused, SMTP status 550",
        ),
        (smtplib.SMTPDataError(554, W.encode()), "SMTP status 554"),
        (smtplib.SMTPServerDisconnected(W), "SMTPServerDisconnected"),
        (BadStatusLine(f"{W} {N}"), "BadStatusLine"),
        (ValueError(f"unknown url type: {A}"), "ValueError"),
        (TimeoutError(W), "TimeoutError"),
    ],
)
def test_a_delivery_fails_without_what_was_answered(error: BaseException, said: str) -> None:
    assert alerts._name(error) == said
