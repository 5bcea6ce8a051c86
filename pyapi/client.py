"""The engine from Python: a method is one function call of schema ``billing``, its result typed.

Amounts and quantities are ``Decimal``, exact as PostgreSQL holds them: money in major units of the
tenant's currency, quantities in units of the resource. Days are ``date``, instants ``datetime``
with a time zone.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from threading import RLock
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, scalar_row, tuple_row
from psycopg.types.json import Jsonb, set_json_loads

from pyapi.connection import connect
from pyapi.errors import BadQuantityError, UnknownSourceError, translated

Number = Decimal | int | float | str


@dataclass(frozen=True)
class Period:
    """A billing period, first and last day both included, in the tenant's time zone."""

    period_start: date
    period_end: date


@dataclass(frozen=True)
class Usage:
    """What was used of one resource, and what it costs, exactly."""

    channel: str
    resource_type: str
    total_quantity: Decimal
    total_cost: Decimal
    record_count: int


@dataclass(frozen=True)
class UsageBucket:
    """What was used of one resource in the day, week or month that begins on ``bucket``."""

    bucket: date
    channel: str
    resource_type: str
    total_quantity: Decimal
    total_cost: Decimal
    record_count: int


@dataclass(frozen=True)
class Balance:
    """A tenant's money: remaining_credits = credit_balance - current_usage - reserved."""

    credit_balance: Decimal
    included_credits: Decimal
    current_usage: Decimal
    reserved: Decimal
    remaining_credits: Decimal


@dataclass(frozen=True)
class CreditEntry:
    """A movement of credit; balance: the sum after it; remaining: what is left, if it added."""

    id: int
    created_at: datetime
    kind: str
    reference: str
    amount: Decimal
    balance: Decimal
    remaining: Decimal | None
    priority: int | None
    expires_at: datetime | None


@dataclass(frozen=True)
class Limits:
    """What binds reservations and the allowance of a tenant; None: no limit."""

    tenant_id: int
    mode: str
    credit_limit: Decimal | None
    spend_cap: Decimal | None
    max_calls: int | None
    max_call_seconds: int
    throttle_below: Decimal | None


@dataclass(frozen=True)
class TenantAccess:
    """A role that sees a tenant; is_reader is None where there is no such role."""

    member: str
    tenant_id: int
    granted_by: str
    granted_at: datetime
    is_reader: bool | None


@dataclass(frozen=True)
class Alert:
    """A threshold that was crossed in a period, and how many targets took, get or refused it."""

    id: int
    tenant_id: int
    period_start: date
    basis: str
    threshold: Decimal
    used: Decimal
    total: Decimal | None
    currency: str
    created_at: datetime
    delivered: int
    waiting: int
    given_up: int


@dataclass(frozen=True)
class AlertDelivery:
    """An alert to be sent to one target, claimed for a while; attempt counts from 1."""

    tenant_id: int
    alert_id: int
    target_id: int
    attempt: int
    kind: str
    # Neither shows in a traceback or a log.
    address: str = field(repr=False)
    secret: str | None = field(repr=False)
    idempotency_key: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Quote:
    """What a quantity would cost; rate_id is the row of billing.pricing_rates that says so."""

    rate_id: int
    billed_quantity: Decimal
    unit_cost: Decimal
    total_cost: Decimal
    currency: str


@dataclass(frozen=True)
class CallQuote(Quote):
    """What a call would cost, and the seconds that its increments make of it."""

    billed_seconds: Decimal


@dataclass(frozen=True)
class Explanation:
    """A row of why something costs what it costs: what it adds, None where it is no amount.

    The amounts of all rows before the last add up to the last, the total.
    """

    step: int
    subject: str
    detail: str
    amount: Decimal | None


@dataclass(frozen=True)
class Invoice:
    """An invoice's header; status is draft, pending, paid, overdue or void."""

    id: int
    tenant_id: int
    invoice_number: str | None
    period_start: date
    period_end: date
    subtotal: Decimal
    tax: Decimal
    total_amount: Decimal
    currency: str
    status: str
    due_date: date | None
    finalized_at: datetime | None
    paid_at: datetime | None
    payment_method: str | None
    payment_reference: str | None
    notes: str | None
    created_at: datetime
    amount_paid: Decimal
    amount_credited: Decimal
    dunning_level: int
    void_reason: str | None


@dataclass(frozen=True)
class InvoiceLine:
    """One line of an invoice, its amount rounded to the currency's minor unit."""

    id: int
    invoice_id: int
    kind: str
    channel: str | None
    resource_type: str | None
    description: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal


@dataclass(frozen=True)
class InvoiceWithLines(Invoice):
    """An invoice and its lines."""

    lines: tuple[InvoiceLine, ...]


@dataclass(frozen=True)
class CreditNote:
    """What was taken back of an issued invoice; to_balance: the part that became credit."""

    id: int
    tenant_id: int
    invoice_id: int
    credit_note_number: str
    subtotal: Decimal
    tax: Decimal
    total_amount: Decimal
    to_balance: Decimal
    currency: str
    reason: str
    reference: str
    issued_at: datetime


@dataclass(frozen=True)
class RunOutcome:
    """What became of one billing period in a run over all tenants.

    outcome: issued, issued before, nothing to bill, open (not over, or in its grace period) or
    refused, and then reason says why.
    """

    tenant_id: int
    period_start: date
    period_end: date
    outcome: str
    invoice_id: int | None
    invoice_number: str | None
    total_amount: Decimal | None
    currency: str | None
    reason: str | None


@dataclass(frozen=True)
class ExplainedRecord:
    """A usage record behind a line of an invoice; the shares of all add up to the line."""

    record_id: int
    usage_date: date
    occurred_at: datetime
    channel: str
    resource_type: str
    resource_id: str
    destination: str | None
    kind: str
    quantity: Decimal
    unit_cost: Decimal
    total_cost: Decimal
    share: Decimal


