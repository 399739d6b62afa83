-- Documents, their passages, and the lexical index over them.
SET LOCAL ROLE platform_owner;

CREATE TABLE documents (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    uploaded_by     uuid         NOT NULL,
    filename        varchar(512) NOT NULL,
    title           varchar(512) NOT NULL,
    mime_type       varchar(128) NOT NULL,
    file_size_bytes bigint       NOT NULL,
    sha256          varchar(64)  NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    storage_path    text         NOT NULL,
    doc_type        varchar(128),
    tags            text[]       NOT NULL DEFAULT '{}',
    classification  varchar(32)  NOT NULL DEFAULT 'internal'
                    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    status          varchar(32)  NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'processing', 'ready', 'failed')),
    -- Why it failed: {"code", "detail"}; null in every other state.
    failure         jsonb,
    page_count      integer,
    chunk_count     integer      NOT NULL DEFAULT 0,
    -- Words of all passages together, for the mean passage length in BM25.
    term_count      bigint       NOT NULL DEFAULT 0,
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    updated_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- The same bytes are one document of a tenant.
    CONSTRAINT documents_same_bytes UNIQUE (tenant_id, sha256),
    -- What the passages' foreign key points at, so that their classification is always the document's.
    UNIQUE (tenant_id, id, classification),
    FOREIGN KEY (tenant_id, uploaded_by) REFERENCES users (tenant_id, id)
);
CREATE INDEX idx_documents_tenant ON documents (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_documents_status ON documents (tenant_id, status);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON documents TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE,
      UPDATE (title, doc_type, tags, classification, status, failure, page_count, chunk_count, term_count, metadata, updated_at)
    ON documents TO platform_app;

CREATE TABLE document_chunks (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    document_id     uuid         NOT NULL,
    chunk_index     integer      NOT NULL CHECK (chunk_index >= 0),
    content         text         NOT NULL,
    token_count     integer,
    -- Page in the file, from 1; null for formats without pages.
    page            integer      CHECK (page > 0),
    section         text,
    classification  varchar(32)  NOT NULL,
    -- No fixed dimension: the model is data, not schema. Vectors of two models are never compared.
    embedding       vector,
    embedding_model text,
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, document_id, chunk_index),
    FOREIGN KEY (tenant_id, document_id, classification) REFERENCES documents (tenant_id, id, classification)
        ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK ((embedding IS NULL) = (embedding_model IS NULL))
);
-- A scan over a tenant's vectors reads them where the row lies; the texts, read for the few hits only, may lie apart.
ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE MAIN;
ALTER TABLE document_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_chunks TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON document_chunks TO platform_app;

-- The lexical index: which passages of a document hold a lexeme, how often, and how long those passages are (in
-- lexemes). A GIN index cannot serve here: its operator @@ is not leakproof, so under row security PostgreSQL checks
-- the policy first and never asks the index. Equality of text and uuid is leakproof, so this table's key is used.
CREATE TABLE document_terms (
    tenant_id       uuid         NOT NULL,
    document_id     uuid         NOT NULL,
    lexeme          text         NOT NULL,
    chunk_indexes   integer[]    NOT NULL,
    frequencies     smallint[]   NOT NULL,
    lengths         integer[]    NOT NULL,
    PRIMARY KEY (tenant_id, lexeme, document_id),
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE,
    CHECK (cardinality(chunk_indexes) > 0
           AND cardinality(chunk_indexes) = cardinality(frequencies)
           AND cardinality(chunk_indexes) = cardinality(lengths))
);
CREATE INDEX idx_document_terms_document ON document_terms (tenant_id, document_id);
ALTER TABLE document_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_terms FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_terms TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON document_terms TO platform_app;

RESET ROLE;
