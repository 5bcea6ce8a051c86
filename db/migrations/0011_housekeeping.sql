-- operate: housekeeping that stays bounded however much has piled up, and months that leave for a file.

-- Which months lie in the default partition, and how many records of each, without reading it.
CREATE INDEX usage_records_default_date_idx ON billing.usage_records_default (usage_date);

-- What to retry next, and what to announce, without reading all that is open.
CREATE INDEX unrated_usage_retry_idx ON billing.unrated_usage (last_tried_at) WHERE resolved_at IS NULL;
CREATE INDEX unrated_usage_announce_idx ON billing.unrated_usage (id)
    WHERE resolved_at IS NULL AND announced_at IS NULL;

-- maintain says whether it left something, ensure_partition takes a limit. Functions are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.maintain();
DROP FUNCTION IF EXISTS billing.ensure_partition(date);

ALTER TABLE billing.detached_months ADD COLUMN dropped_at timestamptz;
COMMENT ON COLUMN billing.detached_months.dropped_at IS 'When its table was dropped by drop_month; NULL: it is there.';

CREATE TABLE billing.archives (
    month date NOT NULL
        CONSTRAINT archives_first_of_month CHECK (month = date_trunc('month', month)::date),
    sha256 text NOT NULL CONSTRAINT archives_sha256_is_one CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    manifest jsonb NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    restored_at timestamptz,
    CONSTRAINT archives_pkey PRIMARY KEY (month, sha256)
);
COMMENT ON TABLE billing.archives IS
'The files that months were archived to. It is by this table that a file is known as one of this database, and whole.';
COMMENT ON COLUMN billing.archives.month IS 'First day of the month.';
COMMENT ON COLUMN billing.archives.sha256 IS 'SHA-256 of the file, in hexadecimal.';
COMMENT ON COLUMN billing.archives.manifest IS 'What lies beside the file: its name, rows, columns and exact sums.';
COMMENT ON COLUMN billing.archives.archived_at IS 'When the month''s table was dropped for it.';
COMMENT ON COLUMN billing.archives.restored_at IS 'When it was brought back; NULL: it was not, or was archived again since.';

CREATE TABLE billing.month_loads (
    month date NOT NULL
        CONSTRAINT month_loads_month_fkey REFERENCES billing.detached_months (month) ON DELETE CASCADE,
    source_table text NOT NULL,
    until_id bigint NOT NULL,
    last_id bigint NOT NULL,
    is_partial boolean NOT NULL DEFAULT false,
    CONSTRAINT month_loads_pkey PRIMARY KEY (month, source_table)
);
COMMENT ON TABLE billing.month_loads IS
'How far months are loaded by backfill: a month that has no records yet is filled as a table of its own, and attached when
it has its indexes. It stands in detached_months meanwhile.';
COMMENT ON COLUMN billing.month_loads.month IS 'First day of the month.';
COMMENT ON COLUMN billing.month_loads.source_table IS 'As usage_records.source_table.';
COMMENT ON COLUMN billing.month_loads.until_id IS 'Rows up to this id are loaded.';
COMMENT ON COLUMN billing.month_loads.last_id IS 'The last row that may be of the month.';
COMMENT ON COLUMN billing.month_loads.is_partial IS 'true: some rows were left for the sweep.';
