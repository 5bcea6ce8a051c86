"""The command line: formats, exit status, and what goes to stdout and what to stderr."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import make_conninfo

from pyapi import Client, Usage, UsageBucket, cli, errors
from pyapi.errors import ERRORS, BadArgumentError, UnknownSourceError, UsageError

pytestmark = pytest.mark.newest

DAY = "2025-11-15"


@pytest.fixture(autouse=True)
def no_database_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away every address that is not given on the command line."""
    for name in (*cli.VARIABLES, *cli.LIBPQ_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pyapi.embedded.running_conninfo", lambda: None)


def run(*arguments: object, stdin: str | None = None) -> Result:
    """Run irisx-usage in this process."""
    return CliRunner().invoke(cli.main, [str(item) for item in arguments], input=stdin)


def read_json(*arguments: object) -> Any:
    result = run(*arguments, "-f", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def tenant(database: str) -> Iterator[int]:
    """A tenant with a call of 315 s and three text messages on 2025-11-15."""
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO tenants (company_name) VALUES ('[b]Acme[/b]') RETURNING id"
        ).fetchone()
        assert row
        connection.execute(
            "INSERT INTO calls (tenant_id, call_sid, direction, to_number, status, answered_at,"
            " duration_seconds)"
            " VALUES (%s, 'CA1', 'outbound', '+12025550100', 'completed', %s, 315)",
            [row[0], f"{DAY} 12:00+00"],
        )
        connection.execute(
            "INSERT INTO messages (tenant_id, message_sid, channel, direction, to_address, status,"
            " sent_at) SELECT %s, 'SM' || n, 'sms', 'outbound', '+12025550100', 'sent', %s"
            " FROM generate_series(1, 3) AS n",
            [row[0], f"{DAY} 12:00+00"],
        )
        yield row[0]


def test_current_as_a_table_has_totals_and_a_period(database: str, tenant: int) -> None:
    result = run("-d", database, "current", tenant, "--as-of", DAY)
    assert result.exit_code == 0, result.stderr
    assert "2025-11-01 to 2025-11-30" in result.stdout
    assert "0.07875" in result.stdout
    assert "0.10125" in result.stdout
    assert result.stderr == ""


def test_json_is_exact_and_has_the_contracts_names(database: str, tenant: int) -> None:
    rows = read_json("-d", database, "current", tenant, "--as-of", DAY)
    assert [list(row) for row in rows] == [[field.name for field in fields(Usage)]] * 2
    costs = {row["channel"]: row["total_cost"] for row in rows}
    assert all("e" not in cost.lower() for cost in costs.values())
    assert {channel: Decimal(cost) for channel, cost in costs.items()} == {
        "sms": Decimal("0.0225"),
        "voice": Decimal("0.07875"),
    }


def test_csv_has_a_header_and_a_line_a_row(database: str, tenant: int) -> None:
    result = run("history", tenant, "--from", DAY, "--to", DAY, "-f", "csv", "-d", database)
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == [field.name for field in fields(UsageBucket)]
    assert {row["bucket"] for row in rows} == {DAY}
    assert "\r" not in result.stdout


def test_an_option_holds_before_and_after_the_command(database: str, tenant: int) -> None:
    before = run("-d", database, "-f", "json", "balance", tenant)
    after = run("balance", tenant, "-d", database, "-f", "json")
    assert before.exit_code == after.exit_code == 0, before.stderr
    assert before.stdout == after.stdout


def test_a_draft_is_written_listed_and_shown(database: str, tenant: int) -> None:
    written = read_json("-d", database, "invoices", tenant, "--draft", DAY)
    assert (written["status"], written["period_start"]) == ("draft", "2025-11-01")
    assert sum(Decimal(line["amount"]) for line in written["lines"]) == Decimal(written["subtotal"])
    listed = read_json("-d", database, "invoices", tenant)
    assert [row["id"] for row in listed] == [written["id"]]
    assert read_json("-d", database, "invoice", written["id"]) == written
    shown = run("-d", database, "invoice", written["id"])
    assert f"total {cli.money(Decimal(written['total_amount']), 'USD')}" in shown.stdout


def test_quotes_of_a_call_and_of_messages(database: str, tenant: int) -> None:
    call = read_json("-d", database, "quote", tenant, "+12025550100", "--seconds", 315)
    assert Decimal(call["total_cost"]) == Decimal("0.07875")
    assert Decimal(call["billed_seconds"]) == 315
    texts = read_json("-d", database, "quote", tenant, "--channel", "sms", "--quantity", 3)
    assert Decimal(texts["total_cost"]) == Decimal("0.0225")
    table = run("-d", database, "quote", tenant, "+12025550100", "--seconds", 315)
    assert "0.07875 USD" in table.stdout


def test_verify_is_silent_on_stdout_when_all_is_well(database: str, tenant: int) -> None:
    result = run("-d", database, "verify")
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert read_json("-d", database, "verify") == []


def test_verify_fails_and_names_what_is_violated(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO calls (tenant_id, call_sid, direction, to_number, status,"
            " duration_seconds) VALUES (999, 'CA1', 'outbound', '+12025550100', 'completed', 1)"
        )
    result = run("-d", database, "verify", "-f", "json")
    assert result.exit_code == 1, result.stderr
    assert json.loads(result.stdout)


def test_maintain_and_backfill(database: str, tenant: int) -> None:
    assert run("-d", database, "maintain").exit_code == 0
    rows = read_json("-d", database, "backfill", "--from", DAY, "--to", DAY)
    assert sum(row["recorded"] for row in rows) == 0


def test_errors_of_the_engine_are_one_line_and_a_hint(database: str) -> None:
    result = run("-d", database, "current", 999)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    unknown = run("-d", database, "invoice", 999)
    assert (unknown.exit_code, unknown.stdout) == (1, "")


def test_a_database_without_us_says_migrate(empty_database: str) -> None:
    for command in (["current", 1], ["verify"], ["balance", 1]):
        result = run("-d", empty_database, *command)
        assert result.exit_code == 1
        assert "irisx-usage migrate" in result.stderr
    assert run("-d", empty_database, "uninstall").exit_code == 1


def test_migrate_and_uninstall(empty_database: str) -> None:
    first = run("-d", empty_database, "migrate")
    assert (first.exit_code, first.stdout) == (0, ""), first.stderr
    assert "up to date" in run("-d", empty_database, "migrate").stderr
    kept = run("-d", empty_database, "uninstall", "--drop-data", stdin="n\n")
    assert kept.exit_code == 1
    assert run("-d", empty_database, "uninstall").exit_code == 0
    assert run("-d", empty_database, "migrate").exit_code == 0
    assert run("-d", empty_database, "uninstall", "--drop-data", "--yes").exit_code == 0


def test_without_any_database_the_hint_says_how_to_give_one() -> None:
    result = run("current", 1)
    assert result.exit_code == 1
    assert "IRISX_USAGE_DATABASE_URL" in result.stderr


def test_the_address_comes_from_the_first_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = cli.Settings()
    monkeypatch.setattr("pyapi.embedded.running_conninfo", lambda: "embedded")
    assert settings.conninfo() == "embedded"
    monkeypatch.setenv("PGHOST", "localhost")
    assert settings.conninfo() == ""
    monkeypatch.setenv("DATABASE_URL", "second")
    assert settings.conninfo() == "second"
    monkeypatch.setenv("IRISX_USAGE_DATABASE_URL", "first")
    assert settings.conninfo() == "first"
    settings.database = "option"
    assert settings.conninfo() == "option"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["current"],
        ["current", "abc"],
        ["current", "99999999999999999999"],
        ["current", "1", "-f", "xml"],
        ["current", "1", "--as-of", "2025-02-30"],
        ["history", "1", "--from", "2025-11-02", "--to", "2025-11-01"],
        ["history", "1", "--interval", "year"],
        ["quote", "1"],
        ["quote", "1", "+12025550100", "--seconds", "NaN"],
        ["quote", "1", "+12025550100", "--seconds", "-1"],
        ["quote", "1", "--channel", "sms", "--seconds", "1"],
        ["backfill"],
    ],
)
def test_misuse_is_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_what_nobody_would_ask_for_is_answered(database: str, tenant: int) -> None:
    first = run("-d", database, "history", tenant, "--to", "0001-01-02")
    assert (first.exit_code, first.stdout) == (0, ""), first.output
    large = run("-d", database, "quote", tenant, "--channel", "sms", "--quantity", "1e40")
    assert large.exit_code == 0, large.output
    assert f"{10**40:,}" in large.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["credit", "list", 1, "--limit", 3_000_000_000],
        ["limits", 1, "--max-calls", 3_000_000_000],
        ["reserve", 1, "+12025550100", "--key", "K", "--seconds", 3_000_000_000],
    ],
)
def test_a_number_too_large_is_said_to_be(
    database: str, tenant: int, arguments: list[object]
) -> None:
    result = run("-d", database, *arguments)
    assert result.exit_code == 1
    assert "out of range" in result.stderr
    assert "migrate" not in result.stderr


