"""Credit on the command line: grant, list, reserve, release, limits and alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import psycopg
import pytest
from test_cli import read_json, run

from pyapi import Client

pytestmark = pytest.mark.newest


@pytest.fixture
def tenant(database: str) -> Iterator[int]:
    """A prepaid tenant, with a call of a dollar and a half in the evening of 2025-11-15."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pricing_plans (id, name, display_name) VALUES (50, 'prepaid', 'Prepaid')"
        )
        connection.execute(
            "INSERT INTO tenants (id, plan_id, timezone) VALUES (1, 50, 'America/New_York')"
        )
        connection.execute(
            "INSERT INTO calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
            " VALUES (1, 'CA0', 'completed', '2025-11-15 23:30-05', 6000)"
        )
        yield 1


def grant(database: str, *more: object) -> dict[str, str]:
    found = read_json("-d", database, "credit", "grant", 1, 5, "--reference", "order 1", *more)
    assert isinstance(found, dict)
    return found


def test_granting_twice_is_once_and_the_statement_says_what_is_left(
    database: str, tenant: int
) -> None:
    first = grant(database, "--kind", "purchase", "--priority", 1, "--expires", "2099-01-01")
    assert first["remaining_credits"] == "3.5000000000"
    (entry,) = read_json("-d", database, "credit", "list", 1)
    assert entry["expires_at"] == "2099-01-02T04:59:59.999999+00:00", "the end of the tenant's day"
    again = grant(database, "--kind", "purchase", "--priority", 1, "--expires", "2099-01-01")
    assert again == first
    (entry,) = read_json("-d", database, "credit", "list", 1)
    assert (entry["amount"], entry["remaining"], entry["priority"]) == ("5", "5", 1)
    assert "order 1" in run("-d", database, "credit", "list", 1).stdout
    refused = run("-d", database, "credit", "grant", 1, 6, "--reference", "order 1")
    assert refused.exit_code == 1
    assert "other figures" in refused.stderr


def test_a_balance_as_of_a_day_is_that_of_its_end_where_the_tenant_is(
    database: str, tenant: int
) -> None:
    for day, usage in (("2025-11-14", "0"), ("2025-11-15", "1.5000000000")):
        found = read_json("-d", database, "balance", 1, "--as-of", day)
        assert found["current_usage"] == usage
    with Client(database) as client:
        end = client.end_of_day(1, datetime(2025, 11, 15, tzinfo=timezone.utc).date())
    assert end == datetime(2025, 11, 16, 4, 59, 59, 999999, tzinfo=timezone.utc)


def test_reserving_and_releasing(database: str, tenant: int) -> None:
    grant(database)
    reserve = ("-d", database, "reserve", 1)
    assert read_json(*reserve, "+15551234567", "--key", "CA1", "--seconds", 60) == {
        "key": "CA1",
        "granted_seconds": "60",
    }
    assert read_json("-d", database, "balance", 1)["reserved"] == "0.0150000000"
    message = read_json(*reserve, "--key", "SM1", "--channel", "sms", "--quantity", 2)
    assert message["granted_quantity"] == "2"
    everything = read_json(*reserve, "+15551234567", "--key", "CA2")
    assert everything["granted_seconds"] == "13880"
    assert read_json(*reserve, "+15551234567", "--key", "CA3")["granted_seconds"] == "0"
    assert run("-d", database, "release", "CA2").stderr == "released\n"
    assert run("-d", database, "release", "CA2").stderr == "it had ended before\n"
    assert run("-d", database, "release", "CA9").exit_code == 1
    assert run(*reserve, "--key", "CA4").exit_code == 2
    assert run(*reserve, "--key", "S", "--channel", "sms", "--seconds", 1).exit_code == 2


def test_limits_are_set_and_shown(database: str, tenant: int) -> None:
    grant(database)
    found = read_json(
        *("-d", database, "limits", 1, "--credit-limit", 1, "--spend-cap", 20),
        *("--max-calls", 3, "--throttle-below", 9),
    )
    assert (found["mode"], found["credit_limit"], found["spend_cap"]) == ("prepaid", "1", "20")
    assert found["allowance"] == "0.5000"
    assert "prepaid" in run("-d", database, "limits", 1).stdout


def test_alerts_are_set_listed_and_delivered(database: str, tenant: int) -> None:
    grant(database)
    arguments = ("-d", database, "alerts")
    assert run(*arguments, "set", 1).exit_code == 2
    assert run(*arguments, "set", 1, "--basis", "balance").exit_code == 2
    assert run(*arguments, "set", 1, "--basis", "balance", "--at", 10, "--at", 20).exit_code == 0
    assert run(*arguments, "set", 1, "--basis", "balance", "--at", 10, "--remove").exit_code == 0
    assert run(*arguments, "set", 1, "--email", "owner@acme.example").exit_code == 0
    assert run("-d", database, "maintain").exit_code == 0
    (alert,) = read_json(*arguments, "list")
    assert (alert["threshold"], alert["used"], alert["waiting"]) == ("20", "1.5000000000", 1)
    sent = run(*arguments, "deliver")
    assert sent.exit_code == 1
    assert "no SMTP server was given; will be tried again" in sent.stderr
    assert "balance" in run(*arguments, "list", "--tenant", 1).stdout
    assert run(*arguments, "list", "--tenant", 2).stderr == "no alerts\n"
