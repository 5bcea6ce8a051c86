-- record, credit and invoice: what is written stays written, also for a session that says it is a replica's.
SELECT billing.attach_guards();
