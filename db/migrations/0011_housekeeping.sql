-- operate: housekeeping that stays bounded however much has piled up.

-- Which months lie in the default partition, and how many records of each, without reading it.
CREATE INDEX usage_records_default_date_idx ON billing.usage_records_default (usage_date);

-- What to retry next, and what to announce, without reading all that is open.
CREATE INDEX unrated_usage_retry_idx ON billing.unrated_usage (last_tried_at) WHERE resolved_at IS NULL;
CREATE INDEX unrated_usage_announce_idx ON billing.unrated_usage (id)
    WHERE resolved_at IS NULL AND announced_at IS NULL;

-- maintain says whether it left something, ensure_partition takes a limit. Functions are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.maintain();
DROP FUNCTION IF EXISTS billing.ensure_partition(date);
