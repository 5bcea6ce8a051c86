-- operate: carries out a re-rating, once.
CREATE OR REPLACE FUNCTION billing.apply_rerating(p_proposal_id bigint)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET jit = off
AS $$
DECLARE
    v_proposal billing.rerating_proposals;
    v_tenants bigint[];
    v_replaced bigint;
BEGIN
    -- Whoever applies it at the same time waits here, and finds it applied.
    SELECT * INTO v_proposal FROM billing.rerating_proposals WHERE id = p_proposal_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown proposal'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no re-rating proposal %s.', COALESCE(p_proposal_id::text, 'NULL')),
                HINT = 'billing.rerating_proposals lists them; billing.propose_rerating makes one.';
    END IF;
    IF v_proposal.applied_at IS NOT NULL THEN
        RETURN (
            SELECT count(d.new_record_id) FROM billing.rerating_differences AS d WHERE d.proposal_id = p_proposal_id
        );
    END IF;
    PERFORM billing.require_attached_months(v_proposal.from_date, v_proposal.to_date);

    -- No invoice of these tenants is drawn up while their usage changes under it. What came to issued ones before is an
    -- adjustment of its own.
    v_tenants := ARRAY(
        SELECT DISTINCT d.tenant_id FROM billing.rerating_differences AS d WHERE d.proposal_id = p_proposal_id
    );
    PERFORM billing.lock_invoicing(v_tenants);
    PERFORM billing.collect_adjustments(v_tenants);
    v_replaced := billing.replace_charges(p_proposal_id);
    PERFORM billing.collect_adjustments(
        v_tenants, format('rerating %s', p_proposal_id), 'Usage of %s to %s at corrected prices'
    );
    UPDATE billing.rerating_proposals SET applied_at = clock_timestamp() WHERE id = p_proposal_id;
    RETURN v_replaced;
END;
$$;

COMMENT ON FUNCTION billing.apply_rerating IS
'Replaces the charges of proposal p_proposal_id as it stands (each a reversal and a new charge); how many. Again: the same
number, and nothing is written. A charge corrected or reversed since the proposal, and one without a price, stays as it is.
Issued invoices stay, too: what changes in their periods is entered in billing.adjustments, for the next invoice; a draft
is to be drawn up anew. Raises UB006 (a month is detached), UB011.';
