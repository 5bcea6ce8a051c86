-- measure: what is a message worth?
CREATE OR REPLACE FUNCTION billing.measure_message(
    p_id bigint,
    p_tenant_id bigint,
    p_channel text,
    p_direction text,
    p_status text,
    p_message_sid text DEFAULT NULL,
    p_to_address text DEFAULT NULL,
    p_recipients text[] DEFAULT NULL,
    p_media_urls jsonb DEFAULT NULL,
    p_sent_at timestamptz DEFAULT NULL,
    p_delivered_at timestamptz DEFAULT NULL
)
RETURNS SETOF billing.measurement
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT
        p_id,
        1::smallint,
        p_tenant_id,
        p_channel,
        CASE WHEN p_channel = 'sms' AND p_media_urls NOT IN ('[]', '{}', '""', 'null') THEN 'mms' ELSE 'message' END,
        COALESCE(p_message_sid, p_id::text),
        CASE WHEN p_channel = 'email' THEN billing.count_recipients(p_to_address, p_recipients) ELSE 1 END,
        CASE WHEN p_channel IN ('sms', 'whatsapp') THEN billing.normalize_destination(p_to_address) END,
        COALESCE(p_sent_at, p_delivered_at)
    WHERE p_direction = 'outbound'
        AND p_status IN ('sent', 'delivered', 'read', 'opened', 'clicked');
$$;

COMMENT ON FUNCTION billing.measure_message IS
'What a row of messages deserves, its columns given by name: one charge when an outbound message was sent. An email
counts its recipients, an SMS with media is an MMS, all else is one message.';
