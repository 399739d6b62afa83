-- Attempts at a write of which it is known what the maintenance system made of them (ADR 84).
SET LOCAL ROLE platform_owner;

-- At most write_attempts. What was begun and has no answer may have been sent by a process that died, or have been lost
-- on the way.
ALTER TABLE approvals
    ADD COLUMN write_answers smallint NOT NULL DEFAULT 0 CHECK (write_answers >= 0),
    ADD CONSTRAINT approvals_write_answers CHECK (write_answers <= write_attempts);
GRANT UPDATE (write_answers) ON approvals TO platform_app;

RESET ROLE;
