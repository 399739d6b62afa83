-- An approval is for the agents as they were: their instructions, tools and model (ADR 95).
SET LOCAL ROLE platform_owner;

-- Null until the plan is approved.
ALTER TABLE goal_steps ADD COLUMN agent_digest varchar(71) CHECK (agent_digest ~ '^sha256:[0-9a-f]{64}$');
GRANT UPDATE (agent_digest) ON goal_steps TO platform_app;

RESET ROLE;
