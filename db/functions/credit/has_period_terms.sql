-- credit: whether a tenant's usage costs more, or less, than the sum of its records.
CREATE OR REPLACE FUNCTION billing.has_period_terms(p_tenant_id bigint, p_plan_id bigint, p_at timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT EXISTS (
            SELECT
            FROM billing.pricing_plans AS p
            WHERE p.id = p_plan_id
                AND (p.minimum_spend IS NOT NULL OR p.maximum_spend IS NOT NULL)
        )
        OR EXISTS (SELECT FROM billing.plan_allowances AS a WHERE a.plan_id = p_plan_id)
        OR EXISTS (
            SELECT
            FROM billing.tenant_terms AS t
            INNER JOIN billing.pricing_rates AS r ON r.card = ANY (t.cards)
            WHERE t.tenant_id = p_tenant_id
                AND t.valid_from <= p_at
                AND r.charge_model NOT IN ('per_unit', 'stepped')
        );
$$;

COMMENT ON FUNCTION billing.has_period_terms IS
'Whether p_plan_id includes allowances or limits spend, or a card that held for p_tenant_id by p_at has a price of a whole
period, which may ask for a fee without usage.';
