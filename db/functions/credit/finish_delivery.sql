-- credit: how a delivery went.
CREATE OR REPLACE FUNCTION billing.finish_delivery(
    p_tenant_id bigint,
    p_alert_id bigint,
    p_target_id bigint,
    p_attempt integer,
    p_error text DEFAULT NULL,
    p_max_attempts integer DEFAULT 10
)
RETURNS timestamptz
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    UPDATE billing.alert_deliveries
    SET
        delivered_at = CASE WHEN p_error IS NULL THEN clock_timestamp() END,
        last_error = COALESCE(left(p_error, 500), last_error),
        next_try_at = CASE
            WHEN p_error IS NOT NULL AND p_attempt < p_max_attempts
                THEN clock_timestamp() + LEAST(interval '30 seconds' * 2 ^ (p_attempt - 1), interval '6 hours')
        END
    WHERE tenant_id = p_tenant_id
        AND alert_id = p_alert_id
        AND target_id = p_target_id
        AND delivered_at IS NULL
        -- Who came back after his lease does not speak for the one who sends it now; delivered is delivered.
        AND (attempts = p_attempt OR p_error IS NULL)
    RETURNING next_try_at;
$$;

COMMENT ON FUNCTION billing.finish_delivery IS
'Enters that attempt p_attempt of a delivery succeeded (p_error NULL) or failed, and gives when it is tried next: after 30 seconds,
and twice as long each time, 6 hours at most; NULL: no more, it was delivered, or given up after p_max_attempts (about 8 hours).';
