"""The demo's prepaid tenant: five dollars, talked away, with a warning at 80, 90 and 100 %."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg

from pyapi import cli
from pyapi.alerts import SIGNATURE, deliver, is_signed
from pyapi.client import Client

COMPANY = "Comet Prepaid"
NUMBER = "+15559876543"
SECRET = "demo secret"
CALLS = {"CA-comet-1": 16_000, "CA-comet-2": 2_000, "CA-comet-3": 2_000, "CA-comet-4": 60}
"""The calls that Comet would like to make, in order, and for how many seconds."""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Attempt:
    """A call asked for, and what became of it."""

    call_sid: str
    asked: int
    granted: int
    remaining: Decimal


ATTEMPT = (
    cli.Column("call_sid"),
    cli.Column("asked", cli.number, "seconds asked for"),
    cli.Column("granted", cli.number),
    cli.Column("remaining", cli.money, "left after it"),
)


@dataclass
class Scene:
    """What is shown: attempts only in the run that made them."""

    tenant_id: int
    attempts: list[Attempt]
    webhooks: list[dict[str, Any]]


def play(connection: Connection) -> Scene:
    """Have Comet talk, once; a later run finds it where it was left."""
    client = Client(connection)
    found = connection.execute(
        "SELECT id FROM public.tenants WHERE company_name = %s", [COMPANY]
    ).fetchone()
    if found is not None:
        return Scene(int(found[0]), [], [])
    tenant_id = _open(connection, client)
    with _receiver() as (url, webhooks):
        client.set_alert_target(tenant_id, "webhook", url, SECRET)
        attempts = [
            _call(connection, client, tenant_id, call_sid, asked)
            for call_sid, asked in CALLS.items()
        ]
        deliver(client)
        # The receiver is gone in a moment: nothing more is to be sent there.
        client.set_alert_target(tenant_id, "webhook", url, is_active=False)
    return Scene(tenant_id, attempts, webhooks)


def _open(connection: Connection, client: Client) -> int:
    with connection.transaction():
        connection.execute(
            "INSERT INTO billing.pricing_plans (name, display_name) VALUES ('prepaid', 'Prepaid')"
            " ON CONFLICT (name) DO NOTHING"
        )
        row = connection.execute(
            "INSERT INTO public.tenants (company_name, plan_id)"
            " SELECT %s, id FROM billing.pricing_plans WHERE name = 'prepaid' RETURNING id",
            [COMPANY],
        ).fetchone()
        assert row is not None
        tenant_id = int(row[0])
        client.grant_credit(tenant_id, 5, "purchase", "first five dollars")
        for threshold in (80, 90, 100):
            client.set_alert_threshold(tenant_id, "balance", threshold)
    return tenant_id


def _call(
    connection: Connection, client: Client, tenant_id: int, call_sid: str, asked: int
) -> Attempt:
    """Ask, and talk as long as was granted; housekeeping looks at the balance."""
    granted = client.reserve_call(tenant_id, NUMBER, call_sid, asked)
    if granted:
        connection.execute(
            "INSERT INTO public.calls (tenant_id, call_sid, to_number, status, initiated_at,"
            " duration_seconds) VALUES (%s, %s, %s, 'completed', now(), %s)",
            [tenant_id, call_sid, NUMBER, granted],
        )
        client.maintain()
    return Attempt(call_sid, asked, granted, client.balance(tenant_id).remaining_credits)


@contextmanager
def _receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A customer's server, which believes only what is signed."""
    took: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = is_signed(SECRET, body, self.headers[SIGNATURE] or "", time.time())
            if signed:
                took.append(json.loads(body))
            self.send_response(204 if signed else 401)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/billing", took
        finally:
            server.shutdown()
            thread.join()
