-- rate: what a price that has begun refers to stays as it is.
SELECT billing.attach_trigger('billing.calendars', 'check_calendar',
    'BEFORE INSERT OR UPDATE OR DELETE ON billing.calendars FOR EACH ROW EXECUTE FUNCTION billing.check_calendar()');
-- After the statement, when all its rows have changed: a band may move from one row to another.
SELECT billing.attach_trigger('billing.calendar_bands', 'check_calendar_band',
    'AFTER INSERT OR UPDATE OR DELETE ON billing.calendar_bands FOR EACH ROW EXECUTE FUNCTION billing.check_calendar_band()');
SELECT billing.attach_trigger('billing.calendar_holidays', 'check_calendar_holiday',
    'AFTER INSERT OR UPDATE OR DELETE ON billing.calendar_holidays FOR EACH ROW EXECUTE FUNCTION billing.check_calendar_holiday()');

-- TRUNCATE would take what prices in force refer to.
SELECT billing.attach_trigger('billing.calendars', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.calendars FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger('billing.calendar_bands', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.calendar_bands FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger('billing.calendar_holidays', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.calendar_holidays FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
