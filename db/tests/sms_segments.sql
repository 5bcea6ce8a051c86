-- A text is counted in segments as it goes on the air.
BEGIN;
SELECT plan(20);

CREATE FUNCTION pg_temp.counted(p_body text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT format('%s %s', encoding, segments) FROM billing.sms_segments(p_body);
$$;
\set euro 'U&\'\\20AC\''
\set whale 'U&\'\\+01F40B\''

SELECT is(pg_temp.counted(''), 'GSM-7 1', 'no text is one segment');
SELECT is(pg_temp.counted(NULL), 'GSM-7 1', 'and so is an unknown one');
SELECT is(pg_temp.counted(repeat('a', 160)), 'GSM-7 1', '160 septets fit into one');
SELECT is(pg_temp.counted(repeat('a', 161)), 'GSM-7 2', '161 do not');
SELECT is(pg_temp.counted(repeat('a', 306)), 'GSM-7 2', 'each part holds 153');
SELECT is(pg_temp.counted(repeat('a', 307)), 'GSM-7 3', 'and no more');

SELECT is(pg_temp.counted(repeat(:euro, 80)), 'GSM-7 1', 'a character of the extension table is two septets');
SELECT is(pg_temp.counted(repeat('a', 159) || :euro), 'GSM-7 2', 'which count');
SELECT is(pg_temp.counted(repeat(E'\f^{}\\[~]|' || :euro, 8)), 'GSM-7 1', 'all ten of them, form feed too');
SELECT is(pg_temp.counted(repeat('a', 152) || :euro || repeat('a', 151)), 'GSM-7 2', 'an escape at the end of a part moves to the next');
SELECT is(pg_temp.counted(repeat('a', 152) || :euro || repeat('a', 152)), 'GSM-7 3', 'and the septet lost there counts');

SELECT is(pg_temp.counted('`'), 'UCS-2 1', 'a character that is not in GSM-7 makes it UCS-2');
SELECT is(pg_temp.counted(repeat('a', 69) || '`'), 'UCS-2 1', '70 code units fit into one');
SELECT is(pg_temp.counted(repeat('a', 70) || '`'), 'UCS-2 2', '71 do not');
SELECT is(pg_temp.counted(repeat('`', 134)), 'UCS-2 2', 'each part holds 67');
SELECT is(pg_temp.counted(repeat('`', 135)), 'UCS-2 3', 'and no more');
SELECT is(pg_temp.counted(repeat(:whale, 35)), 'UCS-2 1', 'a character beyond U+FFFF is two code units');
SELECT is(pg_temp.counted(repeat(:whale, 66)), 'UCS-2 2', 'of which no part ends with the first: 33 of them in 67 units');
SELECT is(pg_temp.counted(repeat(:whale, 67)), 'UCS-2 3', 'and the units lost there count');
SELECT is(pg_temp.counted(repeat(E'\x1B', 134)), 'UCS-2 2', 'ESC is no character of GSM-7, and none of an escape in UCS-2');

SELECT * FROM finish();
ROLLBACK;
