-- The maintenance systems of tenants, attempts at writes, closed work orders, and plant modes as a metric (ADR 84).
SET LOCAL ROLE platform_owner;

CREATE TABLE maintenance_systems (
    tenant_id       uuid         NOT NULL PRIMARY KEY REFERENCES tenants (id),
    kind            varchar(16)  NOT NULL CHECK (kind IN ('builtin', 'rest', 'maximo', 'sap_pm')),
    options         jsonb        NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    -- AES-256-GCM under a key derived from SECRET_KEY, with version, nonce and tag.
    sealed_secret   bytea        CHECK (octet_length(sealed_secret) BETWEEN 29 AND 16384),
    updated_by      uuid,
    updated_at      timestamptz  NOT NULL,
    FOREIGN KEY (tenant_id, updated_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE maintenance_systems ENABLE ROW LEVEL SECURITY;
ALTER TABLE maintenance_systems FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON maintenance_systems TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (kind, options, sealed_secret, updated_by, updated_at) ON maintenance_systems
    TO platform_app;

-- Attempts at the write of an approval, counted before each one begins: of a request without any it is certain that
-- nothing was written.
ALTER TABLE approvals ADD COLUMN write_attempts smallint NOT NULL DEFAULT 0 CHECK (write_attempts >= 0);
GRANT UPDATE (write_attempts) ON approvals TO platform_app;

ALTER TABLE work_orders
    ADD COLUMN closed_by uuid,
    ADD COLUMN closed_at timestamptz,
    ADD FOREIGN KEY (tenant_id, closed_by) REFERENCES users (tenant_id, id);
GRANT UPDATE (closed_by, closed_at) ON work_orders TO platform_app;

-- Numbers of active tenants by plant mode, without their ids.
CREATE FUNCTION plant_mode_counts() RETURNS TABLE (mode text, tenants bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(m.mode, 'normal')::text, count(*)
    FROM public.tenants t LEFT JOIN public.plant_mode m ON m.tenant_id = t.id
    WHERE t.is_active
    GROUP BY 1
$$;
GRANT EXECUTE ON FUNCTION plant_mode_counts() TO platform_worker;

RESET ROLE;