@dataclass(frozen=True)
class TracedRecord:
    """What became of a usage record: open, invoiced, late or adjusted, and on which invoice."""

    tenant_id: int
    record_id: int
    usage_date: date
    resource_id: str
    total_cost: Decimal
    disposition: str
    invoice_id: int | None
    invoice_number: str | None
    line_id: int | None
    description: str | None


@dataclass(frozen=True)
class StatementLine:
    """What changed of a tenant's account; balance is what is open then."""

    happened_on: date
    event: str
    invoice_id: int | None
    document: str | None
    amount: Decimal
    to_credit: Decimal
    balance: Decimal
    currency: str


@dataclass(frozen=True)
class Aging:
    """What a tenant owes, by how long it has been due."""

    tenant_id: int
    currency: str
    invoices: int
    not_due: Decimal
    days_1_to_30: Decimal
    days_31_to_60: Decimal
    days_61_to_90: Decimal
    days_over_90: Decimal
    total_due: Decimal
    dunning_level: int


@dataclass(frozen=True)
class Backfill:
    """What a backfill did with the rows of one source table."""

    source_table: str
    scanned: int
    recorded: int
    already_recorded: int
    unrated: int


@dataclass(frozen=True)
class Reconciliation:
    """What a sweep did with one source table; busy: rows left alone, somebody was changing them."""

    source_table: str
    scanned: int
    repaired: int
    unrated: int
    busy: int


@dataclass(frozen=True)
class SweptBatch:
    """What one batch of a sweep did; done: how much of its table is behind it, from 0 to 1."""

    source_table: str
    done: float
    scanned: int
    deserving: int
    recorded: int
    unrated: int
    busy: int


@dataclass(frozen=True)
class _Batch:
    until_id: int | None
    scanned: int
    deserving: int
    recorded: int
    unrated: int
    busy: list[int]


@dataclass(frozen=True)
class _Loaded:
    until_id: int | None
    scanned: int
    recorded: int
    unrated: int


@dataclass(frozen=True)
class Housekeeping:
    """How much of one task a round of housekeeping has done; is_more: as much as one may do."""

    task: str
    done: int
    is_more: bool


@dataclass(frozen=True)
class StoredRow:
    """A row that holds somebody's number or address; fractions in content are Decimal."""

    table_name: str
    tenant_id: int | None
    content: dict[str, Any]


@dataclass(frozen=True)
class Forgotten:
    """Rows of a table that a number was taken out of, and those where it stays.

    kept: rows whose key an application still uses; None: a file that was not looked into.
    """

    table_name: str
    changed: int
    kept: int | None
    is_more: bool


@dataclass(frozen=True)
class Retention:
    """How long rows of a table are kept after they are done with; None: for ever."""

    table_name: str
    keep: timedelta | None


@dataclass(frozen=True)
class DistributionStep:
    """A step of sharding by tenant; statement: None where it is not one statement."""

    step: int
    object_name: str
    becomes: str
    statement: str | None
    reason: str


@dataclass(frozen=True)
class SimulatedLine:
    """One line of the invoice that a tenant would have had for a period on another plan."""

    tenant_id: int
    period_start: date
    kind: str
    channel: str | None
    resource_type: str | None
    description: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class ReratedCharge:
    """A charge that a re-rating changes; problem says why there is no new price, else None."""

    tenant_id: int
    record_id: int
    usage_date: date
    channel: str | None
    resource_type: str | None
    resource_id: str | None
    quantity: Decimal | None
    old_rate_id: int
    new_rate_id: int | None
    old_cost: Decimal
    new_cost: Decimal | None
    difference: Decimal | None
    problem: str | None
    new_record_id: int | None


@dataclass(frozen=True)
class Violation:
    """One invariant that does not hold."""

    check_name: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Act:
    """An administrative act. key: the row; via: the function called, None for one by hand.

    Fractions in old_values and new_values are Decimal.
    """

    id: int
    at: datetime
    login: str
    role: str
    application: str | None
    client: str | None
    action: str
    via: str | None
    object: str
    key: str | None
    tenant_id: int | None
    row_count: int
    old_values: dict[str, Any] | None
    new_values: dict[str, Any] | None
    reason: str | None


@dataclass(frozen=True)
class SealHead:
    """The last seal; chain_hash, in hexadecimal, stands for all of them."""

    seal_id: int
    chain_hash: str
    sealed_at: datetime
    records: int


@dataclass(frozen=True)
class VerifyCheck:
    """An invariant that verify checks, and what to do where it is broken."""

    check_name: str
    promise: str
    what_to_do: str


@dataclass(frozen=True)
class Health:
    """One figure that an operator watches; value None: not known, for what never ran."""

    metric: str
    subject: str
    value: Decimal | None
    unit: str
    is_ok: bool
    hint: str


@dataclass(frozen=True)
class Rate:
    """A price on a rate card, as billing.pricing_rates has it."""

    id: int
    channel: str
    resource_type: str
    prefix: str
    unit_price: Decimal
    connection_fee: Decimal
    initial_increment: Decimal
    billing_increment: Decimal
    minimum_charge: Decimal
    charge_model: str
    currency: str
    effective_from: datetime
    effective_until: datetime | None
    description: str | None


@dataclass(frozen=True)
class RateChange:
    """What a line of a rate deck changes, or what becomes of a price that the deck leaves out.

    action: added, changed, unchanged, ended, rejected, conflict or withdrawn.
    """

    action: str
    line: int | None
    prefix: str | None
    old_price: Decimal | None
    new_price: Decimal | None
    reason: str | None
    rate_id: int | None


