"""The judge: what is recorded, against what the committed rows deserve by the oracle.

Nothing of billing is asked that it could answer wrongly: rows that were deleted, terms that a
tenant had, and what was recorded by hand are remembered by triggers and functions of the
application's own, which roll back with everything else.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from campaigns import oracle
from campaigns.load import CounterExample

Connection = psycopg.Connection[tuple[Any, ...]]
Key = tuple[str, int]
"""calls or messages, and the row's id."""
Resource = tuple[int | None, str | None, str, str]

APPLICATION = """
-- Rows as they were when they were deleted, and when one came back under the same id.
CREATE SEQUENCE public.moments;
CREATE TABLE public.gone_calls AS
    SELECT *, 0::bigint AS moment, false AS is_back FROM public.calls WITH NO DATA;
CREATE TABLE public.gone_messages AS
    SELECT *, 0::bigint AS moment, false AS is_back FROM public.messages WITH NO DATA;
CREATE INDEX ON public.gone_calls (id);
CREATE INDEX ON public.gone_messages (id);
CREATE FUNCTION public.remember_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO public.gone_calls SELECT OLD.*, nextval('public.moments'), false;
    ELSIF EXISTS (SELECT FROM public.gone_calls AS g WHERE g.id = NEW.id) THEN
        INSERT INTO public.gone_calls SELECT NEW.*, nextval('public.moments'), true;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION public.remember_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO public.gone_messages SELECT OLD.*, nextval('public.moments'), false;
    ELSIF EXISTS (SELECT FROM public.gone_messages AS g WHERE g.id = NEW.id) THEN
        INSERT INTO public.gone_messages SELECT NEW.*, nextval('public.moments'), true;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT OR DELETE ON public.calls
    FOR EACH ROW EXECUTE FUNCTION public.remember_call();
CREATE TRIGGER remember AFTER INSERT OR DELETE ON public.messages
    FOR EACH ROW EXECUTE FUNCTION public.remember_message();

-- Before anything was billed, a change only sets the tenant up: since when is NULL then.
CREATE TABLE public.terms_held (
    number bigint GENERATED ALWAYS AS IDENTITY, tenant_id bigint, plan_id bigint, timezone text,
    currency text, since timestamptz
);
CREATE FUNCTION public.remember_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.terms_held (tenant_id, plan_id, timezone, currency, since)
    VALUES (NEW.id, NEW.plan_id, NEW.timezone, NEW.currency, CASE
        WHEN EXISTS (SELECT FROM billing.usage_records WHERE tenant_id = NEW.id) THEN now() END);
    RETURN NULL;
END $$;
CREATE TRIGGER remember_terms AFTER INSERT OR UPDATE ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.remember_terms();

CREATE TABLE public.by_hand (
    tenant_id bigint, channel text, resource_type text, resource_id text, quantity numeric,
    occurred_at timestamptz
);
-- What billing refuses, the application lets be.
CREATE FUNCTION public.record_by_hand(bigint, text, text, text, numeric, timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.record_usage($1, $2, $3, $4, $5, '{}', $6);
    INSERT INTO public.by_hand VALUES ($1, $2, $3, $4, $5, $6);
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE NOT LIKE 'UB%' THEN RAISE; END IF;
END $$;
CREATE FUNCTION public.record_again(p_table text, p_id bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_table = 'calls' THEN PERFORM billing.record_call_usage(p_id);
    ELSE PERFORM billing.record_message_usage(p_id); END IF;
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE NOT LIKE 'UB%' THEN RAISE; END IF;
END $$;
"""
"""What the application has besides its tables, to be run once in a migrated database."""

STANDING = """
SELECT source_table, source_id, tenant_id, channel, resource_type, resource_id, rate_id,
       amount, cost, usage_date, occurred_at, sum(sign)
  FROM (
    SELECT *, abs(COALESCE(seconds, quantity)) AS amount, abs(total_cost) AS cost,
           CASE kind WHEN 'charge' THEN 1 ELSE -1 END AS sign
      FROM billing.usage_records
  ) AS r
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
HAVING sum(sign) <> 0
"""
SUMMARIES = """
SELECT tenant_id, day, channel, resource_type,
       r.quantity, r.cost, r.count, s.quantity, s.cost, s.count
  FROM (
    SELECT tenant_id, usage_date AS day, channel, resource_type, sum(quantity) AS quantity,
           sum(total_cost) AS cost, sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) AS count
      FROM billing.usage_records GROUP BY 1, 2, 3, 4
  ) AS r
  FULL JOIN (
    SELECT tenant_id, summary_date AS day, channel, resource_type, total_quantity AS quantity,
           total_cost AS cost, record_count AS count
      FROM billing.usage_summaries
  ) AS s USING (tenant_id, day, channel, resource_type)
 WHERE (r.quantity, r.cost, r.count) IS DISTINCT FROM (s.quantity, s.cost, s.count)
"""

