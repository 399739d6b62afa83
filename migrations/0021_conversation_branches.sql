-- Conversations become trees of messages: each message names the one that it follows, and each conversation the message
-- that its active branch ends with. At most one answer is being written in a conversation at a time. Users rate answers.
-- Why: ADR 53.
SET LOCAL ROLE platform_owner;

-- Branches ---------------------------------------------------------------------------------------------------------

-- FORCE binds the owner too.
ALTER TABLE messages NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations NO FORCE ROW LEVEL SECURITY;

ALTER TABLE messages
    -- The message that this one follows; null for the first of a branch that starts the conversation.
    ADD COLUMN parent_id uuid,
    -- The process that writes the answer; null once it is not known.
    ADD COLUMN instance uuid;
UPDATE messages AS m SET parent_id = earlier.id
FROM messages AS earlier
WHERE earlier.tenant_id = m.tenant_id AND earlier.conversation_id = m.conversation_id AND earlier.seq = m.seq - 1;
-- Answers of processes that have ended. One that is still being written is stored all the same when it is complete.
UPDATE messages SET status = 'error', metadata = metadata || '{"abandoned": true}' WHERE status = 'streaming';

ALTER TABLE messages
    ADD UNIQUE (tenant_id, conversation_id, id),
    ADD FOREIGN KEY (tenant_id, conversation_id, parent_id) REFERENCES messages (tenant_id, conversation_id, id);
-- For the foreign key: deleting a conversation looks for the messages that follow each of its messages.
CREATE INDEX idx_messages_parent ON messages (tenant_id, conversation_id, parent_id);
-- One answer at a time, whichever process writes it.
CREATE UNIQUE INDEX messages_one_answer_at_a_time ON messages (tenant_id, conversation_id) WHERE status = 'streaming';

ALTER TABLE conversations
    ADD COLUMN archived boolean NOT NULL DEFAULT false,
    -- The last message of the branch that is shown and continued; null while there are no messages.
    ADD COLUMN active_message_id uuid;
UPDATE conversations AS c SET active_message_id = (
    SELECT m.id FROM messages AS m
    WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1);
ALTER TABLE conversations
    ADD FOREIGN KEY (tenant_id, id, active_message_id) REFERENCES messages (tenant_id, conversation_id, id);
GRANT UPDATE (archived, active_message_id) ON conversations TO platform_app;

ALTER TABLE messages FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;

-- Whether the process with this id is running: it holds the advisory lock of its id (migration 11). Expensive, so that it
-- is evaluated for few rows.
CREATE FUNCTION instance_is_alive(instance uuid) RETURNS boolean LANGUAGE sql STABLE COST 10000
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_locks AS l
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND l.classid = x'696e7374'::integer::oid
                     AND l.objid = ('x' || right(instance::text, 8))::bit(32)::integer::oid)
$$;
GRANT EXECUTE ON FUNCTION instance_is_alive(uuid) TO platform_app;

-- Feedback ---------------------------------------------------------------------------------------------------------

-- What a user thinks of an answer: at most one rating each. It holds no part of the conversation.
CREATE TABLE message_feedback (
    tenant_id   uuid         NOT NULL,
    message_id  uuid         NOT NULL,
    user_id     uuid         NOT NULL,
    rating      varchar(8)   NOT NULL CHECK (rating IN ('up', 'down')),
    comment     text,
    created_at  timestamptz  NOT NULL DEFAULT now(),
    updated_at  timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, message_id),
    FOREIGN KEY (tenant_id, message_id) REFERENCES messages (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_message_feedback_newest ON message_feedback (tenant_id, created_at DESC, message_id DESC);
CREATE INDEX idx_message_feedback_user ON message_feedback (tenant_id, user_id);
ALTER TABLE message_feedback ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_feedback FORCE ROW LEVEL SECURITY;
-- The tenant's admins read it; only its author writes it.
CREATE POLICY tenant_reads ON message_feedback FOR SELECT TO platform_app
    USING (tenant_id = (SELECT app_tenant()));
CREATE POLICY author ON message_feedback TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT, UPDATE (rating, comment, updated_at), DELETE ON message_feedback TO platform_app;

RESET ROLE;
