DROP TABLE billing.tenant_terms;
DROP TABLE billing.resolved_prices;
DROP TABLE billing.pricing_rates;
DROP TABLE billing.pricing_plans;