RESTORED = "worth nothing, under the id of a deleted, billed row"
RESTORED_ELSEWHERE = "that, and then worth something on another day or for another tenant"
BY_HAND_AFTER = "recorded by hand after its row was deleted"
BY_HAND_BESIDE = "recorded by hand while its finished row was being inserted"
UNSEEN = "past the triggers, and not yet swept"


@dataclass(frozen=True)
class Standing:
    """A charge that no reversal takes back; count is 1 unless something is wrong."""

    table: str | None
    row_id: int | None
    tenant_id: int
    channel: str
    resource_type: str
    resource_id: str
    rate_id: int
    amount: Decimal
    cost: Decimal
    day: dt.date
    at: dt.datetime
    count: int

    @property
    def resource(self) -> Resource:
        return self.tenant_id, self.channel, self.resource_type, self.resource_id


@dataclass
class Verdict:
    """What the judge found."""

    wrong: dict[Key | Resource, str] = field(default_factory=dict)
    known: dict[Key, str] = field(default_factory=dict)
    """Documented limits met; verify() must name each that concerns a row still there."""
    waiting: set[Key] = field(default_factory=set)
    """Rows that nobody can rate: verify() must name each."""
    judged: int = 0


class Judge:
    """Reads the database once; judge() then compares."""

    def __init__(
        self,
        db: Connection,
        limits: Container[str],
        *,
        unseen: Container[Key] = (),
        inserted: Container[Key] = (),
        is_racing: bool = False,
    ) -> None:
        """limits: those that may be met. unseen: rows that got past the triggers. inserted: rows
        that were inserted while others were at work. is_racing: prices of a tenant's own, and a
        change of its terms, were just coming when the usage did."""
        self.limits = limits
        self.unseen = unseen
        self.inserted = inserted
        rates, terms = oracle.read_rates(db), _read_terms(db)
        self.prices = [oracle.Prices(rates, terms)]
        if is_racing:
            earlier = [rate for rate in rates if rate.tenant_id is None]
            first = {tenant_id: held[:1] for tenant_id, held in terms.items()}
            self.prices += [
                oracle.Prices(earlier, terms),
                oracle.Prices(rates, first),
                oracle.Prices(earlier, first),
            ]
        self.now = _one(db, "SELECT clock_timestamp()")
        self.rows: dict[Key, oracle.Usage | None] = {}
        self.there: set[Key] = set()
        self.deleted: defaultdict[Key, list[oracle.Usage]] = defaultdict(list)
        """What rows were worth when they were deleted."""
        self.restored: set[Key] = set()
        """Ids under which, after that, a row came that was worth nothing."""
        for table, measure in oracle.DESERVED.items():
            gone = oracle.read_rows(db, f"gone_{table}")
            for row in sorted(gone, key=lambda row: int(row["moment"])):
                key, usage = (table, row["id"]), measure(row)
                if row["is_back"]:
                    if usage is None and key in self.deleted:
                        self.restored.add(key)
                    continue
                self.rows[key] = usage
                if usage is not None:
                    self.deleted[key].append(usage)
            for row in oracle.read_rows(db, table):
                self.rows[table, row["id"]] = measure(row)
                self.there.add((table, row["id"]))
        self.of_rows: defaultdict[Key, list[Standing]] = defaultdict(list)
        self.of_hands: defaultdict[Resource, list[Standing]] = defaultdict(list)
        for figures in db.execute(STANDING.encode()):
            entry = Standing(*figures)
            if entry.table is None or entry.row_id is None:
                self.of_hands[entry.resource].append(entry)
            else:
                self.of_rows[entry.table, entry.row_id].append(entry)
        self.by_hand: defaultdict[Resource, dict[Decimal, dt.datetime]] = defaultdict(dict)
        for *resource, quantity, at in db.execute("SELECT * FROM public.by_hand"):
            amount = quantity * 60 if resource[2] == "minute" else quantity
            self.by_hand[tuple(resource)].setdefault(amount, at)
        self.aside = set(
            db.execute(
                "SELECT source_table, source_id FROM billing.unrated_usage "
                "WHERE resolved_at IS NULL"
            )
        )
        self.summaries = db.execute(SUMMARIES.encode()).fetchall()

    def judge(self) -> Verdict:
        verdict = Verdict()
        linked: set[Resource] = set()
        for key in self.rows.keys() | self.of_rows.keys():
            usage = self.rows.get(key)
            standing = list(self.of_rows.get(key, ()))
            if usage is not None:
                resource = (
                    usage.tenant_id, usage.channel, usage.resource_type, usage.resource_id,
                )  # fmt: skip
                linked.add(resource)
                standing += self.of_hands.get(resource, ())
            self._judge_row(key, usage, standing, verdict)
        for resource in self.of_hands.keys() | self.by_hand.keys():
            if resource not in linked:
                self._judge_resource(resource, verdict)
        for tenant_id, *rest in self.summaries:
            verdict.wrong["summary of tenant", tenant_id] = str(rest)
        verdict.judged = len(self.rows) + len(self.by_hand)
        return verdict

    def _judge_row(
        self, key: Key, usage: oracle.Usage | None, standing: list[Standing], verdict: Verdict
    ) -> None:
        told = f"deserves {usage}, stands {standing}"
        if any(entry.count != 1 for entry in standing):
            verdict.wrong[key] = told
        elif usage is None:
            if standing and self._was_restored(key, standing):
                self._meet(RESTORED, key, told, verdict)
            elif key in self.aside and key in self.deleted and key not in self.there:
                verdict.waiting.add(key)  # For one that had its id before, and was never rated.
            elif standing or key in self.aside:
                verdict.wrong[key] = told
        elif not self._is_rateable(usage, standing) or (
            key in self.aside and key not in self.there
        ):
            # What was recorded stands until the row can be rated, and beside it what another was
            # billed that had its id before; a deleted row never can.
            verdict.waiting.add(key)
            own = [entry for entry in standing if not self._was_restored(key, [entry])]
            if key not in self.aside or len(own) > 1:
                verdict.wrong[key] = f"{told}, set aside: {key in self.aside}"
            elif len(standing) > 1:
                self._meet(RESTORED_ELSEWHERE, key, told, verdict)
        elif key in self.aside:
            verdict.wrong[key] = f"{told}, but is set aside"
        elif key in self.unseen and all(map(self._is_right_by_hand, standing)):
            if not standing or not self._is_right(usage, standing[0]):
                self._meet(UNSEEN, key, told, verdict)
        elif len(standing) == 1:
            if not self._is_right(usage, standing[0]):
                verdict.wrong[key] = f"{told}, costs {self._charges(usage, standing[0].at)}"
        elif rest := [entry for entry in standing if not self._is_right(usage, entry)]:
            if len(rest) == len(standing) - 1 and self._was_restored(key, rest):
                self._meet(RESTORED_ELSEWHERE, key, told, verdict)
            else:
                self._judge_by_hand(key, rest, len(standing), told, verdict)
        elif len(standing) == 2 and any(self._was_restored(key, [entry]) for entry in standing):
            self._meet(RESTORED_ELSEWHERE, key, told, verdict)  # Its own time may be any.
        else:
            self._judge_by_hand(key, standing[1:], len(standing), told, verdict)

    def _judge_by_hand(
        self, key: Key, rest: list[Standing], count: int, told: str, verdict: Verdict
    ) -> None:
        """Billed by the row, and what else stands, if that was recorded by hand."""
        is_by_hand = count == 2 and all(map(self._is_right_by_hand, rest))
        if is_by_hand and key in self.inserted:
            self._meet(BY_HAND_BESIDE, key, told, verdict)
        elif is_by_hand and key not in self.there:
            self._meet(BY_HAND_AFTER, key, told, verdict)
        else:
            verdict.wrong[key] = told

    def _meet(self, limit: str, key: Key, told: str, verdict: Verdict) -> None:
        if limit in self.limits:
            verdict.known[key] = limit
        else:
            verdict.wrong[key] = f"{told}: {limit}"

    def _judge_resource(self, resource: Resource, verdict: Verdict) -> None:
        """What was recorded by hand and belongs to no row that deserves the like now."""
        standing, by_hand = self.of_hands.get(resource, []), self.by_hand.get(resource, {})
        if not standing and self._had_row(resource):
            return  # The row took over and came to nothing.
        if not by_hand and len(standing) == 1 and self._has_outlived(standing[0]):
            return
        if len(standing) != 1 or not self._is_right_by_hand(standing[0]):
            verdict.wrong[resource] = f"recorded {by_hand} by hand, stands {standing}"

    def _has_outlived(self, entry: Standing) -> bool:
        """Whether that is what a deleted row was billed, kept when another took its id.

        Where nobody could rate what it was worth in the end, that is what it was billed before.
        """
        return entry.table is None and any(
            self._is_priced(usage, entry)
            if any(self._charges(usage, entry.at))
            else usage.resource_id == entry.resource_id
            for usages in self.deleted.values()
            for usage in usages
        )

    def _had_row(self, resource: Resource) -> bool:
        """By their names: whatever else is recorded by hand is of no row."""
        return not resource[3].startswith("alone")

    def _is_rateable(self, usage: oracle.Usage, standing: Sequence[Standing]) -> bool:
        return any(self._charges(usage, standing[0].at if standing else self.now))

    def _charges(self, usage: oracle.Usage, at: dt.datetime) -> list[oracle.Charge | None]:
        at = usage.occurred_at or at
        return [prices.charge(usage, at) for prices in self.prices]

    def _was_restored(self, key: Key, standing: Sequence[Standing]) -> bool:
        """Whether that is what a deleted row was billed, and one worth nothing took its id."""
        return key in self.restored and all(
            any(self._is_right(usage, entry) for usage in self.deleted.get(key, ()))
            for entry in standing
        )

    def _is_right(self, usage: oracle.Usage, entry: Standing) -> bool:
        if entry.table is None:
            return (
                entry.resource[0] == usage.tenant_id
                and entry.amount == usage.amount
                and (self._is_right_by_hand(entry) or self._has_outlived(entry))
            )
        return self._is_priced(usage, entry)

    def _is_priced(self, usage: oracle.Usage, entry: Standing) -> bool:
        if usage.occurred_at is None and entry.at > self.now:
            return False
        figures: tuple[object, ...] = (
            entry.tenant_id, entry.channel, entry.resource_type, entry.rate_id, entry.amount,
            entry.cost, entry.day,
        )  # fmt: skip
        return any(
            charge is not None
            and figures == (
                charge.tenant_id, charge.channel, charge.resource_type, charge.rate_id,
                charge.amount, charge.cost, charge.usage_date,
            )
            for charge in self._charges(usage, entry.at)
        )  # fmt: skip

    def _is_right_by_hand(self, entry: Standing) -> bool:
        at = self.by_hand.get(entry.resource, {}).get(entry.amount)
        if entry.table is not None or at is None or at != entry.at:
            return False
        usage = oracle.Usage(*entry.resource, entry.amount, None, at)
        return any(
            charge is not None
            and (charge.rate_id, charge.cost, charge.usage_date)
            == (entry.rate_id, entry.cost, entry.day)
            for charge in self._charges(usage, at)
        )


