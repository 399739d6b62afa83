-- Before a dump is restored: what the first migration does for the cluster and the database.
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
END
$$;