@dataclass(frozen=True)
class DeckRate:
    """A price as a line of a rate deck; prefix ``*`` is every destination."""

    prefix: str
    band: str
    unit_price: Decimal
    connection_fee: Decimal
    initial_increment: Decimal
    billing_increment: Decimal
    minimum_charge: Decimal
    description: str | None


@dataclass(frozen=True)
class RateDifference:
    """A price that differs between two instants: added, changed or ended."""

    action: str
    channel: str
    resource_type: str
    prefix: str
    old_price: Decimal | None
    new_price: Decimal | None
    reason: str | None
    old_rate_id: int | None
    new_rate_id: int | None


@dataclass(frozen=True)
class RateGap:
    """A time in which a prefix that had a price has none; steps_in: the shorter one that holds."""

    channel: str
    resource_type: str
    prefix: str
    gap_from: datetime
    gap_until: datetime | None
    steps_in: str | None
    rate_id: int | None


Row = TypeVar("Row")

_load_json = partial(json.loads, parse_float=Decimal)


class Client:
    """The engine of one database.

    Given an address, the client connects on first use, in autocommit mode, and is a context
    manager that closes; after that connection was lost, the next call makes another. Given a
    connection, it works in that connection's transaction, and never commits, rolls back or closes.
    Threads that share a client take turns, and each as_tenant is one turn.

    An argument left None is not sent: the SQL function's own default holds. Every method raises
    UsageError or one of its subclasses, see pyapi.errors.
    """

    def __init__(self, conninfo_or_connection: str | psycopg.Connection[Any] = "") -> None:
        self._conninfo: str | None = None
        self._connection: psycopg.Connection[Any] | None = None
        # Another thread's query within as_tenant would be that tenant's.
        self._turn = RLock()
        if isinstance(conninfo_or_connection, str):
            self._conninfo = conninfo_or_connection
        else:
            self._connection = conninfo_or_connection

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection that this client opened; one that it was given stays open."""
        if self._conninfo is not None and self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def as_tenant(self, tenant_id: int) -> Iterator[Client]:
        """Become a reader of one tenant, who sees no other, for as long as the context lasts.

        For what an API does for a request: one transaction, after which the connection is what it
        was, and may serve the next. Its role has to be one that was granted billing_api.
        """
        with self._turn, translated():
            connection = self._connected()
            with connection.transaction():
                before = connection.execute(
                    "SELECT current_setting('role'), current_setting('billing.tenant_id', true)"
                ).fetchone()
                _set_locally(connection, "billing_tenant", str(tenant_id))
                yield Client(connection)
                # Within a transaction of the caller's own nothing ends here.
                role, tenant = before or ("none", None)
                _set_locally(connection, role, tenant or "")

    # Reading

    def billing_period(self, tenant_id: int, as_of: datetime | None = None) -> Period:
        """Return the billing period that holds as_of, by default now."""
        return self._one(Period, "get_billing_period", p_tenant_id=tenant_id, p_as_of=as_of)

    def current_period_usage(self, tenant_id: int, as_of: datetime | None = None) -> list[Usage]:
        """Return the usage of the period that holds as_of, by default now, per resource."""
        return self._all(Usage, "get_current_period_usage", p_tenant_id=tenant_id, p_as_of=as_of)

    def usage_history(
        self, tenant_id: int, start: date, end: date, interval: str = "day"
    ) -> list[UsageBucket]:
        """Return the usage from start to end, both included, per interval: day, week or month."""
        return self._all(
            UsageBucket,
            "get_usage_history",
            p_tenant_id=tenant_id,
            p_from=start,
            p_to=end,
            p_interval=interval,
        )

    def balance(self, tenant_id: int, as_of: datetime | None = None) -> Balance:
        """Return what the tenant has, uses and has left, by default now."""
        return self._one(Balance, "get_tenant_balance", p_tenant_id=tenant_id, p_as_of=as_of)

    def end_of_day(self, tenant_id: int, of: date) -> datetime:
        """Return the last instant of a day in the tenant's zone, for the balance as of it."""
        found: datetime = self._scalar("end_of_day", p_tenant_id=tenant_id, p_day=of)
        return found

    def allowance(self, tenant_id: int) -> Decimal:
        """Return what share of its normal rate the tenant should be allowed, from 0 to 1."""
        found: Decimal = self._scalar("allowance", p_tenant_id=tenant_id)
        return found

    def credit_entries(self, tenant_id: int, limit: int = 100) -> list[CreditEntry]:
        """Return the tenant's latest entries, latest first."""
        return self._all(CreditEntry, "list_credit_entries", p_tenant_id=tenant_id, p_limit=limit)

    def alerts(self, tenant_id: int | None = None, limit: int = 100) -> list[Alert]:
        """Return the latest alerts, latest first, of one tenant or of all."""
        return self._all(Alert, "list_alerts", p_tenant_id=tenant_id, p_limit=limit)

    def quote(
        self,
        tenant_id: int,
        channel: str,
        resource_type: str,
        quantity: Number,
        destination: str | None = None,
        at: datetime | None = None,
    ) -> Quote:
        """Return what a quantity, in units of the resource, would cost at an instant."""
        return self._one(
            Quote,
            "quote",
            p_tenant_id=tenant_id,
            p_channel=channel,
            p_resource_type=resource_type,
            p_quantity=_exact(quantity),
            p_destination=destination,
            p_at=at,
        )

    def quote_call(
        self, tenant_id: int, to_number: str, seconds: Number, at: datetime | None = None
    ) -> CallQuote:
        """Return what a call of so many seconds to an E.164 number would cost at an instant."""
        return self._one(
            CallQuote,
            "quote_call",
            p_tenant_id=tenant_id,
            p_to_number=to_number,
            p_seconds=_exact(seconds),
            p_at=at,
        )

    def explain_quote(
        self,
        tenant_id: int,
        channel: str,
        resource_type: str,
        quantity: Number,
        destination: str | None = None,
        at: datetime | None = None,
    ) -> list[Explanation]:
        """Return why a quantity would cost what quote says, in rows to be read in order."""
        return self._all(
            Explanation,
            "explain_quote",
            p_tenant_id=tenant_id,
            p_channel=channel,
            p_resource_type=resource_type,
            p_quantity=_exact(quantity),
            p_destination=destination,
            p_at=at,
        )

    def explain_quote_call(
        self, tenant_id: int, to_number: str, seconds: Number, at: datetime | None = None
    ) -> list[Explanation]:
        """Return why a call would cost what quote_call says, in rows to be read in order."""
        return self._all(
            Explanation,
            "explain_quote_call",
            p_tenant_id=tenant_id,
            p_to_number=to_number,
            p_seconds=_exact(seconds),
            p_at=at,
        )

    def explain_rating(self, record_id: int, tenant_id: int | None = None) -> list[Explanation]:
        """Return why a usage record costs what it costs, in rows to be read in order.

        Without its tenant, the record is looked for in all months. Raises UnknownSourceError.
        """
        return self._all(
            Explanation, "explain_rating", p_record_id=record_id, p_tenant_id=tenant_id
        )

    def invoices(self, tenant_id: int, status: str | None = None, limit: int = 50) -> list[Invoice]:
        """Return the tenant's latest invoices, of one status or of all."""
        return self._all(
            Invoice, "get_invoices", p_tenant_id=tenant_id, p_status=status, p_limit=limit
        )

    def invoice(self, invoice_id: int) -> InvoiceWithLines:
        """Return one invoice with its lines. Raises UnknownSourceError when there is none."""
        found = self._all(Invoice, "get_invoice", p_invoice_id=invoice_id)
        if not found:
            raise UnknownSourceError(
                "unknown invoice",
                detail=f"There is no invoice {invoice_id}, or none that this role may see.",
                hint="a tenant's are listed by: irisx-usage invoices TENANT",
            )
        lines = self._all(InvoiceLine, "get_invoice_lines", p_invoice_id=invoice_id)
        return InvoiceWithLines(**vars(found[0]), lines=tuple(lines))

    def credit_note(self, credit_note_id: int) -> CreditNote:
        """Return one credit note. Raises UnknownSourceError when there is none."""
        return self._one(CreditNote, "get_credit_note", p_credit_note_id=credit_note_id)

    def explain_invoice_line(self, line_id: int) -> list[ExplainedRecord]:
        """Return every usage record behind a line and its share, which add up to the line."""
        return self._all(ExplainedRecord, "explain_invoice_line", p_line_id=line_id)

    def trace_record(self, record_id: int, tenant_id: int | None = None) -> list[TracedRecord]:
        """Return what became of a usage record, one row, or none when there is no such record."""
        return self._all(TracedRecord, "trace_record", p_record_id=record_id, p_tenant_id=tenant_id)

    def statement(self, tenant_id: int, start: date, end: date) -> list[StatementLine]:
        """Return the tenant's statement of account from start to end, both included."""
        return self._all(
            StatementLine, "get_statement", p_tenant_id=tenant_id, p_from=start, p_to=end
        )

    def aging(self, as_of: date | None = None) -> list[Aging]:
        """Return what tenants owe, by how long it has been due by as_of, by default today."""
        return self._all(Aging, "get_aging", p_as_of=as_of)

    def simulate_plan(
        self, tenant_id: int | None, plan: str, start: date, end: date
    ) -> list[SimulatedLine]:
        """Return what the usage of the periods that start to end touch would cost on a plan.

        tenant_id: None for every tenant in the plan's currency.
        """
        call = "simulate_plan(%(tenant)s, %(plan)s, %(start)s, %(end)s)"
        columns = ", ".join(field.name for field in fields(SimulatedLine))
        return self._execute(
            f"SELECT {columns} FROM billing.{call}",
            {"tenant": tenant_id, "plan": plan, "start": start, "end": end},
            class_row(SimulatedLine),
        )

    def rerating(self, proposal_id: int) -> list[ReratedCharge]:
        """Return each charge that a re-rating changes, and its new record once applied."""
        return self._all(ReratedCharge, "get_rerating", p_proposal_id=proposal_id)

    def verify(self, start: date | None = None, end: date | None = None) -> list[Violation]:
        """Return every invariant that does not hold: an empty list is a healthy database.

        With days, both included, only what is of those days is checked.
        """
        return self._all(Violation, "verify", p_from=start, p_to=end)

    def verify_seal_head(self, chain_hash: str) -> list[Violation]:
        """Return a violation when no seal has this hash, which was kept elsewhere."""
        return self._all(Violation, "verify_seal_head", p_hash=chain_hash)

    def acts(
        self,
        since: datetime | None = None,
        tenant_id: int | None = None,
        action: str | None = None,
        limit: int = 100,
    ) -> list[Act]:
        """Return administrative acts, the latest first.

        action: an action, a function of billing, or a table.
        """
        return self._all(
            Act,
            "list_acts",
            p_since=since,
            p_tenant_id=tenant_id,
            p_action=action,
            p_limit=limit,
        )

    def verify_checks(self) -> list[VerifyCheck]:
        """Return what verify checks, and what to do where it finds something."""
        return self._view(VerifyCheck, "verify_checks")

    def health(self) -> list[Health]:
        """Return the figures that an operator watches."""
        return self._view(Health, "usage_health")

    def rates(
        self,
        card: str,
        channel: str | None = None,
        resource_type: str | None = None,
        prefix: str | None = None,
        at: datetime | None = None,
    ) -> list[Rate]:
        """Return the prices in force, by default now, on a card: default, plan:NAME, tenant:ID."""
        return self._all(
            Rate,
            "list_rates",
            p_card=card,
            p_channel=channel,
            p_resource_type=resource_type,
            p_prefix=prefix,
            p_at=at,
        )

    def export_deck(
        self, card: str, channel: str, resource_type: str, at: datetime | None = None
    ) -> list[DeckRate]:
        """Return the prices in force, by default now, as import_deck takes them."""
        return self._all(
            DeckRate,
            "export_deck",
            p_card=card,
            p_channel=channel,
            p_resource_type=resource_type,
            p_at=at,
        )

    def rate_differences(
        self,
        card: str,
        start: datetime,
        end: datetime,
        channel: str | None = None,
        resource_type: str | None = None,
    ) -> list[RateDifference]:
        """Return how the prices of a card in force at end differ from those at start."""
        return self._all(
            RateDifference,
            "diff_rates",
            p_card=card,
            p_from=start,
            p_to=end,
            p_channel=channel,
            p_resource_type=resource_type,
        )

    def rate_gaps(
        self,
        card: str,
        channel: str | None = None,
        resource_type: str | None = None,
        since: datetime | None = None,
    ) -> list[RateGap]:
        """Return when prefixes of a card had no price of their own, though they had one before."""
        return self._all(
            RateGap,
            "find_rate_gaps",
            p_card=card,
            p_channel=channel,
            p_resource_type=resource_type,
            p_since=since,
        )

    def compare_deck(
        self,
        lines: Sequence[Mapping[str, Any]],
        card: str,
        channel: str,
        resource_type: str,
        effective_from: datetime,
        **options: Any,
    ) -> list[RateChange]:
        """Return what a deck would change; options are billing.compare_deck's, without ``p_``."""
        return self._all(
            RateChange,
            "compare_deck",
            p_lines=Jsonb(lines),
            p_card=card,
            p_channel=channel,
            p_resource_type=resource_type,
            p_effective_from=effective_from,
            **{f"p_{name}": value for name, value in options.items()},
        )

    # Writing; each safe to repeat

    def import_deck(
        self,
        lines: Sequence[Mapping[str, Any]],
        card: str,
        channel: str,
        resource_type: str,
        effective_from: datetime,
        **options: Any,
    ) -> list[RateChange]:
        """Put a deck in force and return what changed; options are billing.import_deck's.

        Raises BadTermsError for bad lines and OverlappingRateError for prices that begin later;
        nothing is written then, and compare_deck lists them all.
        """
        return self._all(
            RateChange,
            "import_deck",
            p_lines=Jsonb(lines),
            p_card=card,
            p_channel=channel,
            p_resource_type=resource_type,
            p_effective_from=effective_from,
            **{f"p_{name}": value for name, value in options.items()},
        )

    def record_usage(
        self,
        tenant_id: int,
        channel: str,
        resource_type: str,
        resource_id: str,
        quantity: Number,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
    ) -> int:
        """Record a quantity of a resource and return the record's id.

        The same resource_id again returns the same id; with other figures it raises
        ResourceConflictError.
        """
        return int(
            self._scalar(
                "record_usage",
                p_tenant_id=tenant_id,
                p_channel=channel,
                p_resource_type=resource_type,
                p_resource_id=resource_id,
                p_quantity=_exact(quantity),
                p_metadata=None if metadata is None else Jsonb(dict(metadata)),
                p_occurred_at=occurred_at,
            )
        )

    def grant_credit(
        self,
        tenant_id: int,
        amount: Number,
        kind: str,
        reference: str,
        expires_at: datetime | None = None,
        priority: int | None = None,
    ) -> int:
        """Grant credit and return the entry's id; the same reference again, the same id."""
        return int(
            self._scalar(
                "grant_credit",
                p_tenant_id=tenant_id,
                p_amount=_exact(amount),
                p_kind=kind,
                p_reference=reference,
                p_expires_at=expires_at,
                p_priority=priority,
            )
        )

    def reserve_call(
        self, tenant_id: int, to_number: str, key: str, seconds: int | None = None
    ) -> int:
        """Hold the money for a call and return the seconds it pays for; 0: refuse the call.

        key: the call_sid, by which the call's own completion settles it. The same key again
        returns the same; with other terms it raises ResourceConflictError.
        """
        return int(
            self._scalar(
                "reserve_call",
                p_tenant_id=tenant_id,
                p_to_number=to_number,
                p_key=key,
                p_seconds=seconds,
            )
        )

    def reserve_usage(
        self,
        tenant_id: int,
        channel: str,
        resource_type: str,
        quantity: Number,
        key: str,
        destination: str | None = None,
    ) -> Decimal:
        """Hold the money for a quantity and return it, or 0 where the balance does not pay it."""
        granted: Decimal = self._scalar(
            "reserve_usage",
            p_tenant_id=tenant_id,
            p_channel=channel,
            p_resource_type=resource_type,
            p_quantity=_exact(quantity),
            p_key=key,
            p_destination=destination,
        )
        return granted

    def release_reservation(self, key: str, tenant_id: int | None = None) -> bool:
        """Let go of what is held under a key; False where it had ended before."""
        return bool(self._scalar("release_reservation", p_key=key, p_tenant_id=tenant_id))

    def set_limits(
        self,
        tenant_id: int,
        mode: str = "prepaid",
        *,
        credit_limit: Number | None = None,
        spend_cap: Number | None = None,
        max_calls: int | None = None,
        max_call_seconds: int | None = None,
        throttle_below: Number | None = None,
    ) -> Limits:
        """Set all limits of a tenant, effective at once; None: not limited."""
        return self._one(
            Limits,
            "set_tenant_limits",
            p_tenant_id=tenant_id,
            p_mode=mode,
            p_credit_limit=None if credit_limit is None else _exact(credit_limit),
            p_spend_cap=None if spend_cap is None else _exact(spend_cap),
            p_max_calls=max_calls,
            p_max_call_seconds=max_call_seconds,
            p_throttle_below=None if throttle_below is None else _exact(throttle_below),
        )

    def grant_tenant_access(self, member: str, tenant_id: int) -> bool:
        """Let a role see a tenant; whether it did not before."""
        is_new: bool = self._scalar("grant_tenant_access", p_member=member, p_tenant_id=tenant_id)
        return is_new

    def revoke_tenant_access(self, member: str, tenant_id: int | None = None) -> int:
        """Let a role no longer see a tenant, or any of them; how many it saw."""
        count: int = self._scalar("revoke_tenant_access", p_member=member, p_tenant_id=tenant_id)
        return count

    def tenant_access(self) -> list[TenantAccess]:
        """Return which role was given which tenant."""
        return self._all(TenantAccess, "list_tenant_access")

    def set_alert_threshold(
        self, tenant_id: int, basis: str, threshold: Number, is_wanted: bool = True
    ) -> None:
        """Have a tenant told once a period; basis: included, balance, cap (percent) or amount."""
        self._scalar(
            "set_alert_threshold",
            p_tenant_id=tenant_id,
            p_basis=basis,
            p_threshold=_exact(threshold),
            p_is_wanted=is_wanted,
        )

    def set_alert_target(
        self,
        tenant_id: int,
        kind: str,
        address: str,
        secret: str | None = None,
        is_active: bool = True,
    ) -> int:
        """Send a tenant's alerts to a URL (webhook, with its secret) or an email address."""
        return int(
            self._scalar(
                "set_alert_target",
                p_tenant_id=tenant_id,
                p_kind=kind,
                p_address=address,
                p_secret=secret,
                p_is_active=is_active,
            )
        )

    def claim_deliveries(self, limit: int = 20) -> list[AlertDelivery]:
        """Take deliveries that are due, for two minutes, and return them."""
        return self._all(AlertDelivery, "claim_deliveries", p_limit=limit)

    def finish_delivery(
        self, delivery: AlertDelivery, error: str | None = None, max_attempts: int = 10
    ) -> datetime | None:
        """Say how a delivery went and return when it is tried again, or None."""
        found: datetime | None = self._scalar(
            "finish_delivery",
            p_tenant_id=delivery.tenant_id,
            p_alert_id=delivery.alert_id,
            p_target_id=delivery.target_id,
            p_attempt=delivery.attempt,
            p_error=error,
            p_max_attempts=max_attempts,
        )
        return found

    def generate_invoice(self, tenant_id: int, period_start: date) -> int:
        """Write the draft invoice of the period that starts on a day, and return its id."""
        return int(
            self._scalar("generate_invoice", p_tenant_id=tenant_id, p_period_start=period_start)
        )

    def finalize_invoice(self, invoice_id: int, expected_total: Number | None = None) -> int:
        """Issue a draft and return its id; with a total, only when it comes to that.

        Raises PeriodError before its period is over or while its usage is not sound, and
        InvoiceStateError.
        """
        return int(
            self._scalar(
                "finalize_invoice",
                p_invoice_id=invoice_id,
                p_expected_total=None if expected_total is None else _exact(expected_total),
            )
        )

    def void_invoice(self, invoice_id: int, reason: str) -> int:
        """Take an invoice back as a whole; raises InvoiceStateError when it was paid."""
        return int(self._scalar("void_invoice", p_invoice_id=invoice_id, p_reason=reason))

    def record_payment(
        self,
        invoice_id: int,
        amount: Number,
        method: str,
        reference: str,
        currency: str | None = None,
    ) -> int:
        """Enter money received and return the payment's id; the same reference, the same id."""
        return int(
            self._scalar(
                "record_payment",
                p_invoice_id=invoice_id,
                p_amount=_exact(amount),
                p_method=method,
                p_reference=reference,
                p_currency=currency,
            )
        )

    def refund_payment(self, payment_id: int, amount: Number, reference: str) -> int:
        """Enter that money was paid back, out of credit, and return the refund's id."""
        return int(
            self._scalar(
                "refund_payment",
                p_payment_id=payment_id,
                p_amount=_exact(amount),
                p_reference=reference,
            )
        )

    def issue_credit_note(
        self, invoice_id: int, amount: Number, reason: str, reference: str | None = None
    ) -> int:
        """Take a part of an issued invoice back and return the credit note's id."""
        return int(
            self._scalar(
                "issue_credit_note",
                p_invoice_id=invoice_id,
                p_amount=_exact(amount),
                p_reason=reason,
                p_reference=reference,
            )
        )

    def hold_unsound_tenants(self, start: date, end: date) -> int:
        """Verify those days and hold the invoices of tenants whose usage fails; how many are."""
        return int(self._scalar("hold_unsound_tenants", p_from=start, p_to=end))

    def run_invoices(
        self, month: date, *, batch: int = 500
    ) -> Iterator[tuple[int, int, list[RunOutcome]]]:
        """Issue what is due in a month for all tenants, batch by batch.

        Yields, after each batch, how many tenants are done, how many there are, and what became of
        the batch's periods. On an autocommit connection each batch is committed on its own.
        """
        # Not from the application's table, which billing_admin need not be able to read.
        tenants = self._execute(
            "SELECT tenant_id FROM billing.read_tenants(NULL, false) ORDER BY tenant_id",
            {},
            scalar_row,
        )
        done = 0
        while done < len(tenants):
            page = tenants[done : done + batch]
            outcomes = self._all(
                RunOutcome,
                "run_invoices",
                p_month=month,
                p_after=page[0] - 1,
                p_limit=len(page),
            )
            # Not so many further: tenants that came since, or went, are counted by the function.
            last = max((outcome.tenant_id for outcome in outcomes), default=page[-1])
            done = bisect_right(tenants, last)
            yield done, len(tenants), outcomes

    def mark_overdue(self) -> int:
        """Make unpaid invoices overdue and raise their dunning level; how many."""
        return int(self._scalar("mark_overdue"))

    def propose_rerating(self, start: date, end: date, tenant_id: int | None = None) -> int:
        """Keep what the prices entered by now would change in those days; the proposal's id."""
        return int(self._scalar("propose_rerating", p_from=start, p_to=end, p_tenant_id=tenant_id))

    def apply_rerating(self, proposal_id: int) -> int:
        """Replace the charges of a proposal, once, and return how many they are."""
        return int(self._scalar("apply_rerating", p_proposal_id=proposal_id))

    def backfill(self, start: date, end: date) -> list[Backfill]:
        """Bring to account the rows of existing days, start to end, both included.

        The partitions of months that have usage are made first, on an autocommit connection each in
        a transaction of its own.
        """
        self._ensure_partitions(start, end)
        return self._all(Backfill, "backfill_usage", p_from=start, p_to=end)

    def reconcile(self, start: date, end: date) -> list[Reconciliation]:
        """Repair what got past the triggers in those days, both included, in one transaction."""
        return self._all(Reconciliation, "reconcile", p_from=start, p_to=end)

    def sweep(
        self, start: date, end: date, *, with_history: bool = False, by_month: bool = False
    ) -> Iterator[SweptBatch]:
        """Do what reconcile does, or with_history what backfill does, batch by batch.

        On an autocommit connection each batch is committed on its own. Interrupted and begun again,
        a sweep passes over what is recorded already; nothing is billed twice. Rows that somebody is
        changing are tried once more in the end of their table, and are busy when they still are.

        by_month: whole months that are over and have no records yet are filled as tables of their
        own, which get their indexes in the end. Usage of them that somebody changes meanwhile is
        set aside until then.
        """
        (started,) = self._execute("SELECT clock_timestamp()", {}, scalar_row)
        tables = self._execute(
            "SELECT source_table FROM billing.metered_tables"
            " WHERE billing.is_readable(source_table) ORDER BY 1",
            {},
            scalar_row,
        )
        recorded = 0
        spans = [(start, end)]
        if by_month:
            spans = []
            for part in self._load_months(tables, start, end):
                if isinstance(part, SweptBatch):
                    recorded += part.recorded
                    yield part
                else:
                    spans.append(part)
        for first, last in spans:
            if with_history:
                self._ensure_partitions(first, last)
            for table in tables:
                for batch in self._sweep_table(table, first, last, with_history):
                    recorded += batch.recorded
                    yield batch
        self._scalar(
            "note_run",
            p_task="backfill" if with_history else "reconcile",
            p_started_at=started,
            p_from=start,
            p_to=end,
            p_found=recorded,
        )

    def _ensure_partitions(self, start: date, end: date) -> None:
        call, values = _call("list_used_months", {"p_from": start, "p_to": end})
        for month in self._execute(f"SELECT {call}", values, scalar_row):
            # Others wait for the attaching of one until it is committed.
            self._scalar("ensure_partition", p_month=month)

    def _load_months(
        self, tables: list[str], start: date, end: date
    ) -> Iterator[SweptBatch | tuple[date, date]]:
        """Load whole months of the window; yield the batches, and the days that are left to sweep.

        Where the rows of each month are is found in one reading of each table.
        """
        ranges: dict[date, dict[str, list[int]]] = {}
        is_measured = True
        for table in tables:
            call, values = _call("day_ids", {"p_source_table": table, "p_from": start, "p_to": end})
            days = self._execute(f"SELECT day, first_id, last_id FROM {call}", values, tuple_row)
            for day, first, last in days:
                if day is None:
                    is_measured = False
                    continue
                # A day in UTC is of two months where zones differ.
                for month in {(day + timedelta(days=n)).replace(day=1) for n in (-1, 1)}:
                    known = ranges.setdefault(month, {}).setdefault(table, [first, last])
                    known[:] = min(known[0], first), max(known[1], last)
        since = start
        for month in sorted(ranges):
            after = (month + timedelta(days=32)).replace(day=1)
            if month < start or after > end + timedelta(days=1):
                continue
            if not self._scalar("begin_load", p_month=month, p_ranges=Jsonb(ranges[month])):
                continue
            if since < month:
                yield since, month - timedelta(days=1)
            for table, (first, last) in ranges[month].items():
                yield from self._load_table(month, table, first, last)
            # By itself, for to attach the month may have to be tried once more.
            self._execute(
                "SELECT billing.index_month_table(table_name) FROM billing.detached_months"
                " WHERE month = %(month)s",
                {"month": month},
                tuple_row,
            )
            is_partial = self._scalar("finish_load", p_month=month)
            since = month if is_partial else after
        if not is_measured:
            # Rows that may be of any day are set aside by whoever looks at all of them.
            yield start, end
        elif since <= end:
            yield since, end

    def _load_table(self, month: date, table: str, first: int, last: int) -> Iterator[SweptBatch]:
        while True:
            batch = self._one(_Loaded, "load_rows", p_month=month, p_source_table=table)
            if batch.until_id is None:
                return
            done = (batch.until_id - first + 1) / (last - first + 1)
            figures = (batch.scanned, batch.scanned, batch.recorded, batch.unrated)
            yield SweptBatch(table, min(done, 1.0), *figures, 0)

    def _sweep_table(
        self, table: str, start: date, end: date, with_history: bool
    ) -> Iterator[SweptBatch]:
        days = {"p_source_table": table, "p_from": start, "p_to": end}
        call, values = _call("window_ids", days)
        ((first, last),) = self._execute(f"SELECT first_id, last_id FROM {call}", values, tuple_row)

        def sweep(after: int, until: int) -> _Batch:
            return self._one(
                _Batch,
                "sweep_rows",
                **days,
                p_after=after,
                p_last=until,
                p_with_history=with_history,
            )

        if first is None:
            yield SweptBatch(table, 1, 0, 0, 0, 0, 0)
            return
        left: list[int] = []
        batch = sweep(first - 1, last)
        while batch.until_id is not None:
            left += batch.busy
            done = (batch.until_id - first + 1) / (last - first + 1)
            figures = (batch.scanned, batch.deserving, batch.recorded, batch.unrated)
            yield SweptBatch(table, done, *figures, 0)
            batch = sweep(batch.until_id, last)
        for row_id in left:
            again = sweep(row_id - 1, row_id)
            # Scanned and counted before; what is new is what was recorded.
            yield SweptBatch(table, 1, 0, 0, again.recorded, again.unrated, len(again.busy))

    def run_verify(self, start: date | None = None, end: date | None = None) -> list[Violation]:
        """Return what verify returns, and leave its result for usage_health."""
        return self._all(Violation, "run_verify", p_from=start, p_to=end)

    def seal(self, limit: int = 100_000) -> int:
        """Seal what was written since the last seals, up to a limit; return how many records."""
        return int(self._scalar("seal", p_limit=limit))

    def seal_head(self) -> SealHead | None:
        """Return the last seal, or None when nothing is sealed."""
        return next(iter(self._all(SealHead, "get_seal_head")), None)

    def maintain(self) -> list[Housekeeping]:
        """Do one bounded round of housekeeping and return what was done, per task."""
        return self._all(Housekeeping, "maintain")

    def find_subject(self, number: str) -> list[StoredRow]:
        """Return every row that holds a number or address. Raises BadArgumentError."""
        return self._all(StoredRow, "find_subject", p_number=number)

    def forget_subject(
        self,
        number: str,
        mode: str,
        reason: str,
        *,
        with_sources: bool = False,
        dry_run: bool = False,
    ) -> list[Forgotten]:
        """Take a number or address out of what was recorded and return how many rows, per table.

        Commits part by part where the connection commits by itself; killed and called again, it
        goes on. dry_run: only counts. Raises BadArgumentError.
        """
        found: dict[str, Forgotten] = {}
        is_more = True
        while is_more:
            is_more = False
            for part in self._all(
                Forgotten,
                "forget_subject",
                p_number=number,
                p_mode=mode,
                p_reason=reason,
                p_with_sources=with_sources,
                p_dry_run=dry_run,
            ):
                before = found.get(part.table_name)
                kept = None if part.kept is None else part.kept + ((before and before.kept) or 0)
                changed = part.changed + (before.changed if before else 0)
                found[part.table_name] = Forgotten(part.table_name, changed, kept, part.is_more)
                is_more |= part.is_more
        return list(found.values())

    def retention(self) -> list[Retention]:
        """Return how long what is done with is kept."""
        return sorted(self._view(Retention, "retention"), key=lambda kept: kept.table_name)

    def set_retention(self, table_name: str, keep: timedelta | str | None) -> None:
        """Set how long; an interval as PostgreSQL reads it, None: for ever.

        Raises BadArgumentError.
        """
        query = "SELECT billing.set_retention(%(table_name)s, %(keep)s::interval)"
        self._execute(query, {"table_name": table_name, "keep": keep}, scalar_row)

    def plan_distribution(self) -> list[DistributionStep]:
        """Return what sharding this database by tenant on Citus takes."""
        return self._all(DistributionStep, "plan_distribution")

    def distribute(self) -> int:
        """Carry that out and return how many steps. Raises MissingExtensionError."""
        return int(self._scalar("distribute"))

    # One statement each

    def _all(self, row: type[Row], function: str, **arguments: object) -> list[Row]:
        # Columns by name, so that a function may gain some without breaking this client.
        columns = ", ".join(field.name for field in fields(row))  # type: ignore[arg-type]
        call, values = _call(function, arguments)
        return self._execute(f"SELECT {columns} FROM {call}", values, class_row(row))

    def _view(self, row: type[Row], view: str) -> list[Row]:
        columns = ", ".join(field.name for field in fields(row))  # type: ignore[arg-type]
        return self._execute(f"SELECT {columns} FROM billing.{view}", {}, class_row(row))

    def _one(self, row: type[Row], function: str, **arguments: object) -> Row:
        rows = self._all(row, function, **arguments)
        if not rows:
            # By their names: a value may be somebody's number.
            given = ", ".join(name for name, value in arguments.items() if value is not None)
            raise UnknownSourceError(f"billing.{function} found nothing for this {given}")
        return rows[0]

    def _scalar(self, function: str, **arguments: object) -> Any:
        call, values = _call(function, arguments)
        return self._execute(f"SELECT {call}", values, scalar_row)[0]

    def _execute(self, query: str, values: dict[str, object], row_factory: Any) -> list[Any]:
        # Integers without a type: one that is too large is then out of range, where a bigint would
        # be for a function that does not exist.
        given = {name: str(of) if type(of) is int else of for name, of in values.items()}
        with (
            self._turn,
            translated(),
            self._connected().cursor(row_factory=row_factory) as cursor,
        ):
            set_json_loads(_load_json, cursor)
            return cursor.execute(query.encode(), given).fetchall()

    def _connected(self) -> psycopg.Connection[Any]:
        connection = self._connection
        if connection is None or (self._conninfo is not None and connection.closed):
            connection = self._connection = connect(self._conninfo or "")
        return connection


def _set_locally(connection: psycopg.Connection[Any], role: str, tenant: str) -> None:
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('billing.tenant_id', %s, true)",
        [role, tenant],
    )


def _call(function: str, arguments: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    given = {name: value for name, value in arguments.items() if value is not None}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    return f"billing.{function}({named})", given


def _exact(value: Number) -> Decimal:
    # A float goes by its shortest text: 0.1 is a tenth, and not the nearest binary fraction.
    try:
        return value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise BadQuantityError("not a number") from None
