-- measure: what is a row of a table of emails worth?
CREATE OR REPLACE FUNCTION billing.measure_email(
    p_id bigint,
    p_tenant_id bigint,
    p_status text,
    p_direction text DEFAULT 'outbound',
    p_message_id text DEFAULT NULL,
    p_to_email text DEFAULT NULL,
    p_cc_emails text[] DEFAULT NULL,
    p_bcc_emails text[] DEFAULT NULL,
    p_sent_at timestamptz DEFAULT NULL,
    p_delivered_at timestamptz DEFAULT NULL
)
RETURNS SETOF billing.measurement
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT m.*
    FROM billing.measure_message(
        p_id => p_id,
        p_tenant_id => p_tenant_id,
        p_channel => 'email',
        p_direction => p_direction,
        p_status => p_status,
        p_message_sid => p_message_id,
        -- A field of a form that was left empty is nobody.
        p_to_address => NULLIF(p_to_email, ''),
        p_recipients => array_remove(array_remove(p_cc_emails || p_bcc_emails, NULL), ''),
        p_sent_at => p_sent_at,
        p_delivered_at => p_delivered_at
    ) AS m;
$$;

COMMENT ON FUNCTION billing.measure_email IS
'What a row of a table that holds emails only (emails) deserves, its columns given by name: as measure_message says, one
email/message for each recipient, to_email and all of cc_emails and bcc_emails. Without a column direction every row is
outbound.';
