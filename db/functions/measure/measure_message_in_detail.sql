-- measure: what is a message worth, by the segment and by the category of conversation?
CREATE OR REPLACE FUNCTION billing.measure_message_in_detail(
    p_id bigint,
    p_tenant_id bigint,
    p_channel text,
    p_direction text,
    p_status text,
    p_message_sid text DEFAULT NULL,
    p_to_address text DEFAULT NULL,
    p_recipients text[] DEFAULT NULL,
    p_body text DEFAULT NULL,
    p_media_urls jsonb DEFAULT NULL,
    p_num_segments numeric DEFAULT NULL,
    p_conversation_category text DEFAULT NULL,
    p_metadata jsonb DEFAULT NULL,
    p_sent_at timestamptz DEFAULT NULL,
    p_delivered_at timestamptz DEFAULT NULL
)
RETURNS SETOF billing.measurement
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT
        m.source_id,
        m.part,
        m.tenant_id,
        m.channel,
        CASE
            WHEN m.channel = 'sms' AND m.resource_type = 'message' THEN 'segment'
            WHEN m.channel = 'whatsapp' THEN COALESCE(
                billing.conversation_category(p_metadata, p_conversation_category), m.resource_type
            )
            ELSE m.resource_type
        END,
        m.resource_id,
        CASE
            WHEN m.channel <> 'sms' OR m.resource_type <> 'message' THEN m.quantity
            WHEN p_num_segments > 0 THEN p_num_segments
            ELSE (billing.sms_segments(p_body)).segments
        END,
        m.destination,
        m.occurred_at
    -- Which messages are billed is said there, once.
    FROM billing.measure_message(
        p_id => p_id,
        p_tenant_id => p_tenant_id,
        p_channel => p_channel,
        p_direction => p_direction,
        p_status => p_status,
        p_message_sid => p_message_sid,
        p_to_address => p_to_address,
        p_recipients => p_recipients,
        p_media_urls => p_media_urls,
        p_sent_at => p_sent_at,
        p_delivered_at => p_delivered_at
    ) AS m;
$$;

COMMENT ON FUNCTION billing.measure_message_in_detail IS
'measure_message, but an SMS counts its segments (sms/segment: num_segments once the provider has said it, until then
sms_segments of the body) and a WhatsApp message is billed by its category (whatsapp/marketing, utility, authentication
or service; whatsapp/message while none is known). For operators who choose it with meter_table.';
