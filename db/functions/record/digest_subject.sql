-- record: a subject as forgotten_subjects knows it.
CREATE OR REPLACE FUNCTION billing.digest_subject(p_needle text)
RETURNS bytea
LANGUAGE sql
STABLE
AS $$
    SELECT sha256(k.key || sha256(k.key || convert_to(p_needle, 'UTF8'))) FROM billing.privacy_key AS k;
$$;

COMMENT ON FUNCTION billing.digest_subject IS
'forgotten_subjects.digest of p_needle (as read_subject gives it); NULL where there is no key, and so nobody on the list.';
