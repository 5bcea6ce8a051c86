"""UPDATEs that bill, and UPDATEs that do not, against the same where nothing or less is done."""

from __future__ import annotations

import re
from functools import partial
from statistics import median

from bench.blocks import BLOCK, WARM_UP, Updates, run_blocks
from bench.load import run_clients, time_statements
from bench.measure import (
    AGAIN,
    Aim,
    Measure,
    Sample,
    Samples,
    at_least,
    at_most,
    by_turns,
    ratio,
    speed,
)
from bench.stage import COMPLETE, NOTE, VARIANTS, Stage

NEXT_ROW = "\\set id :turn * :clients + :client_id"
HELD = """\
\\set pause random(5, 20)
BEGIN;
{update};
\\sleep :pause ms
COMMIT;"""
# The guide's method 1, as its service would do it: in the application's own transaction.
APPLICATION = """\
BEGIN;
{update}
RETURNING tenant_id, call_sid, answered_at, duration_seconds, to_number \\gset
SELECT r.id AS rate_id, r.unit_price, r.currency
FROM public.tenants AS t
INNER JOIN bench.few_rates AS r
    ON r.tenant_id = t.id OR r.plan_id = t.plan_id OR (r.tenant_id IS NULL AND r.plan_id IS NULL)
WHERE t.id = :tenant_id
    AND r.channel = 'voice'
    AND r.resource_type = 'minute'
    AND ltrim(:to_number, '+') LIKE r.prefix || '%'
    AND r.is_active
    AND r.effective_from <= :answered_at::timestamptz
    AND (r.effective_until IS NULL OR r.effective_until > :answered_at::timestamptz)
ORDER BY r.tenant_id IS NULL, r.plan_id IS NULL, length(r.prefix) DESC
LIMIT 1 \\gset
INSERT INTO bench.application_records (
    tenant_id, source_id, rate_id, occurred_at, usage_date, source_table, channel, resource_type,
    resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
)
VALUES (
    :tenant_id, :id, :rate_id, :answered_at, (:answered_at::timestamptz)::date, 'calls', 'voice',
    'minute', :call_sid, :duration_seconds::numeric / 60, :unit_price,
    :duration_seconds::numeric / 60 * :unit_price::numeric, :currency, :duration_seconds,
    :duration_seconds::numeric / 60, :to_number
);
INSERT INTO bench.application_days AS d
VALUES (
    :tenant_id, (:answered_at::timestamptz)::date, 'voice', 'minute',
    :duration_seconds::numeric / 60, :duration_seconds::numeric / 60 * :unit_price::numeric, 1
)
ON CONFLICT (tenant_id, summary_date, channel, resource_type) DO UPDATE
SET
    total_quantity = d.total_quantity + EXCLUDED.total_quantity,
    total_cost = d.total_cost + EXCLUDED.total_cost,
    record_count = d.record_count + 1;
COMMIT;"""


def _update(variant: str) -> str:
    return f"UPDATE {VARIANTS[variant].table} SET {COMPLETE}"


def _over_network(script: str) -> str:
    """Each statement's answer takes a quarter of a millisecond more: two machines in one place."""
    return re.sub(r"(;|\\gset)$", r"\1\n\\sleep 250 us", script, flags=re.MULTILINE)


