-- rate: a rate card by its name, as the number that pricing_rates.card has.
CREATE OR REPLACE FUNCTION billing.find_card(p_card text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_name text := substr(p_card, strpos(p_card, ':') + 1);
    v_id bigint;
BEGIN
    IF p_card = 'default' THEN
        RETURN 0;
    ELSIF starts_with(p_card, 'plan:') THEN
        SELECT -id INTO v_id FROM billing.pricing_plans WHERE name = v_name;
        IF v_id IS NULL THEN
            RAISE EXCEPTION 'unknown plan'
                USING ERRCODE = 'UB002',
                    DETAIL = format('There is no plan %L.', v_name),
                    HINT = 'billing.pricing_plans lists the plans.';
        END IF;
    ELSIF p_card ~ '^tenant:[0-9]{1,18}$' THEN
        SELECT v_name::bigint INTO v_id FROM billing.find_tenant(v_name::bigint) AS t WHERE t.currency IS NOT NULL;
        IF v_id IS NULL THEN
            RAISE EXCEPTION 'unknown tenant'
                USING ERRCODE = 'UB002',
                    DETAIL = format('There is no tenant %s.', v_name),
                    HINT = billing.problem_hint('UB002');
        END IF;
    ELSE
        RAISE EXCEPTION 'bad name of a rate card'
            USING ERRCODE = 'UB012',
                DETAIL = format('It is %L.', p_card),
                HINT = 'Cards are default, plan:NAME and tenant:ID.';
    END IF;
    RETURN v_id;
END;
$$;

COMMENT ON FUNCTION billing.find_card IS
'The rate card default, plan:NAME or tenant:ID as pricing_rates.card has it. UB002 when there is no such plan or tenant.';