Accuse = Callable[[int | None, str], CounterExample]
"""From the id of a row or tenant, and what is wrong with it."""


def hold_court(
    db: Connection,
    accuse: Accuse,
    limits: Container[str],
    *,
    unseen: Container[Key] = (),
    inserted: Container[Key] = (),
    is_racing: bool = False,
) -> Counter[str]:
    """Judge all rows, ask verify(), mend what is a documented limit, and judge again; figures."""

    def judge() -> tuple[Judge, Verdict]:
        judge = Judge(db, limits, unseen=unseen, inserted=inserted, is_racing=is_racing)
        verdict = judge.judge()
        for key, what in verdict.wrong.items():
            raise accuse(_id_of(key), f"{key} {what}\n{len(verdict.wrong)} like this")
        return judge, verdict

    # What waits for a price that has come since is for the operator to settle.
    db.execute("SELECT billing.retry_unrated(1000000)")
    before, verdict = judge()
    waiting = {f"{table} {row_id}" for table, row_id in verdict.waiting}
    known = {f"{table} {row_id}": (table, row_id) for table, row_id in verdict.known}
    found = db.execute("SELECT check_name, subject, detail FROM billing.verify()").fetchall()
    named: set[Key] = set()
    for name, subject, detail in found:
        row = str(subject).partition(",")[0]
        if row in known:
            named.add(known[row])
        elif name != "usage is rated" or row not in waiting:
            raise accuse(_id_in(row), f"verify(): {name}: {subject}: {detail}")
    for key in verdict.known.keys() & before.there - named:
        raise accuse(key[1], f"verify() does not name {key}: {verdict.known[key]}")

    # Looking at a row again mends it, where it can be rated.
    for table, row_id in verdict.known:
        db.execute("SELECT public.record_again(%s, %s)", [table, row_id])
    after, mended = judge()
    for key in mended.known.keys() & after.there - mended.waiting:
        raise accuse(key[1], f"{key} is not mended: {mended.known[key]}")
    figures = Counter(f"known limit: {limit}" for limit in verdict.known.values())
    figures["rows and resources judged"] = verdict.judged
    figures["rows that nobody can rate"] = len(verdict.waiting)
    return figures


def _id_of(key: Key | Resource) -> int | None:
    return next((part for part in key if isinstance(part, int)), None)


def _id_in(subject: str) -> int | None:
    digits = subject.rpartition(" ")[2]
    return int(digits) if digits.isdigit() else None


def _read_terms(db: Connection) -> dict[int, list[oracle.Terms]]:
    terms: defaultdict[int, list[oracle.Terms]] = defaultdict(list)
    for tenant_id, *held in db.execute(
        "SELECT tenant_id, plan_id, timezone, currency, since FROM public.terms_held "
        "ORDER BY number"
    ):
        if held[3] is None:
            terms[tenant_id].clear()
        terms[tenant_id].append(oracle.Terms(*held))
    return terms


def _one(db: Connection, query: str) -> Any:
    row = db.execute(query.encode()).fetchone()
    assert row
    return row[0]
