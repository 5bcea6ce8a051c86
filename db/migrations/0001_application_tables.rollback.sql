-- The application's tables, their columns and their rows stay: they are not ours to take away.
SELECT 1;
