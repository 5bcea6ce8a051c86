-- Who may do what. Each right that a role has in schema billing is one of these statements, and what no statement names is closed
-- to everybody but the owner: migrate takes back whatever else these roles, or PUBLIC, were ever given here. A role that does
-- not exist is passed over. Which rows of a table a role sees is in policies.sql. billing_tenant has the rights of billing_reader,
-- billing_api has none. Nobody but the owner has DELETE, TRUNCATE, REFERENCES or TRIGGER.

GRANT USAGE ON SCHEMA billing TO billing_writer, billing_reader, billing_analyst, billing_numbers, billing_admin;


-- Tables and views: usage
GRANT SELECT ON billing.usage_summaries TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.daily_sums TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.usage_sums TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.usage_deltas TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.price_sums_by_day TO billing_analyst, billing_admin;
GRANT SELECT ON billing.usage_records TO billing_reader, billing_numbers, billing_admin;
-- Neither destination nor metadata, nor the resource, which may be a number: usage_details has them masked.
GRANT SELECT (
    id, tenant_id, source_id, rate_id, occurred_at, created_at, usage_date, revision, part, kind, source_table, channel,
    resource_type, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, xact
) ON billing.usage_records TO billing_analyst;
GRANT SELECT ON billing.usage_details TO billing_analyst;
GRANT SELECT ON billing.usage_disposition TO billing_reader, billing_admin;
GRANT SELECT ON billing.direct_usage TO billing_reader, billing_admin;
-- Not its context.
GRANT SELECT (id, tenant_id, source_table, source_id, part, sqlstate, reason, first_seen_at, resolved_at) ON billing.unrated_usage TO billing_reader, billing_analyst;
GRANT SELECT ON billing.unrated_usage TO billing_admin;
GRANT SELECT ON billing.usage_records_default TO billing_admin;

-- Tables and views: tenants, plans and prices
GRANT SELECT ON billing.tenant_settings TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.tenant_members TO billing_reader, billing_admin;
GRANT SELECT ON billing.tenant_terms TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.pricing_plans TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.plan_allowances TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.pricing_rates TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.resolved_prices TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.calendars TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.calendar_bands TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.calendar_holidays TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT INSERT, UPDATE ON billing.pricing_plans, billing.plan_allowances, billing.pricing_rates TO billing_admin;
GRANT INSERT, UPDATE ON billing.calendars, billing.calendar_bands, billing.calendar_holidays TO billing_admin;

-- Tables and views: credit and alerts
GRANT SELECT ON billing.credit_entries TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.credit_uses TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.credit_accounts TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.tenant_limits TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.credit_expiries TO billing_admin;
GRANT SELECT ON billing.included_grants TO billing_admin;
GRANT SELECT ON billing.reservations TO billing_reader, billing_numbers, billing_admin;
-- Neither its destination nor its key.
GRANT SELECT (tenant_id, channel, resource_type, requested, granted, amount, rate_id, created_at, expires_at, outcome,
    is_counted) ON billing.reservations TO billing_analyst;
GRANT SELECT ON billing.alert_thresholds TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.alerts TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.alert_deliveries TO billing_reader, billing_analyst, billing_admin;
-- Not the secret that signs: set_alert_target sets it, claim_deliveries hands it to who delivers.
GRANT SELECT (id, tenant_id, kind, address, is_active) ON billing.alert_targets TO billing_reader, billing_admin;
GRANT SELECT ON billing.alert_checks TO billing_admin;

-- Tables and views: invoices
GRANT SELECT ON billing.invoices TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.invoice_line_items TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.invoice_events TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.credit_notes TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.payments TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.adjustments TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.recurring_charges TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.revenue TO billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.rerating_proposals TO billing_analyst, billing_admin;
GRANT SELECT ON billing.rerating_differences TO billing_analyst, billing_admin;
GRANT SELECT ON billing.tax_rules TO billing_analyst, billing_admin;
GRANT SELECT ON billing.tenant_billing TO billing_analyst, billing_admin;
GRANT SELECT ON billing.tenant_coupons TO billing_analyst, billing_admin;
GRANT SELECT ON billing.coupons TO billing_analyst, billing_admin;
GRANT SELECT ON billing.legal_entities TO billing_analyst, billing_admin;
GRANT SELECT ON billing.dunning_steps TO billing_analyst, billing_admin;
GRANT SELECT ON billing.invoice_holds TO billing_admin;
GRANT SELECT ON billing.issued_documents TO billing_admin;
GRANT SELECT ON billing.number_series TO billing_admin;
GRANT INSERT, UPDATE ON billing.tax_rules, billing.tenant_billing, billing.tenant_coupons, billing.coupons TO billing_admin;
GRANT INSERT, UPDATE ON billing.legal_entities, billing.dunning_steps, billing.recurring_charges TO billing_admin;
GRANT INSERT ON billing.adjustments, billing.invoice_holds TO billing_admin;

-- Tables and views: operation
GRANT SELECT ON billing.error_codes TO billing_writer, billing_reader, billing_analyst, billing_admin;
GRANT SELECT ON billing.usage_health TO billing_admin;
GRANT SELECT ON billing.verify_checks TO billing_admin;
GRANT SELECT ON billing.metered_tables TO billing_admin;
GRANT SELECT ON billing.task_runs TO billing_admin;
GRANT SELECT ON billing.detached_months TO billing_admin;
GRANT SELECT ON billing.month_loads TO billing_admin;
GRANT SELECT ON billing.archives TO billing_admin;
GRANT SELECT ON billing.audit_log TO billing_admin;
GRANT SELECT ON billing.watched_tables TO billing_admin;
GRANT SELECT ON billing.seals TO billing_analyst, billing_admin;
GRANT SELECT ON billing.personal_data TO billing_analyst, billing_admin;
GRANT SELECT ON billing.retention TO billing_admin;