def _by_clients(
    stage: Stage, variant: str, clients: int, script: str = "{update};", network: bool = False
) -> Sample:
    """Rows completed each second by so many clients. '... hot': all of one tenant."""
    name = variant.removesuffix(" hot")
    script = APPLICATION if name == "application" else script
    script = _over_network(script) if network else script
    text = f"{NEXT_ROW}\n{script.format(update=f'{_update(name)} WHERE id = :id')}"
    while True:
        rows = stage.rows_by_clients.setdefault((variant, clients), 30_000)
        stage.fill(name, rows=rows, tenants=1000 if name == variant else 1)
        with stage.maintained(name):
            # 64 sessions take most of a second to open.
            load = run_clients(stage, text, clients, stage.scale.seconds + clients // 64)
        if (needed := clients * max(map(len, load.ends))) <= rows:
            stage.check(name, completed=load.done)
            return load.sample
        # The busiest client found no more rows to update: again, and from now on, with more.
        stage.rows_by_clients[variant, clients] = 3 * needed // 2


def _by_one(stage: Stage, variants: tuple[str, ...], change: str, *, completed: bool) -> Samples:
    """Microseconds for each row, one client. '... deck': of tenants whose plan has a deck."""
    count = stage.scale.alone_blocks * BLOCK + WARM_UP
    # The first third of each table, the second where it is measured again, the third has the deck.
    tables = {variant: variant.removesuffix(" deck") for variant in variants}
    kinds = {
        variant: Updates(table, change, first=0 if table == variant else 2 * count)
        for variant, table in tables.items()
    }
    kinds[AGAIN] = Updates(tables[variants[1]], change, first=count)
    filled = sorted(set(tables.values()))
    stage.fill(*filled, rows=3 * count, on_deck=count, completed=3 * count if completed else 0)
    with stage.maintained("tracked"):
        costs = run_blocks(stage, kinds, stage.scale.alone_blocks)
    for table in filled:
        changed = sum(count for kind in kinds.values() if kind.variant == table)
        if change is NOTE:
            changed = 0
        stage.check(table, completed=3 * count if completed else changed)
    return {
        kind: Sample(median(cost.wall), median(cost.cpu) if cost.cpu else None)
        for kind, cost in costs.items()
    }


def complete_all(stage: Stage, variant: str, rows: int) -> Sample:
    """Rows completed each second by one statement. '... deck': of tenants whose plan has a deck."""
    name, warm_up = variant.removesuffix(" deck"), 1000
    stage.fill(name, rows=rows + warm_up, on_deck=0 if name == variant else rows + warm_up)
    sample = time_statements(
        stage,
        [f"{_update(name)} WHERE id >= {warm_up}"],
        rows,
        warm_up=f"{_update(name)} WHERE id < {warm_up}",
    )
    stage.check(name, completed=rows + warm_up)
    return sample


def _bulk(stage: Stage, variant: str) -> Sample:
    return complete_all(stage, variant, stage.scale.bulk_rows)


def _one(
    name: str, what: str, aim: Aim, variants: tuple[str, ...], change: str, completed: bool = False
) -> Measure:
    run = partial(_by_one, variants=variants, change=change, completed=completed)
    compare = speed if aim.at_least else ratio
    return Measure(name, what, "us a row", aim, variants, run, compare)


MEASURES = [
    _one(
        "single-1",
        "completing a call, 1,000 tenants, 1 client: tracked / floor",
        at_least(0.90),
        ("tracked", "floor", "untracked", "obvious"),
        COMPLETE,
    ),
    *(
        by_turns(
            f"single-{clients}",
            f"completing a call, 1,000 tenants, {clients} clients: tracked / floor",
            "rows/s",
            at_least(0.90),
            ("tracked", "floor", *others),
            partial(_by_clients, clients=clients),
        )
        for clients, others in ((4, ()), (16, ("untracked", "obvious")), (64, ("untracked",)))
    ),
    by_turns(
        "hot-64",
        "one hot tenant / 1,000 tenants, 64 clients",
        "rows/s",
        at_least(0.95),
        ("tracked hot", "tracked", "obvious hot"),
        partial(_by_clients, clients=64),
    ),
    by_turns(
        "held-64",
        "one hot tenant, transactions held 5 to 20 ms, 64 clients: tracked / untracked",
        "rows/s",
        at_least(0.72),
        ("tracked hot", "untracked hot", "obvious hot"),
        partial(_by_clients, clients=64, script=HELD),
    ),
    by_turns(
        "application-4",
        "4 clients: tracked / recorded by the application (guide, method 1)",
        "rows/s",
        at_least(2.5),
        ("tracked", "application"),
        partial(_by_clients, clients=4),
    ),
    by_turns(
        "application-4-network",
        "the same, 0.25 ms away from the server",
        "rows/s",
        at_least(2.5),
        ("tracked", "application"),
        partial(_by_clients, clients=4, network=True),
    ),
    by_turns(
        "bulk",
        "completing many calls in one UPDATE: tracked / floor",
        "rows/s",
        at_least(0.95),
        ("tracked", "floor", "untracked", "obvious"),
        _bulk,
    ),
    _one(
        "free-in-progress",
        "UPDATE that changes nothing billable, in-progress call: time, tracked / untracked",
        at_most(1.05),
        ("tracked", "untracked"),
        NOTE,
    ),
    _one(
        "free-completed",
        "UPDATE that changes nothing billable, completed call: time, tracked / untracked",
        at_most(1.05),
        ("tracked", "untracked"),
        NOTE,
        completed=True,
    ),
    _one(
        "deck-single",
        "completing a call under 36,000 prefixes / under one price: time, 1 client",
        at_most(1.1),
        ("tracked deck", "tracked"),
        COMPLETE,
    ),
    by_turns(
        "deck-bulk",
        "completing many calls under 36,000 prefixes / under one price: time, one UPDATE",
        "rows/s",
        at_most(1.1),
        ("tracked deck", "tracked"),
        _bulk,
        speed,
    ),
]
