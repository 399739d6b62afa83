//! Conditions that several statements share, as literals for `concat!`. Documents are `d`, passages are `c`.

/// What [`super::passage`] reads.
macro_rules! columns {
    () => {
        "c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content, c.classification"
    };
}

/// Documents that can be searched: published, and not failed since. One that is being read again keeps its passages
/// until the new ones take their place. One that is ready and names no model was loaded past this program.
macro_rules! published {
    () => {
        "d.status <> 'failed' AND (d.embedding_model IS NOT NULL OR d.status = 'ready')"
    };
}

/// Passages of the generation that is searched, not of one that is being made.
macro_rules! searched_generation {
    () => {
        "(d.embedding_model IS NULL OR c.embedding_model = d.embedding_model)"
    };
}

/// Documents whose vectors of model $2 the caller may see and asks for. $1 tenant, $3 visible classifications,
/// $4 documents, $5 tags, $6 kind, $7 also what is not in force. Days are the database's, in UTC.
macro_rules! wanted {
    () => {
        "d.tenant_id = $1 AND d.status <> 'failed'
         AND (d.embedding_model = $2 OR d.embedding_model IS NULL AND d.status = 'ready')
         AND d.classification = ANY($3)
         AND ($4::uuid[] = '{}' OR d.id = ANY($4))
         AND ($5::text[] = '{}' OR d.tags && $5)
         AND ($6::text IS NULL OR d.doc_type = $6)
         AND ($7 OR ((d.effective_from IS NULL OR d.effective_from <= (now() AT TIME ZONE 'UTC')::date)
                     AND (d.superseded_by IS NULL OR d.superseded_from > (now() AT TIME ZONE 'UTC')::date)))"
    };
}

pub(super) use {columns, published, searched_generation, wanted};
