-- measure: what is a row of a table of WhatsApp messages worth?
CREATE OR REPLACE FUNCTION billing.measure_whatsapp_message(
    p_id bigint,
    p_tenant_id bigint,
    p_direction text,
    p_status text,
    p_wamid text DEFAULT NULL,
    p_to_number text DEFAULT NULL,
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
        p_channel => 'whatsapp',
        p_direction => p_direction,
        p_status => p_status,
        p_message_sid => p_wamid,
        p_to_address => p_to_number,
        p_sent_at => p_sent_at,
        p_delivered_at => p_delivered_at
    ) AS m;
$$;

COMMENT ON FUNCTION billing.measure_whatsapp_message IS
'What a row of a table that holds WhatsApp messages only (whatsapp_messages) deserves, its columns given by name: as
measure_message says, one whatsapp/message, its resource the provider''s wamid. A column of time without zone is UTC.';
