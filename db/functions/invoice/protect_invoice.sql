-- invoice: trigger that keeps issued invoices as they are.
CREATE OR REPLACE FUNCTION billing.protect_invoice()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status = 'draft' THEN
            RETURN OLD;
        END IF;
    ELSIF OLD.status = 'draft' THEN
        RETURN NEW;
    -- What becomes of it afterwards, forward only.
    ELSIF to_jsonb(OLD) - '{status,paid_at,payment_method,payment_reference,amount_paid,amount_credited,dunning_level,voided_at,void_reason,notes}'::text[]
            = to_jsonb(NEW) - '{status,paid_at,payment_method,payment_reference,amount_paid,amount_credited,dunning_level,voided_at,void_reason,notes}'::text[]
        AND (OLD.status = NEW.status OR (OLD.status, NEW.status) IN (
            ('pending', 'paid'), ('pending', 'overdue'), ('pending', 'void'), ('overdue', 'paid'), ('overdue', 'void')
        ))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an issued invoice cannot be changed'
        USING ERRCODE = 'UB014',
            DETAIL = format('%s of invoice %s (%s) was refused.', TG_OP, OLD.id, OLD.status),
            HINT = 'Correct it by a credit note, an adjustment of the next invoice, or void it.';
END;
$$;

COMMENT ON FUNCTION billing.protect_invoice IS
'Refuses (UB014) to change or delete an invoice that is no draft, but for its way from pending to paid, overdue or void, what
was paid and credited, and notes.';
