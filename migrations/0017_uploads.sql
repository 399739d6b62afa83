-- Uploads: one document at a time takes the place of another, and the same bytes stand once for those who see them.
SET LOCAL ROLE platform_owner;

ALTER TABLE documents
    -- Stored by somebody who may not see the document with the same bytes that was there already.
    ADD COLUMN copy boolean NOT NULL DEFAULT false;
ALTER TABLE documents DROP CONSTRAINT documents_same_bytes;
CREATE UNIQUE INDEX documents_same_bytes ON documents (tenant_id, sha256) WHERE NOT copy;
CREATE INDEX idx_documents_sha256 ON documents (tenant_id, sha256);

-- Of several that supersede the same document, the one that took its place keeps saying so, or else the oldest. The
-- others stand for themselves. FORCE binds the owner too.
ALTER TABLE documents NO FORCE ROW LEVEL SECURITY;
UPDATE documents AS d
SET supersedes = NULL
FROM (SELECT n.tenant_id, n.id,
             row_number() OVER (PARTITION BY n.tenant_id, n.supersedes
                                ORDER BY (n.id IS NOT DISTINCT FROM old.superseded_by) DESC, n.created_at, n.id) AS place
      FROM documents AS n
      JOIN documents AS old ON old.tenant_id = n.tenant_id AND old.id = n.supersedes
      WHERE n.status <> 'failed') AS claim
WHERE d.tenant_id = claim.tenant_id AND d.id = claim.id AND claim.place > 1;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;

-- One that failed gives the place up, and gets it back by being processed again only while it is free.
CREATE UNIQUE INDEX documents_one_successor ON documents (tenant_id, supersedes)
    WHERE supersedes IS NOT NULL AND status <> 'failed';

RESET ROLE;
