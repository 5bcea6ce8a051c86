-- record: trigger that makes usage_records append-only, but for what tells of people.
CREATE OR REPLACE FUNCTION billing.refuse_record_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_new billing.usage_records;
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('billing.forgets', true) = 'on' THEN
        v_new := NEW;
        v_new.destination := OLD.destination;
        v_new.metadata := OLD.metadata;
        v_new.resource_id := OLD.resource_id;
        IF v_new IS NOT DISTINCT FROM OLD
            -- Forgetting takes away, and brings nothing in.
            AND (NEW.destination IS NOT DISTINCT FROM OLD.destination
                OR strpos(NEW.destination, '***') > 0 AND billing.is_same_destination(OLD.destination, NEW.destination))
            AND (NEW.resource_id = OLD.resource_id OR starts_with(NEW.resource_id, '***'))
            AND NOT EXISTS (
                SELECT
                FROM jsonb_path_query(NEW.metadata, 'strict $.** ? (@.type() != "object" && @.type() != "array")') AS v
                WHERE strpos(v #>> '{}', '***') = 0
                    AND NOT jsonb_path_exists(OLD.metadata, 'strict $.** ? (@ == $v)', jsonb_build_object('v', v))
            )
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'UB014',
            DETAIL = format('%s of billing.%s was refused.', TG_OP, TG_TABLE_NAME),
            HINT = 'Correct the source row. billing.forget_subject takes a number out of what is written.';
END;
$$;

COMMENT ON FUNCTION billing.refuse_record_change IS
'Refuses UPDATE and DELETE of usage_records (UB014). While billing.forgets is on, as forget_in_table and erase_destinations set it,
an UPDATE may shorten destination to a beginning and ***, take things out of metadata, and put a pseudonym for resource_id: no
figure, and nothing new.';
