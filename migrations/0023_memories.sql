-- Memories that are changed, suggested, expire, and are found by what they mean.
SET LOCAL ROLE platform_owner;

ALTER TABLE memories
    -- A suggested memory is used only once its owner makes it active.
    ADD COLUMN status varchar(16) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suggested')),
    -- Where it was said. The message goes with its conversation, and means nothing without it.
    ADD COLUMN source_conversation_id uuid,
    ADD COLUMN source_message_id uuid,
    ADD CONSTRAINT memories_source_type CHECK (source_type IN ('explicit', 'inferred')),
    ADD FOREIGN KEY (tenant_id, source_conversation_id, user_id) REFERENCES conversations (tenant_id, id, user_id)
        ON DELETE SET NULL (source_conversation_id);
CREATE INDEX idx_memories_source ON memories (tenant_id, source_conversation_id) WHERE source_conversation_id IS NOT NULL;
GRANT UPDATE (content, importance, tags, status, expires_at, updated_at, embedding, embedding_model)
    ON memories TO platform_app;

RESET ROLE;
