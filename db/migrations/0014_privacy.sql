-- record and operate: what is forgotten, and how long things are kept.

-- With it a number is found on the list below; without it the list tells nothing.
CREATE TABLE billing.privacy_key (
    is_only boolean NOT NULL DEFAULT true
        CONSTRAINT privacy_key_pkey PRIMARY KEY
        CONSTRAINT privacy_key_is_one CHECK (is_only),
    key bytea NOT NULL CONSTRAINT privacy_key_key_is_long CHECK (octet_length(key) >= 32),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.privacy_key IS
'The key of forgotten_subjects.digest, made by the first forget_subject. For the owner only. Delete it, and nobody can tell any
more who is on that list: pseudonyms are then as good as erased, and a month that comes back from a file is not looked through.';
COMMENT ON COLUMN billing.privacy_key.is_only IS 'true: there is one row at most.';
COMMENT ON COLUMN billing.privacy_key.key IS 'Random bytes.';
COMMENT ON COLUMN billing.privacy_key.made_at IS 'When it was made.';

CREATE TABLE billing.forgotten_subjects (
    digest bytea NOT NULL CONSTRAINT forgotten_subjects_pkey PRIMARY KEY,
    mode text NOT NULL
        CONSTRAINT forgotten_subjects_mode_is_known CHECK (mode IN ('erase', 'pseudonymise')),
    salt bytea,
    at_table text,
    at_block bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    forgotten_at timestamptz
);
COMMENT ON TABLE billing.forgotten_subjects IS
'Numbers and addresses that forget_subject is at work on, those that have a pseudonym, and erased ones for as long as a file
from before may bring them back. For the owner only.';
COMMENT ON COLUMN billing.forgotten_subjects.digest IS 'Whom: a hash of the number with privacy_key.key.';
COMMENT ON COLUMN billing.forgotten_subjects.mode IS 'erase, or pseudonymise.';
COMMENT ON COLUMN billing.forgotten_subjects.salt IS
'Random: pseudonyms are a hash of it with what they stand for. NULL: erased, nobody can make them again.';
COMMENT ON COLUMN billing.forgotten_subjects.at_table IS 'Where the next call of forget_subject goes on; NULL: at the beginning.';
COMMENT ON COLUMN billing.forgotten_subjects.at_block IS 'From which block of that table on.';
COMMENT ON COLUMN billing.forgotten_subjects.changed IS 'Rows changed since begun_at.';
COMMENT ON COLUMN billing.forgotten_subjects.begun_at IS 'When the last forgetting began.';
COMMENT ON COLUMN billing.forgotten_subjects.forgotten_at IS 'When it was done; NULL: it is not.';

CREATE TABLE billing.retention (
    table_name text NOT NULL
        CONSTRAINT retention_pkey PRIMARY KEY
        CONSTRAINT retention_table_name_is_known CHECK (table_name IN (
            'alert_deliveries', 'alerts', 'rerating_proposals', 'reservations', 'unrated_usage', 'usage_records'
        )),
    keep interval CONSTRAINT retention_keep_is_a_day_or_more CHECK (keep >= interval '1 day'),
    at_table text,
    at_block bigint NOT NULL DEFAULT 0,
    done_until date
);
INSERT INTO billing.retention (table_name, keep)
VALUES
    ('alert_deliveries', '90 days'),
    ('alerts', '1 year'),
    ('rerating_proposals', '1 year'),
    ('reservations', '90 days'),
    ('unrated_usage', '90 days'),
    ('usage_records', NULL);
COMMENT ON TABLE billing.retention IS 'How long what is done with is kept; expire_data, which maintain() calls once an hour, keeps to it.';
COMMENT ON COLUMN billing.retention.table_name IS
'unrated_usage: resolved entries. reservations: those that have ended. alert_deliveries: those made or given up. alerts: of
periods that are over. rerating_proposals: applied or not. usage_records: never deleted, but their destination and metadata are erased.';
COMMENT ON COLUMN billing.retention.keep IS 'From when it was done with (usage_records: from the end of its month); NULL: for ever.';
COMMENT ON COLUMN billing.retention.at_table IS 'usage_records: the partition that is being looked through; NULL: none.';
COMMENT ON COLUMN billing.retention.at_block IS 'From which block on.';
COMMENT ON COLUMN billing.retention.done_until IS 'usage_records: months before this one have been looked through; NULL: none.';

INSERT INTO billing.task_runs (task) VALUES ('expire');
COMMENT ON COLUMN billing.task_runs.task IS
'maintain, backfill, reconcile, verify (all of it), verify window (some days), expire (what retention says).';