def test_a_year_that_is_none_is_misuse() -> None:
    for arguments in (
        ("invoices", "run", "--period", "9999-12"),
        ("rates", "diff", "--card", "default", "--from", "0001-01-01T00:00+14:00"),
    ):
        assert run(*arguments).exit_code == 2


def test_what_is_not_unicode_is_an_error_and_no_traceback(database: str, tenant: int) -> None:
    for arguments in (
        ("-d", database, "quote", tenant, "\udcff", "--seconds", 1),
        ("-d", database, "migrate", "--role", "\udcff"),
        ("-d", "postgresql://\udcff@127.0.0.1/irisx", "current", tenant),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, SystemExit)
        assert (result.exit_code, result.stderr[:7]) == (1, "error: "), result.stderr
    with Client(database) as client, pytest.raises(BadArgumentError):
        client.record_usage(tenant, "sms", "message", "\ud800", 1)


def test_an_output_that_cannot_take_it_is_an_error_and_no_traceback(
    database: str, tenant: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE tenants SET company_name = '\u6f22' WHERE id = %s", [tenant])
    command = [sys.executable, "-m", "pyapi.cli", "-d", database, "quote", str(tenant)]
    command += ["--channel", "sms", "-f", "csv"]
    for encoding, where, error in (
        ("ascii", "/dev/null", "cannot be written in ascii"),
        ("utf-8", "/dev/full", "No space left on device"),
    ):
        monkeypatch.setenv("PYTHONIOENCODING", encoding)
        with Path(where).open("w") as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr[:7]) == (1, "error: "), done.stderr
        assert error in done.stderr


