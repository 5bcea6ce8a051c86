-- invoice: the number of a document as it is printed.
CREATE OR REPLACE FUNCTION billing.format_number(p_format text, p_day date, p_number bigint DEFAULT NULL)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT replace(replace(
            regexp_replace(p_format, '{number(:[1-9])?}$', ''),
            '{year}', to_char(p_day, 'YYYY')
        ), '{month}', to_char(p_day, 'MM'))
        || COALESCE(lpad(
            p_number::text,
            GREATEST(length(p_number::text), COALESCE(substring(p_format FROM '{number:([1-9])}$')::integer, 1)), '0'
        ), '');
$$;

COMMENT ON FUNCTION billing.format_number IS
'p_format (as legal_entities.invoice_format) for the period that begins on p_day: the number, or without p_number its series.';
