-- Tenants' own glossaries (ADR 97). A version is never changed; the newest is the one in use.
SET LOCAL ROLE platform_owner;

CREATE TABLE glossary_versions (
    tenant_id   uuid         NOT NULL REFERENCES tenants (id),
    -- From 1, without gaps.
    version     bigint       NOT NULL CHECK (version > 0),
    concepts    jsonb        NOT NULL CHECK (jsonb_typeof(concepts) = 'array'),
    changed_by  uuid,
    changed_at  timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, version),
    FOREIGN KEY (tenant_id, changed_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE glossary_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE glossary_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON glossary_versions TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON glossary_versions TO platform_app;

RESET ROLE;
