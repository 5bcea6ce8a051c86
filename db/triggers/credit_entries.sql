-- credit: what is written stays written.
CREATE OR REPLACE TRIGGER append_only
BEFORE UPDATE OR DELETE ON billing.credit_entries
FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();

CREATE OR REPLACE TRIGGER append_only_truncate
BEFORE TRUNCATE ON billing.credit_entries
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
