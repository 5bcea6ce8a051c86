DROP TABLE billing.adjustments;
DROP TABLE billing.rerating_differences;
DROP TABLE billing.rerating_proposals;
