-- credit: take_from_lots is told what for, read_headroom what has lapsed; functions are loaded anew after the migrations.

DROP FUNCTION IF EXISTS billing.take_from_lots;
DROP FUNCTION IF EXISTS billing.read_headroom;
