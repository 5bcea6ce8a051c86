-- measure: what is a row of a table of SMS worth?
CREATE OR REPLACE FUNCTION billing.measure_sms_message(
    p_id bigint,
    p_tenant_id bigint,
    p_direction text,
    p_status text,
    p_message_sid text DEFAULT NULL,
    p_to_number text DEFAULT NULL,
    p_media_urls text DEFAULT NULL,
    p_num_media numeric DEFAULT NULL,
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
        p_channel => 'sms',
        p_direction => p_direction,
        p_status => p_status,
        p_message_sid => p_message_sid,
        p_to_address => p_to_number,
        -- Whether there is any is all that is asked. The column is text and may hold what is no JSON: it is not read as JSON.
        p_media_urls => CASE
            WHEN p_num_media > 0
                OR translate(p_media_urls, E' \t\r\n', '') NOT IN ('', '[]', '{}', '""', 'null', '[null]', '[""]')
            THEN '["media"]'::jsonb
        END,
        p_sent_at => p_sent_at,
        p_delivered_at => p_delivered_at
    ) AS m;
$$;

COMMENT ON FUNCTION billing.measure_sms_message IS
'What a row of a table that holds SMS only (sms_messages) deserves, its columns given by name: as measure_message says, one
sms/message, or one sms/mms where num_media is above 0 or media_urls (JSON as text, jsonb or text[]) lists any.';
