-- invoice: gives numbers, and chains what is issued.
CREATE OR REPLACE FUNCTION billing.register_documents(
    p_kind text,
    p_legal_entity_ids bigint[],
    p_days date[],
    p_tenant_ids bigint[],
    p_document_ids bigint[],
    p_content_hashes bytea[],
    p_at timestamptz
)
RETURNS TABLE (tenant_id bigint, document_id bigint, document_number text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_series record;
    v_document record;
    v_number bigint;
    v_hash bytea;
BEGIN
    -- The counters are locked here, last of all and in order, and held until the end of the transaction: a number is given
    -- when it is committed, or not at all.
    FOR v_series IN
        SELECT d.legal_entity_id, billing.format_number(f.format, d.day) AS series, f.format, array_agg(d.n ORDER BY d.tenant_id, d.n) AS members
        FROM unnest(p_legal_entity_ids, p_days, p_tenant_ids) WITH ORDINALITY AS d (legal_entity_id, day, tenant_id, n)
        INNER JOIN billing.legal_entities AS e ON e.id = d.legal_entity_id
        CROSS JOIN LATERAL (
            SELECT CASE p_kind WHEN 'invoice' THEN e.invoice_format ELSE e.credit_note_format END
        ) AS f (format)
        GROUP BY 1, 2, 3
        ORDER BY 1, 2
    LOOP
        INSERT INTO billing.number_series AS s (legal_entity_id, series, last_number, last_hash)
        VALUES (v_series.legal_entity_id, v_series.series, cardinality(v_series.members), decode(repeat('00', 32), 'hex'))
        ON CONFLICT (legal_entity_id, series) DO UPDATE
        SET last_number = s.last_number + EXCLUDED.last_number
        RETURNING s.last_number - cardinality(v_series.members), s.last_hash INTO v_number, v_hash;

        FOR v_document IN
            SELECT
                p_tenant_ids[m.n] AS tenant_id, p_document_ids[m.n] AS document_id, p_days[m.n] AS day,
                p_content_hashes[m.n] AS content_hash
            FROM unnest(v_series.members) WITH ORDINALITY AS m (n, line)
            ORDER BY m.line
        LOOP
            v_number := v_number + 1;
            tenant_id := v_document.tenant_id;
            document_id := v_document.document_id;
            document_number := billing.format_number(v_series.format, v_document.day, v_number);
            v_hash := billing.chain_hash(v_hash, document_number, v_document.content_hash);
            INSERT INTO billing.issued_documents (
                legal_entity_id, series, number, kind, tenant_id, document_id, content_hash, chain_hash, issued_at
            )
            VALUES (
                v_series.legal_entity_id, v_series.series, v_number, p_kind, tenant_id, document_id,
                v_document.content_hash, v_hash, p_at
            );
            RETURN NEXT;
        END LOOP;

        UPDATE billing.number_series AS s
        SET last_hash = v_hash
        WHERE s.legal_entity_id = v_series.legal_entity_id
            AND s.series = v_series.series;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.register_documents IS
'Gives each of these documents (arrays of equal length) the next number of its series, and enters it in issued_documents,
chained to the one before. p_kind: invoice or credit_note. p_days: the first day of its period.';
