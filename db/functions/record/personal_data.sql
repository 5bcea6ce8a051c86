-- record: what each column that can hold a text holds, and what becomes of it.
CREATE OR REPLACE VIEW billing.personal_data AS
SELECT d.table_name, c.column_name, d.holds, d.on_forget, d.remark
FROM (VALUES
    -- Numbers and addresses of the people who are called and written to.
    ('usage_records', 'destination', 'number', 'destination', 'whom a call or message went to'),
    ('usage_records', 'metadata', 'number', 'json', 'what record_usage was given; {} for rows of the application'),
    ('usage_records', 'resource_id', 'number', 'key', 'call_sid, message_sid or what record_usage was given'),
    ('direct_usage', 'resource_id', 'number', 'key', 'as usage_records.resource_id'),
    ('reservations', 'destination', 'number', 'destination', 'whom a call was to go to'),
    ('reservations', 'key', 'number', 'key', 'call_sid, or what the application chose'),
    ('unrated_usage', 'context', 'number', 'json', 'figures, and functions; what dismiss_unrated was told'),
    ('unrated_usage', 'reason', 'number', 'text', 'what PostgreSQL said, values left out'),
    ('archives', 'manifest', 'none', NULL, 'sums; the records are in the file that it names, with all that usage_records had'),
    -- The customers: who is billed, and what was agreed with him. Kept as long as the law has invoices kept.
    ('tenant_billing', 'billing_name,billing_address,tax_number', 'customer', NULL, 'name, address and tax number of a customer'),
    ('invoices', 'parties', 'customer', NULL, 'names, addresses and tax numbers when it was issued'),
    ('invoices', 'notes,void_reason,payment_method,payment_reference', 'customer', NULL, 'free text'),
    ('invoice_line_items', 'description', 'customer', NULL, 'what the customer reads: a rented number, perhaps'),
    ('invoice_events', 'detail', 'customer', NULL, 'number, reference or reason'),
    ('credit_notes', 'parties', 'customer', NULL, 'as invoices.parties'),
    ('credit_notes', 'reason,reference', 'customer', NULL, 'free text'),
    ('payments', 'method,reference', 'customer', NULL, 'the payer''s or gateway''s name for it'),
    ('credit_entries', 'reference', 'customer', NULL, 'the caller''s name for the movement'),
    ('adjustments', 'reference,description', 'customer', NULL, 'free text'),
    ('recurring_charges', 'description', 'customer', NULL, 'what the customer reads: a rented number, perhaps'),
    ('invoice_holds', 'reason', 'customer', NULL, 'free text of an operator'),
    ('alert_targets', 'address', 'customer', NULL, 'where a customer is warned: a URL or an email address'),
    ('alert_targets', 'secret', 'secret', NULL, 'what webhooks are signed with, as it is'),
    ('alert_deliveries', 'last_error', 'none', NULL, 'class of an error or status of a response, without what was answered'),
    ('_yoyo_log', 'username,hostname', 'operator', NULL, 'who migrated, and from where'),
    ('audit_log', 'login,role,application,client', 'operator', NULL, 'who did it, and from where'),
    ('audit_log', 'key,reason,old_values,new_values', 'customer', NULL, 'free text, and figures; names, addresses and secrets left out'),
    ('tenant_members', 'member,granted_by', 'operator', NULL, 'names of roles'),
    ('privacy_key', 'key', 'secret', NULL, 'finds a number in forgotten_subjects'),
    ('forgotten_subjects', 'digest,salt', 'secret', NULL, 'hash of a number, and what its pseudonyms are made with'),
    -- The house itself.
    ('pricing_rates', 'prefix,description,terms', 'none', NULL, 'prices; a prefix may be a whole number that has a price of its own'),
    ('resolved_prices', 'lo', 'none', NULL, 'as pricing_rates.prefix'),
    ('pricing_plans', 'name,display_name,description', 'none', NULL, 'prices'),
    ('coupons', 'code,description', 'none', NULL, 'prices'),
    ('tax_rules', 'name,note', 'none', NULL, 'taxes'),
    ('legal_entities', 'name,address,tax_number,invoice_format,credit_note_format', 'none', NULL, 'who bills'),
    ('calendars', 'name,timezone,description', 'none', NULL, 'prices'),
    ('calendar_bands', 'band', 'none', NULL, 'prices'),
    ('calendar_holidays', 'description', 'none', NULL, 'prices'),
    ('dunning_steps', 'description', 'none', NULL, 'reminders'),
    -- Codes, names of tables, hashes: one of a known set, or computed.
    ('usage_records', 'channel,resource_type,kind,currency,source_table', 'none', NULL, 'codes'),
    ('direct_usage', 'channel,resource_type', 'none', NULL, 'codes'),
    ('reservations', 'channel,resource_type,outcome', 'none', NULL, 'codes'),
    ('unrated_usage', 'source_table,sqlstate', 'none', NULL, 'codes'),
    ('usage_sums', 'channel,resource_type', 'none', NULL, 'codes'),
    ('usage_deltas', 'channel,resource_type', 'none', NULL, 'codes'),
    ('price_sums_by_day', 'channel,resource_type', 'none', NULL, 'codes'),
    ('plan_allowances', 'channel,resource_type', 'none', NULL, 'codes'),
    ('pricing_rates', 'channel,resource_type,charge_model,currency', 'none', NULL, 'codes'),
    ('resolved_prices', 'channel,resource_type,currency', 'none', NULL, 'codes'),
    ('pricing_plans', 'currency,fee_timing,proration', 'none', NULL, 'codes'),
    ('coupons', 'currency,kind,channel', 'none', NULL, 'codes'),
    ('tax_rules', 'treatment,kind,channel,resource_type', 'none', NULL, 'codes'),
    ('recurring_charges', 'timing,proration', 'none', NULL, 'codes'),
    ('tenant_limits', 'mode', 'none', NULL, 'codes'),
    ('tenant_terms', 'timezone,currency', 'none', NULL, 'codes'),
    ('credit_entries', 'kind', 'none', NULL, 'codes'),
    ('payments', 'currency', 'none', NULL, 'codes'),
    ('invoices', 'invoice_number,currency,status', 'none', NULL, 'codes'),
    ('invoice_line_items', 'kind,channel,resource_type,tax_name,tax_treatment', 'none', NULL, 'codes'),
    ('invoice_events', 'event', 'none', NULL, 'codes'),
    ('invoice_holds', 'source', 'none', NULL, 'codes'),
    ('credit_notes', 'credit_note_number,currency,taxes', 'none', NULL, 'codes'),
    ('issued_documents', 'series,kind,content_hash,chain_hash', 'none', NULL, 'codes and hashes'),
    ('number_series', 'series,last_hash', 'none', NULL, 'codes and hashes'),
    ('alert_targets', 'kind', 'none', NULL, 'codes'),
    ('alert_thresholds', 'basis', 'none', NULL, 'codes'),
    ('alerts', 'basis,currency', 'none', NULL, 'codes'),
    ('rerating_differences', 'problem', 'none', NULL, 'codes'),
    ('forgotten_subjects', 'mode,at_table', 'none', NULL, 'codes'),
    ('retention', 'table_name,at_table', 'none', NULL, 'codes'),
    ('audit_log', 'action,via,object', 'none', NULL, 'codes'),
    ('seals', 'series,content_hash,chain_hash', 'none', NULL, 'codes and hashes'),
    ('seal_rounds', 'series', 'none', NULL, 'codes'),
    ('archives', 'sha256', 'none', NULL, 'a hash'),
    ('deployed_files', 'path,sha256', 'none', NULL, 'codes and hashes'),
    ('detached_months', 'table_name,source_ids', 'none', NULL, 'codes'),
    ('month_loads', 'source_table', 'none', NULL, 'codes'),
    ('metered_tables', 'source_table,measure,measure_call,resource_column', 'none', NULL, 'codes'),
    ('task_runs', 'task', 'none', NULL, 'codes'),
    ('_yoyo_log', 'id,migration_hash,migration_id,operation,comment', 'none', NULL, 'codes and hashes'),
    ('_yoyo_migration', 'migration_hash,migration_id', 'none', NULL, 'codes and hashes')
) AS d (table_name, column_names, holds, on_forget, remark)
CROSS JOIN LATERAL string_to_table(d.column_names, ',') AS c (column_name);

COMMENT ON VIEW billing.personal_data IS
'Every column of schema billing that can hold a text, and what it holds. forget_subject and find_subject go by it; a test finds a
column that is not on it.';
COMMENT ON COLUMN billing.personal_data.table_name IS 'The table, in schema billing.';
COMMENT ON COLUMN billing.personal_data.column_name IS 'The column.';
COMMENT ON COLUMN billing.personal_data.holds IS
'number: perhaps the number or address of somebody who was called or written to. customer: what is known of who is billed.
operator: of who works here. secret: what nobody may read. none: nothing personal, as long as nobody misuses it.';
COMMENT ON COLUMN billing.personal_data.on_forget IS
'What forget_subject does: destination, leaves its beginning; json and text, replaces it wherever it stands; key, puts a pseudonym
in its place. NULL: nothing.';
COMMENT ON COLUMN billing.personal_data.remark IS 'What it is.';
