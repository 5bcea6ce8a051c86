"""Sends what billing.alerts has to say: signed webhooks and email, at least once.

A batch is claimed and committed before anything is sent, so that several of these may run side by
side, and what one was sending when it died is sent again by another after the lease.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLateError
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPException
from ipaddress import IPv6Address, ip_address
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pyapi.client import AlertDelivery, Client

SIGNATURE = "Irisx-Signature"
TIMEOUT = 10.0  # seconds for one attempt


class _NoRedirects(HTTPRedirectHandler):
    """What is signed for one address is not sent to another."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = build_opener(_NoRedirects)


@dataclass(frozen=True)
class Mailer:
    """An SMTP server, by smtp://user:password@host:port (STARTTLS where offered) or smtps://."""

    url: str
    sender: str

    def send(self, message: EmailMessage) -> None:
        """Hand one message to the server. Raises OSError or smtplib.SMTPException."""
        with self._connected() as server:
            server.send_message(message)

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        parts = urlsplit(self.url)
        kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
        with kind(parts.hostname or "localhost", parts.port or 0, timeout=TIMEOUT) as server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls()
                server.ehlo()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            yield server


@dataclass
class Sent:
    """What a round of delivering did."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0


def deliver(
    client: Client,
    mailer: Mailer | None = None,
    *,
    max_attempts: int = 10,
    batch: int = 10,
    on_failure: Callable[[AlertDelivery, str, bool], None] = lambda *_: None,
) -> Sent:
    """Send what is due, until nothing is, and return how that went.

    client: one that commits by itself, for a claim must stand before anything is sent.
    batch: how many are claimed together, and so sent within the lease of two minutes.
    on_failure: called with a delivery, why it failed, and whether it is tried again.
    """
    sent = Sent()
    while due := client.claim_deliveries(batch):
        for delivery in due:
            problem = _attempt(delivery, mailer)
            again = client.finish_delivery(delivery, problem, max_attempts)
            if problem is None:
                sent.delivered += 1
                continue
            sent.failed += 1
            sent.given_up += again is None
            on_failure(delivery, problem, again is not None)
    return sent


def sign(secret: str, body: bytes, at: int) -> str:
    """Return the signature header: t=unix seconds,v1=HMAC-SHA256 of "seconds.body" in hex."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def is_signed(secret: str, body: bytes, header: str, now: float, tolerance: int = 300) -> bool:
    """Tell whether a body came from who knows the secret, within the last seconds."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    at = fields.get("t", "")
    return (
        at.isdecimal()
        and len(at) <= 15
        and abs(now - int(at)) <= tolerance
        and hmac.compare_digest(
            sign(secret, body, int(at)).encode(), header.encode(errors="replace")
        )
    )


def _attempt(delivery: AlertDelivery, mailer: Mailer | None) -> str | None:
    """Send once; why it failed, or None."""
    try:
        if delivery.kind == "webhook":
            _within_timeout(lambda: _post(delivery))
        elif mailer is None:
            return "no SMTP server was given"
        else:
            message = _compose(delivery, mailer.sender)
            _within_timeout(lambda: mailer.send(message))
    except TooLateError:
        return f"took longer than {TIMEOUT:g} seconds"
    except (URLError, HTTPException, smtplib.SMTPException, OSError, ValueError) as error:
        return _name(error)
    return None


def _within_timeout(send: Callable[[], None]) -> None:
    """Raise what send raises, or TooLateError.

    A socket's own timeout begins anew with each byte: who answers slowly enough would keep all
    others waiting.
    """
    sent: Future[None] = Future()

    def work() -> None:
        try:
            send()
        except Exception as error:
            sent.set_exception(error)
        else:
            sent.set_result(None)

    Thread(target=work, daemon=True).start()
    sent.result(TIMEOUT + 1)


def _name(error: BaseException) -> str:
    """Return what failed in words that hold neither the address nor what was answered."""
    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP status {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return _name(error.reason)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
        return f"recipient refused, SMTP status {', '.join(map(str, codes))}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"SMTP status {error.smtp_code}"
    # Of the system, not of the server: "Connection refused".
    known = isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError)
    said = os.strerror(error.errno) if known and error.errno > 0 else ""  # type: ignore[attr-defined]
    return ": ".join(filter(None, (type(error).__name__, said)))


def _post(delivery: AlertDelivery) -> None:
    _refuse_address(delivery.address)
    body = json.dumps(delivery.payload, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "irisx-usage",
        "Idempotency-Key": delivery.idempotency_key,
        SIGNATURE: sign(delivery.secret or "", body, int(time.time())),
    }
    request = Request(delivery.address, data=body, headers=headers, method="POST")  # noqa: S310
    with _OPENER.open(request, timeout=TIMEOUT):
        pass  # Every 2xx is taken; what the receiver has to say is not ours to read.


def _refuse_address(address: str) -> None:
    """Raise ValueError for what is no web address, or is where cloud machines keep secrets."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https address")
    for *_, where in socket.getaddrinfo(parts.hostname, parts.port or 0, type=socket.SOCK_STREAM):
        found = ip_address(str(where[0]).partition("%")[0])
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        if found.is_link_local:
            raise ValueError("a link-local address")


def _compose(delivery: AlertDelivery, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = delivery.address
    message["Subject"] = describe(delivery.payload)
    message["Message-ID"] = f"<{delivery.idempotency_key}@{sender.rpartition('@')[2]}>"
    lines = (f"{name}: {value}" for name, value in delivery.payload.items() if value is not None)
    message.set_content("\n".join((describe(delivery.payload), "", *lines)))
    return message


def describe(payload: Mapping[str, Any]) -> str:
    """Return an alert in one line."""
    basis = {"included": "the included credit", "balance": "the balance", "cap": "the spend cap"}
    used = f"{payload['used']} {payload['currency']} used"
    if payload["basis"] == "amount":
        return f"Tenant {payload['tenant_id']}: {used}, the threshold is {payload['threshold']}"
    of = basis[payload["basis"]]
    return f"Tenant {payload['tenant_id']}: {payload['threshold']} % of {of} is used ({used})"
