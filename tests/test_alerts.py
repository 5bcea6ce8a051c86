"""Alerts reach a real HTTP receiver and a real SMTP server, at least once, and are found once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from psycopg import Connection

from pyapi import BadArgumentError, Client
from pyapi.alerts import SIGNATURE, Mailer, deliver, is_signed, sign

pytestmark = pytest.mark.newest

SECRET = "a secret"


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; answers what is next in statuses, then 204."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.took: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/alerts"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.took.append((dict(self.headers.items()), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url + "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Mailbox:
    def __init__(self) -> None:
        self.refusals = 0
        self.took: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusals:
            self.refusals -= 1
            return "451 try again later"
        self.took.append(envelope)
        return "250 OK"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mailer(mailbox: Mailbox) -> Iterator[Mailer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield Mailer(f"smtp://127.0.0.1:{port}", "billing@irisx.example")
    controller.stop()


@pytest.fixture
def client(database: str, db: Connection) -> Iterator[Client]:
    db.execute("INSERT INTO pricing_plans (id, name, display_name) VALUES (50, 'prepaid', 'P')")
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 50), (2, 50)")
    with Client(database) as opened:
        opened.grant_credit(1, 10, "purchase", "order 1")
        yield opened


def use(db: Connection, minutes: float, tenant_id: int = 1) -> None:
    db.execute(
        "INSERT INTO calls (tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (%s, 'completed', now(), %s)",
        [tenant_id, minutes * 60],
    )


def make_due(db: Connection) -> None:
    db.execute(
        "UPDATE alert_deliveries SET next_try_at = clock_timestamp() WHERE next_try_at IS NOT NULL"
    )


def wanted(client: Client, *thresholds: int) -> None:
    for threshold in thresholds:
        client.set_alert_threshold(1, "balance", threshold)


def test_a_crossing_is_found_once_and_told_when_it_is_committed(
    client: Client, database: str, db: Connection
) -> None:
    wanted(client, 80, 90, 100)
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("LISTEN billing_alert")
        use(db, 400)
        with psycopg.connect(database) as undecided:
            assert undecided.execute("SELECT raise_alerts()").fetchone() == (0,)
            use(undecided, 200)  # 600 minutes: 9 of 10 dollars
            undecided.execute("UPDATE alert_checks SET checked_at = '-infinity'")
            assert undecided.execute("SELECT raise_alerts()").fetchone() == (2,)
            undecided.rollback()
        assert client.alerts() == []
        use(db, 200)
        for _ in range(2):
            client.maintain()
        assert [(a.basis, a.threshold, a.used) for a in client.alerts(1)] == [
            ("balance", 90, 9),
            ("balance", 80, 9),
        ]
        told = [notice.payload for notice in listener.notifies(timeout=1, stop_after=2)]
        assert len(told) == 2
        use(db, 80)
        client.maintain()
        assert len(client.alerts(1)) == 3


@pytest.mark.parametrize(
    ("basis", "threshold", "total"), [("included", 80, 50), ("cap", 50, 80), ("amount", 40, None)]
)
def test_each_basis_has_its_own_total(
    client: Client, db: Connection, basis: str, threshold: int, total: int | None
) -> None:
    db.execute("UPDATE tenants SET plan_id = 1 WHERE id = 2")  # 50 included
    client.set_limits(2, spend_cap=80)
    client.set_alert_threshold(2, basis, threshold)
    use(db, 2666, 2)
    client.maintain()
    assert client.alerts(2) == []
    use(db, 1, 2)
    client.maintain()
    (alert,) = client.alerts(2)
    assert (alert.used, alert.total) == (Decimal("40.005"), total)


def test_racing_rounds_find_a_crossing_once(client: Client, database: str, db: Connection) -> None:
    wanted(client, *range(10, 101, 10))
    use(db, 700)
    start = threading.Barrier(8)

    def round_of_one(_: int) -> int:
        with psycopg.connect(database) as connection:
            # As if each of them had read the tenant as due: the unique key is what decides.
            start.wait()
            row = connection.execute("SELECT raise_alerts()").fetchone()
            return int(row[0]) if row else -1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(round_of_one, range(8))) == 10
    assert len(client.alerts(1)) == 10


def test_webhooks_are_signed_and_mail_is_sent(
    client: Client, db: Connection, receiver: Receiver, mailer: Mailer, mailbox: Mailbox
) -> None:
    wanted(client, 80)
    client.set_alert_target(1, "webhook", receiver.url, SECRET)
    client.set_alert_target(1, "email", "owner@acme.example")
    use(db, 600)
    client.maintain()
    sent = deliver(client, mailer)
    assert (sent.delivered, sent.failed) == (2, 0)
    ((headers, body),) = receiver.took
    assert is_signed(SECRET, body, headers[SIGNATURE], time.time())
    assert not is_signed("another", body, headers[SIGNATURE], time.time())
    assert not is_signed(SECRET, body + b" ", headers[SIGNATURE], time.time())
    assert not is_signed(SECRET, body, headers[SIGNATURE], time.time() + 301)
    assert headers["Idempotency-Key"].startswith("alert-1-")
    assert b'"threshold":"80"' in body
    (mail,) = mailbox.took
    assert mail.rcpt_tos == ["owner@acme.example"]
    assert b"80 % of the balance is used" in mail.content
    assert deliver(client, mailer).delivered == 0
    (alert,) = client.alerts(1)
    assert (alert.delivered, alert.waiting, alert.given_up) == (2, 0, 0)
    # Switched off without its secret being said again, it gets nothing new.
    client.set_alert_target(1, "webhook", receiver.url, is_active=False)
    wanted(client, 50)
    client.maintain()
    assert deliver(client, mailer).delivered == 1
    assert len(receiver.took) == 1


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(
    client: Client, db: Connection, receiver: Receiver, mailer: Mailer, mailbox: Mailbox
) -> None:
    wanted(client, 80)
    client.set_alert_target(1, "webhook", receiver.url, SECRET)
    client.set_alert_target(1, "email", "owner@acme.example")
    use(db, 600)
    client.maintain()
    receiver.statuses = [500, 302, 404]
    mailbox.refusals = 1
    problems = []

    def note(_: Any, problem: str, again: bool) -> None:
        problems.append((problem, again))

    assert deliver(client, mailer, max_attempts=3, on_failure=note).failed == 2
    assert sum(again for _, again in problems) == 2
    assert deliver(client, mailer, max_attempts=3).failed == 0  # Not before its time.
    waits = db.execute(
        "SELECT extract(epoch FROM min(next_try_at) - now()) FROM alert_deliveries"
    ).fetchone()
    assert waits is not None
    assert 25 < waits[0] <= 30
    make_due(db)
    sent = deliver(client, mailer, max_attempts=3)
    assert (sent.delivered, sent.failed) == (1, 1)  # The mail, and a redirect that is not followed.
    make_due(db)
    sent = deliver(client, mailer, max_attempts=3, on_failure=note)
    assert (sent.failed, sent.given_up) == (1, 1)
    assert problems[-1] == ("HTTP status 404", False)
    make_due(db)
    assert deliver(client, mailer).failed == 0
    assert len({headers["Idempotency-Key"] for headers, _ in receiver.took}) == 1
    assert [headers[SIGNATURE].startswith("t=") for headers, _ in receiver.took] == [True] * 3


def test_who_answers_byte_by_byte_keeps_nobody_waiting(
    client: Client, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyapi.alerts.TIMEOUT", 0.5)
    wanted(client, 80)
    use(db, 600)
    client.maintain()
    problems: list[str] = []
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                while not is_over.wait(0.1):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        port = listening.getsockname()[1]
        client.set_alert_target(1, "webhook", f"http://127.0.0.1:{port}", SECRET)
        db.execute(
            "INSERT INTO alert_deliveries (tenant_id, alert_id, target_id)"
            " SELECT a.tenant_id, a.id, t.id FROM alerts AS a, alert_targets AS t"
        )
        begun = time.monotonic()
        deliver(client, on_failure=lambda _, problem, __: problems.append(problem))
        assert time.monotonic() - begun < 10
        assert problems == ["took longer than 0.5 seconds"]
        is_over.set()
        thread.join()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_where_machines_keep_secrets_is_not_posted_to(
    client: Client, db: Connection, host: str
) -> None:
    client.set_alert_target(1, "webhook", f"http://{host}/latest", SECRET)
    wanted(client, 80)
    use(db, 600)
    client.maintain()
    problems: list[str] = []
    deliver(client, on_failure=lambda _, problem, __: problems.append(problem))
    assert problems == ["ValueError"]


def test_what_a_deliverer_held_when_it_died_is_sent_by_the_next(
    client: Client, db: Connection, receiver: Receiver
) -> None:
    wanted(client, 80)
    client.set_alert_target(1, "webhook", receiver.url, SECRET)
    use(db, 600)
    client.maintain()
    (claimed,) = client.claim_deliveries()
    assert deliver(client).delivered == 0
    make_due(db)
    assert deliver(client).delivered == 1
    # It was not dead, only slow: what is delivered stays delivered.
    client.finish_delivery(claimed, "too late")
    (alert,) = client.alerts(1)
    assert (alert.delivered, alert.waiting) == (1, 0)


def test_several_deliverers_send_each_once(
    client: Client, database: str, db: Connection, receiver: Receiver
) -> None:
    wanted(client, *range(1, 81))
    client.set_alert_target(1, "webhook", receiver.url, SECRET)
    use(db, 600)
    client.maintain()

    def work(_: int) -> int:
        with Client(database) as own:
            return deliver(own, batch=3).delivered

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 80
    assert len(receiver.took) == 80


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set_alert_threshold(1, "balance", 0),
        lambda c: c.set_alert_threshold(1, "weather", 80),
        lambda c: c.set_alert_threshold(1, "balance", "NaN"),
        lambda c: c.set_alert_target(1, "webhook", "ftp://x", SECRET),
        lambda c: c.set_alert_target(1, "webhook", "http://x"),
        lambda c: c.set_alert_target(1, "email", "nobody"),
        lambda c: c.set_alert_target(1, "email", "a@b\nBcc: c@d"),
        lambda c: c.set_alert_target(1, "pigeon", "home"),
    ],
)
def test_nonsense_is_refused(client: Client, call: Callable[[Client], object]) -> None:
    with pytest.raises(BadArgumentError):
        call(client)


def test_a_signature_is_what_others_compute_too() -> None:
    # HMAC-SHA256 of "1.body" under "key", by: printf 1.body | openssl dgst -sha256 -hmac key
    assert sign("key", b"body", 1) == "t=1,v1=" + SIGNATURE_OF_ONE
    assert is_signed("key", b"body", sign("key", b"body", 1), 1)
    assert not is_signed("key", b"body", "", 1)
    assert not is_signed("key", b"body", "t=" + "1" * 5000, 1)
    assert not is_signed("key", b"body", "t=1,v1=\xe9", 1)


SIGNATURE_OF_ONE = "91b5374b153842ad05b2c4eab9349b8321b14703165bd3fb8b034dfb8be98ae5"
