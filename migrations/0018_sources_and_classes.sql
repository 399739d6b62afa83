-- What an answer was made from, with its class; the class of what users say and remember; the last class of documents
-- that were deleted.
SET LOCAL ROLE platform_owner;

-- Sources ----------------------------------------------------------------------------------------------------------

-- The documents that an answer was made from, cited or not, those of earlier answers that it builds on included:
-- {document id: class at that time}.
ALTER TABLE messages ADD COLUMN sources jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sources) = 'object');
GRANT UPDATE (sources) ON messages TO platform_app;

-- Earlier answers name what they cite; what else they were made from was not kept. FORCE binds the owner too.
ALTER TABLE messages NO FORCE ROW LEVEL SECURITY;
UPDATE messages SET sources = (
    SELECT jsonb_object_agg(cited ->> 'document_id', classification) FROM jsonb_array_elements(citations) AS cited)
WHERE citations <> '[]';
-- What a user writes is internal unless said otherwise.
UPDATE messages SET classification = 'internal' WHERE role = 'user';
ALTER TABLE messages ALTER COLUMN classification SET DEFAULT 'internal';
ALTER TABLE messages FORCE ROW LEVEL SECURITY;

-- Memories ---------------------------------------------------------------------------------------------------------

ALTER TABLE memories ADD COLUMN classification varchar(32) NOT NULL DEFAULT 'internal'
    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted'));

-- Deleted documents ------------------------------------------------------------------------------------------------

-- How a document was classified when it was deleted: what was written from it stays withheld from those who could not
-- see it then. It holds no name and no content.
CREATE TABLE document_tombstones (
    tenant_id       uuid         NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    document_id     uuid         NOT NULL,
    classification  varchar(32)  NOT NULL
                    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    deleted_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, document_id)
);
ALTER TABLE document_tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_tombstones FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_tombstones TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT ON document_tombstones TO platform_app;

RESET ROLE;
