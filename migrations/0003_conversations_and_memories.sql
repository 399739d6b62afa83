-- What belongs to one user: conversations, their messages, memories. Policies ask for tenant and user.
SET LOCAL ROLE platform_owner;

CREATE TABLE conversations (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    title           varchar(512),
    model           varchar(128),
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    -- The seq of the next message. Taking one locks the row, so concurrent turns never share a seq.
    next_seq        bigint       NOT NULL DEFAULT 1,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    updated_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX idx_conversations_user ON conversations (tenant_id, user_id, created_at DESC, id DESC);
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON conversations TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT, UPDATE (title, model, metadata, next_seq, updated_at), DELETE ON conversations TO platform_app;

CREATE TABLE messages (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    conversation_id uuid         NOT NULL,
    -- The conversation's owner: the foreign key keeps it so, the policy reads it.
    user_id         uuid         NOT NULL,
    -- Place in the conversation, from 1: messages of one transaction share their created_at.
    seq             bigint       NOT NULL CHECK (seq > 0),
    role            varchar(32)  NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
    content         text         NOT NULL,
    status          varchar(32)  NOT NULL DEFAULT 'complete'
                    CHECK (status IN ('streaming', 'complete', 'cancelled', 'error')),
    token_count     integer,
    citations       jsonb        NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(citations) = 'array'),
    -- The model that wrote an answer, as it named itself.
    model           varchar(255),
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, conversation_id, seq),
    FOREIGN KEY (tenant_id, conversation_id, user_id) REFERENCES conversations (tenant_id, id, user_id)
        ON DELETE CASCADE
);
-- Few at any time: answers being written, or abandoned.
CREATE INDEX idx_messages_streaming ON messages (tenant_id, user_id, created_at) WHERE status = 'streaming';
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON messages TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
-- Messages go with their conversation, never one by one.
GRANT SELECT, INSERT, UPDATE (content, status, token_count, citations, model, metadata) ON messages TO platform_app;

CREATE TABLE memories (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    content         text         NOT NULL,
    -- No fixed dimension: the model is data, not schema.
    embedding       vector,
    embedding_model text,
    importance      double precision NOT NULL DEFAULT 0.5 CHECK (importance BETWEEN 0 AND 1),
    tags            text[]       NOT NULL DEFAULT '{}',
    source_type     varchar(64)  NOT NULL DEFAULT 'explicit',
    expires_at      timestamptz,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    updated_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CHECK ((embedding IS NULL) = (embedding_model IS NULL))
);
CREATE INDEX idx_memories_user ON memories (tenant_id, user_id, created_at DESC, id DESC);
ALTER TABLE memories ENABLE ROW LEVEL SECURITY;
ALTER TABLE memories FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON memories TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT, DELETE ON memories TO platform_app;

RESET ROLE;
