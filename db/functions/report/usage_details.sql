-- report: usage records for those who need not know whose numbers they are.
CREATE OR REPLACE VIEW billing.usage_details WITH (security_barrier = true) AS
-- Each question in a subquery of its own is asked once in a statement, not once a record.
SELECT
    r.id,
    r.tenant_id,
    r.channel,
    r.resource_type,
    CASE WHEN (SELECT billing.sees_numbers()) THEN r.resource_id ELSE billing.mask_key(r.resource_id) END AS resource_id,
    r.kind,
    r.revision,
    r.part,
    r.source_table,
    r.source_id,
    r.occurred_at,
    r.usage_date,
    r.created_at,
    r.quantity,
    r.seconds,
    r.billed_quantity,
    r.rate_id,
    r.unit_cost,
    r.total_cost,
    r.currency,
    CASE WHEN (SELECT billing.sees_numbers()) THEN r.destination ELSE billing.mask_number(r.destination) END AS destination,
    CASE WHEN r.metadata = '{}' OR (SELECT billing.sees_numbers()) THEN r.metadata ELSE billing.mask_texts(r.metadata) END AS metadata
FROM billing.usage_records AS r;

COMMENT ON VIEW billing.usage_details IS
'usage_records with numbers masked, for analysts, who may not read those columns of the table itself: all tenants, with the rights
of the owner. Who has the rights of role billing_numbers sees them as they are.';
COMMENT ON COLUMN billing.usage_details.id IS 'As usage_records.id.';
COMMENT ON COLUMN billing.usage_details.tenant_id IS 'Who is billed.';
COMMENT ON COLUMN billing.usage_details.channel IS 'As usage_records.channel.';
COMMENT ON COLUMN billing.usage_details.resource_type IS 'As usage_records.resource_type.';
COMMENT ON COLUMN billing.usage_details.resource_id IS 'As usage_records.resource_id, through mask_key.';
COMMENT ON COLUMN billing.usage_details.kind IS 'charge, or reversal.';
COMMENT ON COLUMN billing.usage_details.revision IS 'As usage_records.revision.';
COMMENT ON COLUMN billing.usage_details.part IS 'As usage_records.part.';
COMMENT ON COLUMN billing.usage_details.source_table IS 'As usage_records.source_table.';
COMMENT ON COLUMN billing.usage_details.source_id IS 'As usage_records.source_id.';
COMMENT ON COLUMN billing.usage_details.occurred_at IS 'When the usage happened.';
COMMENT ON COLUMN billing.usage_details.usage_date IS 'Its day in the tenant''s time zone.';
COMMENT ON COLUMN billing.usage_details.created_at IS 'When the record was written.';
COMMENT ON COLUMN billing.usage_details.quantity IS 'As usage_records.quantity.';
COMMENT ON COLUMN billing.usage_details.seconds IS 'Measured seconds, for minutes; NULL for everything else.';
COMMENT ON COLUMN billing.usage_details.billed_quantity IS 'As usage_records.billed_quantity.';
COMMENT ON COLUMN billing.usage_details.rate_id IS 'The price applied: pricing_rates.id.';
COMMENT ON COLUMN billing.usage_details.unit_cost IS 'Price of one unit, major units of currency.';
COMMENT ON COLUMN billing.usage_details.total_cost IS 'Exact cost, major units of currency.';
COMMENT ON COLUMN billing.usage_details.currency IS 'ISO 4217.';
COMMENT ON COLUMN billing.usage_details.destination IS 'As usage_records.destination, through mask_number; NULL: none.';
COMMENT ON COLUMN billing.usage_details.metadata IS 'As usage_records.metadata, through mask_texts.';
