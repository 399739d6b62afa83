-- Who set a user's role and when, what a user's last interactive login said.
SET LOCAL ROLE platform_owner;

ALTER TABLE users
    -- An admin set the role: a token may lower it and never raise it.
    ADD COLUMN role_pinned boolean NOT NULL DEFAULT false,
    -- An admin's change, or the time of issue of the last token that was heard. Null: it came with the user. Roles that
    -- are there already count as set now, so that no older token changes them.
    ADD COLUMN role_set_at timestamptz DEFAULT now(),
    -- Personal access tokens are held to it. Null: none since this column is there, and no access token is accepted.
    ADD COLUMN last_login_facts jsonb CHECK (jsonb_typeof(last_login_facts) = 'object');
ALTER TABLE users ALTER COLUMN role_set_at DROP DEFAULT;
GRANT UPDATE (role_pinned, role_set_at, last_login_facts) ON users TO platform_app;

RESET ROLE;
