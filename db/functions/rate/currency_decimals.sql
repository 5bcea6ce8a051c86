-- rate: how many decimals a currency has.
CREATE OR REPLACE FUNCTION billing.currency_decimals(p_currency text)
RETURNS integer
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_currency IN (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF',
            'XOF', 'XPF'
        ) THEN 0
        WHEN p_currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        WHEN p_currency IN ('CLF', 'UYW') THEN 4
        ELSE 2
    END;
$$;

COMMENT ON FUNCTION billing.currency_decimals IS 'Decimals of the minor unit of a currency, by ISO 4217 (JPY 0, BHD 3, most 2).';
