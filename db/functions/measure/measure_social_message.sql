-- measure: what is a row of a table of social media messages worth?
CREATE OR REPLACE FUNCTION billing.measure_social_message(
    p_id bigint,
    p_tenant_id bigint,
    p_direction text,
    p_status text,
    p_message_id text DEFAULT NULL,
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
        p_channel => 'social',
        p_direction => p_direction,
        p_status => p_status,
        p_message_sid => p_message_id,
        p_sent_at => p_sent_at,
        p_delivered_at => p_delivered_at
    ) AS m;
$$;

COMMENT ON FUNCTION billing.measure_social_message IS
'What a row of a table that holds messages of social media only (social_messages) deserves, its columns given by name: as
measure_message says, one social/message.';
