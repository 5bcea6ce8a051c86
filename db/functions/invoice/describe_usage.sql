-- invoice: how a usage line reads.
CREATE OR REPLACE FUNCTION billing.describe_usage(p_channel text, p_resource_type text, p_quantity numeric)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT format(
        '%s - %s %s',
        CASE p_channel || '/' || p_resource_type
            WHEN 'voice/minute' THEN 'Voice Calls'
            WHEN 'sms/message' THEN 'SMS'
            WHEN 'sms/mms' THEN 'MMS'
            WHEN 'email/message' THEN 'Email'
            WHEN 'whatsapp/message' THEN 'WhatsApp'
            WHEN 'social/message' THEN 'Social Media'
            ELSE initcap(p_channel) || ' ' || p_resource_type
        END,
        trim_scale(round(p_quantity, 2)),
        CASE
            WHEN p_channel = 'email' THEN 'recipient'
            WHEN p_resource_type = 'mms' THEN 'message'
            ELSE p_resource_type
        END || CASE WHEN p_quantity = 1 THEN '' ELSE 's' END
    );
$$;

COMMENT ON FUNCTION billing.describe_usage IS
'Description of a usage line, such as "Voice Calls - 150 minutes". The quantity is shortened to 2 decimals for reading;
the line''s quantity is exact.';
