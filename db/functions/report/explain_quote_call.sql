-- report: why a call would cost what quote_call says.
CREATE OR REPLACE FUNCTION billing.explain_quote_call(
    p_tenant_id bigint,
    p_to_number text,
    p_seconds numeric,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (step integer, subject text, detail text, amount numeric)
LANGUAGE sql
STABLE
AS $$
    SELECT *
    FROM billing.explain_quote_measured(p_tenant_id, 'voice', 'minute', p_seconds, p_to_number, p_at);
$$;

COMMENT ON FUNCTION billing.explain_quote_call IS
'explain_quote for a call of p_seconds to p_to_number (E.164, with or without +); seconds that are no whole minute stay
exact. Raises UB001, UB002, UB003.';
