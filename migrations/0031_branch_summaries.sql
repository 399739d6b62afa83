-- Long conversations are continued from a summary of their beginning (ADR 72).
SET LOCAL ROLE platform_owner;

ALTER TABLE messages
    -- Summary of the branch from its beginning to this message, with its class and sources; null for most messages.
    ADD COLUMN summary jsonb CHECK (jsonb_typeof(summary) = 'object');
GRANT UPDATE (summary) ON messages TO platform_app;

RESET ROLE;