def test_a_day_is_the_tenants_own_in_every_zone(database: str, tenant: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            connection.execute(
                "INSERT INTO tenants (id, timezone, billing_cycle_day)"
                " VALUES (71, %s, 15) ON CONFLICT (id) DO UPDATE SET timezone = EXCLUDED.timezone",
                [zone],
            )
            for day, start in (("14", "2025-10-15"), ("15", "2025-11-15")):
                told = run("-d", database, "current", 71, "--as-of", f"2025-11-{day}").stderr
                assert f"from {start}" in told
                why = read_json(
                    *("-d", database, "quote", 71, "+12025550100", "--seconds", 1),
                    *("--at", f"2025-11-{day}"),
                )["explanation"]
                assert f"2025-11-{day} 12:00:00 {zone}" in why[1]["detail"]


def test_acts_since_a_day_are_those_from_its_beginning(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(Client, "acts", lambda _, *given: asked.append(given[0]) or [])
    assert run("-d", database, "audit", "--since", "2025-11-15").exit_code == 0
    assert asked == [datetime(2025, 11, 15, tzinfo=timezone.utc)]


def test_numbers_within_json_are_exact(database: str, tenant: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT billing.grant_credit(%s, 12345678901.1234567891, 'grant', 'large')", [tenant]
        )
    (act,) = read_json("-d", database, "audit", "--action", "grant_credit")
    assert act["new_values"]["amount"] == "12345678901.1234567891"
    assert '"12345678901.1234567891"' in run("-d", database, "audit").stdout


def test_how_a_database_writes_times_does_not_matter(database: str, tenant: int) -> None:
    styles = "-c datestyle=German -c intervalstyle=sql_standard"
    with Client(make_conninfo(database, options=styles)) as client:
        end = client.end_of_day(tenant, date(2025, 11, 15))
        assert end == datetime(2025, 11, 15, 23, 59, 59, 999999, tzinfo=timezone.utc)
        assert {kept.keep for kept in client.retention()} >= {timedelta(days=90)}


def test_retention_in_parts_of_days(database: str) -> None:
    assert run("-d", database, "retention", "set", "alerts", "36 hours").exit_code == 0
    (kept,) = (
        row
        for row in read_json("-d", database, "retention", "list")
        if row["table_name"] == "alerts"
    )
    assert kept["keep"] == "1.5 days"


def test_an_unknown_invoice_has_a_hint(database: str, tenant: int) -> None:
    result = run("-d", database, "invoice", 99)
    assert result.exit_code == 1
    assert "unknown invoice" in result.stderr
    assert "hint: " in result.stderr


def test_a_server_that_is_away_is_an_error_without_the_password() -> None:
    command = [sys.executable, "-m", "pyapi.cli", "-d"]
    address = "postgresql://user:secret@127.0.0.1:1/none"
    result = subprocess.run(
        [*command, address, "verify"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "hint: " in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("value", "number", "money"),
    [
        ("0", "0", "0.00"),
        ("100", "100", "100.00"),
        ("1234567.5000", "1,234,567.5", "1,234,567.50"),
        ("0.0787500000", "0.07875", "0.07875"),
        ("-12.3", "-12.3", "-12.30"),
        ("1E+3", "1,000", "1,000.00"),
        ("1E-10", "0.0000000001", "0.0000000001"),
    ],
)
def test_numbers_for_people(value: str, number: str, money: str) -> None:
    assert cli.number(Decimal(value)) == number
    assert cli.money(Decimal(value)) == money


def test_every_sqlstate_of_the_engine_has_its_class(db: psycopg.Connection[Any]) -> None:
    listed = {row[0] for row in db.execute("SELECT sqlstate FROM billing.error_codes")}
    named = {
        item.sqlstate
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, UsageError) and item.sqlstate
    }
    assert named == set(ERRORS) == listed


def test_a_client_leaves_a_given_connection_to_its_owner(database: str, tenant: int) -> None:
    with psycopg.connect(database) as connection:
        with Client(connection) as client:
            record = client.record_usage(tenant, "sms", "message", "by hand", 2, {"who": "us"})
            again = client.record_usage(tenant, "sms", "message", "by hand", 2, {"who": "us"})
            assert record == again
        assert not connection.closed
        connection.rollback()
        count = connection.execute(
            "SELECT count(*) FROM billing.usage_records WHERE resource_id = 'by hand'"
        ).fetchone()
        assert count == (0,)


def test_a_client_with_an_address_connects_late_and_closes(database: str, tenant: int) -> None:
    Client("port=1")
    with Client(database) as client:
        assert client.balance(tenant).reserved == 0
        with pytest.raises(UnknownSourceError):
            client.invoice(999)
        client.record_usage(tenant, "sms", "message", "twice", 1)
        with pytest.raises(errors.ResourceConflictError):
            client.record_usage(tenant, "sms", "message", "twice", 2)
        with pytest.raises(errors.UnknownTenantError):
            client.quote_call(999, "+12025550100", 1)
        with pytest.raises(errors.BadQuantityError):
            client.quote(tenant, "sms", "message", "plenty")
        with pytest.raises(errors.BadQuantityError):
            client.quote(tenant, "sms", "message", Decimal("NaN"))
