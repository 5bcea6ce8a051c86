DROP TABLE billing.invoice_line_items;
DROP TABLE billing.invoices;
DROP TABLE billing.credit_entries;
