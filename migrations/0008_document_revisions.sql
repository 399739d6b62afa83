-- Revisions of documents, how far their ingestion has come, and what to know of how they were read.
SET LOCAL ROLE platform_owner;

ALTER TABLE documents
    -- Which issue it is, as the plant counts.
    ADD COLUMN revision        varchar(64),
    -- The day (UTC) from which it is in force; from its ingestion on where null.
    ADD COLUMN effective_from  date,
    -- The document that it takes the place of.
    ADD COLUMN supersedes      uuid,
    -- Set on the superseded document, in the transaction that makes the new one searchable: by which, and from which day.
    ADD COLUMN superseded_by   uuid,
    ADD COLUMN superseded_from date,
    -- {"pages_read", "page_count", "chunks_embedded", "chunk_count"} while it is processed; null otherwise.
    ADD COLUMN progress        jsonb CHECK (jsonb_typeof(progress) = 'object'),
    -- Sentences for a person: pages that need text recognition, hidden text left out, …
    ADD COLUMN warnings        jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(warnings) = 'array'),
    ADD CHECK (supersedes IS NULL OR supersedes <> id),
    ADD CHECK (superseded_by IS NULL OR superseded_from IS NOT NULL),
    -- Where the other document is deleted, the reference ends: what it had taken the place of is in force again.
    ADD FOREIGN KEY (tenant_id, supersedes) REFERENCES documents (tenant_id, id) ON DELETE SET NULL (supersedes),
    ADD FOREIGN KEY (tenant_id, superseded_by) REFERENCES documents (tenant_id, id) ON DELETE SET NULL (superseded_by);

CREATE INDEX idx_documents_supersedes ON documents (tenant_id, supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX idx_documents_superseded_by ON documents (tenant_id, superseded_by) WHERE superseded_by IS NOT NULL;

GRANT UPDATE (superseded_by, superseded_from, progress, warnings) ON documents TO platform_app;

RESET ROLE;
