-- credit: take_from_lots took from any lot, read_headroom knew of none that lapsed; they are loaded anew after the migrations.

DROP FUNCTION IF EXISTS billing.take_from_lots;
DROP FUNCTION IF EXISTS billing.read_headroom;
