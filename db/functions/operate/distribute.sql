-- operate: shards the database by tenant, where Citus is.
CREATE OR REPLACE FUNCTION billing.distribute()
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_step record;
    v_statement text;
    v_statements text[];
BEGIN
    IF to_regproc('create_distributed_table') IS NULL THEN
        RAISE EXCEPTION 'Citus is not in this database'
            USING ERRCODE = 'UB018',
                DETAIL = 'There is no function create_distributed_table.',
                HINT = 'CREATE EXTENSION citus on every node first. billing.plan_distribution() says what would be done.';
    END IF;
    SELECT * INTO v_step FROM billing.plan_distribution() AS p WHERE p.becomes = 'change yours' AND p.statement IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'tables of yours cannot be sharded as they are'
            USING ERRCODE = 'UB012',
                DETAIL = format('%s: %s', v_step.object_name, v_step.statement),
                HINT = 'Make the changes that billing.plan_distribution() lists as yours, and run this again.';
    END IF;
    -- Read to its end first: it reads tables that it changes.
    v_statements := ARRAY(
        SELECT p.statement FROM billing.plan_distribution() AS p WHERE p.becomes <> 'change yours' ORDER BY p.step
    );
    FOREACH v_statement IN ARRAY v_statements LOOP
        EXECUTE v_statement;
    END LOOP;
    RETURN cardinality(v_statements);
END;
$$;

COMMENT ON FUNCTION billing.distribute IS
'Carries out plan_distribution() in one transaction; how many steps. Once: what is distributed already is refused by Citus.
Raises UB012 (the application''s tables are not ready), UB018 (no Citus).';
