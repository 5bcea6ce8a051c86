-- measure: what is a call worth?
CREATE OR REPLACE FUNCTION billing.measure_call(
    p_id bigint,
    p_tenant_id bigint,
    p_direction text,
    p_status text,
    p_to_number text DEFAULT NULL,
    p_call_sid text DEFAULT NULL,
    p_initiated_at timestamptz DEFAULT NULL,
    p_answered_at timestamptz DEFAULT NULL,
    p_ended_at timestamptz DEFAULT NULL,
    p_duration_seconds numeric DEFAULT NULL,
    p_billable_seconds numeric DEFAULT NULL
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
        'voice',
        'minute',
        COALESCE(p_call_sid, p_id::text),
        COALESCE(p_billable_seconds, p_duration_seconds),
        billing.normalize_destination(p_to_number),
        COALESCE(p_answered_at, p_initiated_at, p_ended_at)
    WHERE p_direction = 'outbound'
        AND p_status = 'completed'
        AND COALESCE(p_billable_seconds, p_duration_seconds) <> 0;
$$;

COMMENT ON FUNCTION billing.measure_call IS
'What a row of calls deserves, its columns given by name: one charge in voice minutes when an outbound call completed
with billed seconds, else nothing. Billed seconds are billable_seconds, else duration_seconds; NULL means not known
yet. Negative, NaN and infinite seconds pass through, for the recorder to set aside.';
