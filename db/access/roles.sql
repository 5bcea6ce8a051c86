-- Who is who. None of them logs in: they are granted to the roles that do. They belong to the whole cluster, so they are made
-- once, by whoever may (CREATEROLE); irisx-usage migrate does it where it can, and prints this where it cannot.

CREATE ROLE billing_writer NOLOGIN;
COMMENT ON ROLE billing_writer IS 'IRISX Usage: applications. Record usage, reserve credit, ask for prices.';

CREATE ROLE billing_reader NOLOGIN;
COMMENT ON ROLE billing_reader IS 'IRISX Usage: SQL users who see the tenants that billing.grant_tenant_access gave them, and no others.';

CREATE ROLE billing_analyst NOLOGIN;
COMMENT ON ROLE billing_analyst IS 'IRISX Usage: SQL users who see all tenants, without the numbers and addresses that people use.';

CREATE ROLE billing_numbers NOLOGIN;
COMMENT ON ROLE billing_numbers IS 'IRISX Usage: granted on top of another role, shows numbers and addresses as well.';

CREATE ROLE billing_admin NOLOGIN;
COMMENT ON ROLE billing_admin IS 'IRISX Usage: prices, plans, credit, invoices, limits, alerts, daily operation.';

CREATE ROLE billing_tenant NOLOGIN;
COMMENT ON ROLE billing_tenant IS 'IRISX Usage: what a request to an API becomes: a reader of the tenant that billing.tenant_id names.';
GRANT billing_reader TO billing_tenant;

CREATE ROLE billing_api NOLOGIN NOINHERIT;
COMMENT ON ROLE billing_api IS 'IRISX Usage: API servers. Has no right but to become billing_tenant, for a transaction.';
GRANT billing_tenant TO billing_api;
