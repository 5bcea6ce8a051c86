-- operate: record_new_rows no longer tells which rows are busy; it is loaded anew after the migrations.

DROP FUNCTION IF EXISTS billing.record_new_rows;
