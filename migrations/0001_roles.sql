-- Roles, the extension, and who may do what to the schema itself.
--
-- Runs as the migrating login: a superuser, or a role with CREATEROLE that owns the database. Every later file runs as
-- platform_owner, so that this role owns all objects and nobody who can log in does.
--
-- Roles belong to the whole cluster, migrations to one database: two databases may be migrated at the same time, so
-- losing the race to create a role is no error. Attributes of a role that is there already are left alone;
-- `data::preflight` refuses a role that has the wrong ones.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES ('platform_owner', 'NOLOGIN'),
                              ('platform_app', 'LOGIN'),
                              ('platform_worker', 'LOGIN'),
                              ('platform_auditor', 'LOGIN')) AS role (name, login)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name);
        BEGIN
            EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT',
                           wanted.name, wanted.login);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;

    -- A migrating login that is no superuser must be a member of platform_owner to act as it.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT pg_has_role(current_user, 'platform_owner', 'SET') THEN
        EXECUTE format('GRANT platform_owner TO %I', current_user);
    END IF;

    -- Temporary tables could stand before the real ones in a search path.
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO platform_app, platform_worker, platform_auditor', current_database());

    -- The application compares the applied migrations with those it was built with.
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON public._sqlx_migrations TO platform_app;
    END IF;
END
$$;

CREATE EXTENSION IF NOT EXISTS vector;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO platform_app, platform_worker, platform_auditor;
GRANT USAGE, CREATE ON SCHEMA public TO platform_owner;

SET LOCAL ROLE platform_owner;

-- A new function is executable by nobody until it is granted.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- The tenant and the user of the transaction, or null: nothing set, set to '' (what a setting is after the transaction
-- that set it), or no UUID. Policies read `(SELECT app_tenant())`, which PostgreSQL evaluates once per statement.
CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN current_setting('app.current_tenant_id', true) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
    THEN current_setting('app.current_tenant_id', true)::uuid
END;

CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN current_setting('app.current_user_id', true) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
    THEN current_setting('app.current_user_id', true)::uuid
END;

GRANT EXECUTE ON FUNCTION app_tenant(), app_user() TO platform_app, platform_auditor;

RESET ROLE;
