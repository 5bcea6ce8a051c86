-- operate: why a table's rows would not be billed as they should be.
CREATE OR REPLACE FUNCTION billing.find_metering_problem(p_table regclass, p_measure_call text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM pg_attribute AS a WHERE a.attrelid = p_table AND a.attname = 'id' AND NOT a.attnotnull
        ) THEN 'its column id may be NULL: a row without an id is not billed'
        WHEN EXISTS (
            SELECT
            FROM pg_inherits AS i
            INNER JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE p_table IN (i.inhparent, i.inhrelid)
                AND NOT c.relispartition
        ) THEN 'it inherits from a table, or is inherited from: what is written by the other''s name passes its triggers by'
        WHEN EXISTS (
            -- PostgreSQL does not compute them for row triggers.
            SELECT
            FROM pg_attribute AS a
            INNER JOIN pg_class AS c ON c.oid = a.attrelid
            WHERE a.attrelid = p_table
                AND a.attgenerated = 'v'
                AND c.relkind = 'p'
                AND strpos(p_measure_call, format('r.%I::', a.attname)) > 0
        ) THEN 'it is partitioned, and its measure function reads a virtual generated column: make it STORED'
    END;
$$;

COMMENT ON FUNCTION billing.find_metering_problem IS
'What keeps rows of p_table from being billed once and at once by p_measure_call (metered_tables.measure_call), in words; NULL:
nothing. meter_table refuses such a table, list_trigger_gaps names one that became so.';
