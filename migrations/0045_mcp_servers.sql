-- MCP servers whose tools a tenant's administrators allow (ADR 87).
SET LOCAL ROLE platform_owner;

CREATE TABLE mcp_servers (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    -- In front of its tools' names, and in approvals and policies on them: it never changes.
    name            varchar(32)  NOT NULL CHECK (name ~ '^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$' AND name !~ '__'),
    url             varchar(2048) NOT NULL,
    -- Encrypted with a key of the tenant and the row (SealedSecrets).
    sealed_token    bytea,
    -- The decisions on its tools, with the definitions that were pinned and seen (domain::mcp::McpTool).
    tools           jsonb        NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tools) = 'array'),
    has_allowed     boolean      NOT NULL DEFAULT false,
    updated_by      uuid,
    created_at      timestamptz  NOT NULL,
    updated_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, updated_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE mcp_servers ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_servers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mcp_servers TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE, UPDATE (url, sealed_token, tools, has_allowed, updated_by, updated_at) ON mcp_servers
    TO platform_app;

RESET ROLE;