-- Functions

-- Functions that read nothing: what a quantity is worth, how it reads.
GRANT EXECUTE ON FUNCTION
    billing.charge, billing.sms_segments, billing.normalize_destination, billing.currency_decimals,
    billing.apply_terms, billing.bill_seconds, billing.cost_per_unit, billing.covers, billing.describe_increments,
    billing.describe_rate_change, billing.find_problem, billing.full_bands, billing.in_seconds, billing.in_units,
    billing.is_by_terms, billing.is_deck_rate, billing.is_period_priced, billing.largest_quantity,
    billing.list_billing_periods, billing.list_period_lines, billing.list_steps, billing.list_tiers,
    billing.period_starting_by, billing.problem_hint, billing.problem_reason,
    billing.read_amount, billing.read_deck, billing.round_quotient, billing.show_quotient, billing.show_time,
    billing.day_in_zone, billing.start_of_day, billing.zone_shifts, billing.check_amounts, billing.check_list, billing.check_steps,
    billing.check_terms, billing.check_tiers, billing.amount_of, billing.refuse_terms
TO billing_writer, billing_reader, billing_analyst, billing_admin;

-- Which tenants the role sees.
GRANT EXECUTE ON FUNCTION
    billing.visible_tenant_ids, billing.visible_card_ids, billing.acting_role, billing.sees_every_tenant,
    billing.read_tenants, billing.find_tenant, billing.require_tenant
TO billing_writer, billing_reader, billing_analyst, billing_admin;

-- What something would cost.
GRANT EXECUTE ON FUNCTION
    billing.quote, billing.quote_call, billing.quote_measured, billing.get_billing_period, billing.price_or_raise,
    billing.price_usage, billing.price_by_terms, billing.apply_price, billing.split_by_band, billing.bill_bands,
    billing.band_at, billing.find_price
TO billing_writer, billing_reader, billing_analyst, billing_admin;

-- Usage, balances and invoices, read.
GRANT EXECUTE ON FUNCTION
    billing.get_current_period_usage, billing.get_usage_history, billing.list_daily_usage, billing.list_later_usage,
    billing.list_period_usage, billing.price_sums, billing.price_plan_terms, billing.get_tenant_balance,
    billing.list_credit_entries, billing.list_credit_lots, billing.list_lapsed_credit, billing.list_unused_credit,
    billing.get_reserved, billing.open_usage, billing.has_period_terms, billing.end_of_day, billing.allowance,
    billing.read_headroom, billing.list_alerts, billing.get_invoices, billing.get_invoice, billing.get_invoice_lines,
    billing.get_credit_note, billing.get_statement, billing.period_rate_of
TO billing_reader, billing_analyst, billing_admin;

-- Why it costs that, down to the numbers called.
GRANT EXECUTE ON FUNCTION
    billing.explain_rating, billing.explain_quote, billing.explain_quote_call, billing.explain_quote_measured,
    billing.explain_usage, billing.explain_choice, billing.explain_charge, billing.explain_period,
    billing.list_charge_lines, billing.explain_invoice_line, billing.list_line_records, billing.trace_record
TO billing_reader, billing_admin;

-- What usage_details masks with, and whether the chain of seals is the one that was kept elsewhere.
GRANT EXECUTE ON FUNCTION
    billing.sees_numbers, billing.mask_number, billing.mask_key, billing.mask_texts, billing.get_seal_head,
    billing.verify_seal_head
TO billing_analyst, billing_admin;

-- Analysis over all tenants.
GRANT EXECUTE ON FUNCTION
    billing.get_aging, billing.get_rerating, billing.list_rates, billing.export_deck, billing.diff_rates,
    billing.find_rate_gaps, billing.find_card, billing.simulate_plan
TO billing_analyst, billing_admin;

-- Recording and reserving. These run as the owner, as do the triggers.
GRANT EXECUTE ON FUNCTION
    billing.record_usage, billing.record_call_usage, billing.record_message_usage, billing.record_email_usage,
    billing.record_whatsapp_usage, billing.reserve_call, billing.reserve_usage, billing.release_reservation
TO billing_writer;

-- Administration. What writes runs as the owner.
GRANT EXECUTE ON FUNCTION
    billing.grant_tenant_access, billing.revoke_tenant_access, billing.list_tenant_access, billing.import_deck, billing.compare_deck,
    billing.grant_credit, billing.spend_credit, billing.grant_included_credits, billing.expire_credit,
    billing.set_tenant_limits, billing.release_reservation, billing.set_alert_threshold, billing.set_alert_target,
    billing.raise_alerts, billing.claim_deliveries, billing.finish_delivery, billing.generate_invoice,
    billing.finalize_invoice, billing.void_invoice, billing.run_invoices, billing.record_payment,
    billing.refund_payment, billing.issue_credit_note, billing.mark_overdue, billing.hold_unsound_tenants,
    billing.propose_rerating, billing.apply_rerating, billing.backfill_usage, billing.reconcile,
    billing.retry_unrated, billing.dismiss_unrated, billing.maintain, billing.verify, billing.run_verify,
    billing.list_trigger_gaps, billing.list_changed_tables, billing.describe_detached, billing.list_acts, billing.seal, billing.set_retention
TO billing_admin;
