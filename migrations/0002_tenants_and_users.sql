-- Tenants, their users and teams, and the tokens that were seen.
SET LOCAL ROLE platform_owner;

CREATE TABLE tenants (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name            varchar(255) NOT NULL UNIQUE,
    -- A slug that reads as a UUID could pose as another tenant's id where either is accepted.
    slug            varchar(64)  NOT NULL UNIQUE
                    CHECK (slug ~ '^[a-z0-9][a-z0-9-]*$'
                           AND slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    config          jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object'),
    is_active       boolean      NOT NULL DEFAULT true,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    updated_at      timestamptz  NOT NULL DEFAULT now(),
    -- The nil UUID is the platform's own audit stream.
    CHECK (id <> '00000000-0000-0000-0000-000000000000')
);
CREATE INDEX idx_tenants_created ON tenants (created_at DESC, id DESC);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON tenants FOR SELECT TO platform_app USING (id = (SELECT app_tenant()));
GRANT SELECT ON tenants TO platform_app;

CREATE TABLE users (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    -- Who vouches for the user, and that issuer's stable id of the user (Entra: oid). E-mail never identifies.
    issuer          text         NOT NULL,
    external_id     varchar(255) NOT NULL,
    email           varchar(255) NOT NULL DEFAULT '',
    display_name    varchar(255),
    role            varchar(32)  NOT NULL DEFAULT 'viewer' CHECK (role IN ('viewer', 'user', 'admin')),
    -- Powers beside the role. platform_admin is given by configuration, never by a row of one tenant.
    grants          text[]       NOT NULL DEFAULT '{}' CHECK (grants <@ ARRAY ['auditor', 'approver']),
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    is_active       boolean      NOT NULL DEFAULT true,
    last_login      timestamptz,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_identity UNIQUE (tenant_id, issuer, external_id)
);
CREATE INDEX idx_users_tenant ON users (tenant_id, created_at DESC, id DESC);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (email, display_name, role, is_active, last_login) ON users TO platform_app;

-- Which tokens were seen, by keyed hash, so that a sign-in is recorded once per token.
CREATE TABLE sign_in_tokens (
    tenant_id       uuid         NOT NULL,
    token_hash      varchar(64)  NOT NULL,
    user_id         uuid         NOT NULL,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_sign_in_tokens_user ON sign_in_tokens (tenant_id, user_id, expires_at);
ALTER TABLE sign_in_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sign_in_tokens TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON sign_in_tokens TO platform_app;

CREATE TABLE teams (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    name            varchar(255) NOT NULL,
    slug            varchar(64)  NOT NULL,
    config          jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, slug)
);
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
ALTER TABLE teams FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON teams TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (name, slug, config), DELETE ON teams TO platform_app;

CREATE TABLE team_memberships (
    tenant_id       uuid         NOT NULL,
    team_id         uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    team_role       varchar(32)  NOT NULL DEFAULT 'member' CHECK (team_role IN ('owner', 'member', 'viewer')),
    joined_at       timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, team_id, user_id),
    FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_team_memberships_user ON team_memberships (tenant_id, user_id);
ALTER TABLE team_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE team_memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON team_memberships TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (team_role), DELETE ON team_memberships TO platform_app;

RESET ROLE;
