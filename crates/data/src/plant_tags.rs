//! The catalogue of plant tags, which the repository of connectors and the plant process read.

use crate::rows::{TextEnum, visible_classifications};
use crate::statement::{Joined, Statement, row, statements};
use domain::ids::{ConnectorId, TagId};
use domain::plant::{
    ConnectorKind, DataType, KnownTag, Tag, TagAddress, TagLimits, TagMapping, TagQuery, normalized_tag_name,
};
use domain::ports::StoreError;
use domain::role::Classification;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    pub(crate) struct TagRow, columns = tag_columns {
        id: Uuid,
        connector_id: Uuid,
        name: String,
        address: String,
        data_type: Option<TextEnum<DataType>>,
        scale: Option<f64>,
        unit: Option<String>,
        description: Option<String>,
        equipment: Option<String>,
        limits: Json<TagLimits>,
    }
}

row! {
    /// The columns of a tag's connector that readings contain.
    struct TagOwnerRow {
        connector_name: String,
        kind: TextEnum<ConnectorKind>,
        classification: TextEnum<Classification>,
        stale_after_s: i32,
        enabled: bool,
    }
}

/// The columns of [`TagOwnerRow`] in a statement on `connectors AS c`.
macro_rules! owner_columns {
    () => {
        "c.name AS connector_name, c.kind, c.classification, c.stale_after_s, c.enabled"
    };
}

statements! {
    pub(crate) OF_CONNECTORS: TagRow = Statement::select(
        "tags",
        "reading tags",
        concat!("SELECT ", tag_columns!(), " FROM tags WHERE connector_id = ANY($1) ORDER BY connector_id, name"),
    );
    DELETE_OTHERS: () = Statement::delete(
        "tags",
        "deleting tags",
        "DELETE FROM tags WHERE connector_id = $1 AND name <> ALL($2)",
    );
    UPSERT: () = Statement::insert(
        "tags",
        "storing tags",
        "INSERT INTO tags AS known (id, tenant_id, connector_id, name, normalized_name, address, data_type, scale, unit,
                                    description, equipment, limits, terms, search_text)
         SELECT t.id, app_tenant(), $1, t.name, t.normalized_name, t.address, t.data_type, t.scale, t.unit,
                t.description, t.equipment, t.limits, t.terms, t.search_text
         FROM jsonb_to_recordset($2) AS t
             (id uuid, name text, normalized_name text, address text, data_type text, scale double precision, unit text,
              description text, equipment text, limits jsonb, terms text[], search_text text)
         ON CONFLICT (tenant_id, connector_id, name) DO UPDATE
         SET normalized_name = excluded.normalized_name, address = excluded.address, data_type = excluded.data_type,
             scale = excluded.scale, unit = excluded.unit, description = excluded.description,
             equipment = excluded.equipment, limits = excluded.limits, terms = excluded.terms,
             search_text = excluded.search_text",
    );
    /// The score is that of [`TagQuery::score`].
    SEARCH: Joined<TagRow, TagOwnerRow> = Statement::select(
        "tags",
        "searching tags",
        concat!(
            "SELECT ",
            tag_columns!("t."),
            ", ",
            owner_columns!(),
            " FROM tags AS t
              JOIN connectors AS c ON c.tenant_id = t.tenant_id AND c.id = t.connector_id
              CROSS JOIN LATERAL (
                  SELECT CASE WHEN lower(t.name) = $1 THEN 100 ELSE 0 END
                       + CASE WHEN $2 <> '' AND t.normalized_name = $2 THEN 50 ELSE 0 END
                       + 10 * (SELECT count(*) FROM unnest($3::text[]) AS term WHERE term = ANY(t.terms))
                       + (SELECT count(*) FROM unnest($4::text[]) AS word WHERE strpos(t.search_text, word) > 0)
                         AS points) AS found
              WHERE c.enabled AND c.classification = ANY($5)
                AND (found.points > 0 OR (cardinality($3::text[]) = 0 AND cardinality($4::text[]) = 0))
              ORDER BY found.points DESC, t.name LIMIT $6"
        ),
    );
    BY_NAME: Joined<TagRow, TagOwnerRow> = Statement::select(
        "tags",
        "reading tags by name",
        concat!(
            "SELECT ",
            tag_columns!("t."),
            ", ",
            owner_columns!(),
            " FROM tags AS t
              JOIN connectors AS c ON c.tenant_id = t.tenant_id AND c.id = t.connector_id
              WHERE (t.name = ANY($1) OR t.normalized_name = ANY($2)) AND c.classification = ANY($3)
              ORDER BY t.name"
        ),
    );
}

/// A tag as `jsonb_to_recordset` reads it.
#[derive(Serialize)]
struct StoredTag<'a> {
    id: TagId,
    name: &'a str,
    normalized_name: String,
    address: &'a str,
    data_type: Option<DataType>,
    scale: Option<f64>,
    unit: Option<&'a str>,
    description: Option<&'a str>,
    equipment: Option<&'a str>,
    limits: TagLimits,
    terms: Vec<String>,
    search_text: String,
}

impl<'a> From<&'a Tag> for StoredTag<'a> {
    fn from(tag: &'a Tag) -> Self {
        Self {
            id: tag.id,
            name: &tag.name,
            normalized_name: tag.normalized_name(),
            address: &tag.mapping.address.0,
            data_type: tag.mapping.data_type,
            scale: tag.mapping.scale,
            unit: tag.unit.as_deref(),
            description: tag.description.as_deref(),
            equipment: tag.equipment.as_deref(),
            limits: tag.limits,
            terms: tag.terms(),
            search_text: tag.search_text(),
        }
    }
}

/// The tags of connectors with their connector, by name.
pub(crate) async fn of_connectors(
    connection: &mut PgConnection,
    connectors: &[ConnectorId],
) -> Result<Vec<(ConnectorId, Tag)>, StoreError> {
    let ids: Vec<Uuid> = connectors.iter().map(ConnectorId::as_uuid).collect();
    let rows: Vec<TagRow> = OF_CONNECTORS.query().bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.connector_id.into(), row.into())).collect())
}

/// Replaces all tags of a connector with `tags`.
pub(crate) async fn replace(
    connection: &mut PgConnection,
    connector: ConnectorId,
    tags: &[Tag],
) -> Result<(), StoreError> {
    let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    DELETE_OTHERS.query().bind(connector.as_uuid()).bind(names).execute(&mut *connection).await?;
    let stored: Vec<StoredTag<'_>> = tags.iter().map(StoredTag::from).collect();
    UPSERT.query().bind(connector.as_uuid()).bind(Json(stored)).execute(connection).await
}

pub(crate) async fn search(
    connection: &mut PgConnection,
    query: &TagQuery,
    clearance: Classification,
    limit: u32,
) -> Result<Vec<KnownTag>, StoreError> {
    SEARCH
        .query()
        .bind(&query.text)
        .bind(&query.name)
        .bind(&query.terms)
        .bind(&query.words)
        .bind(visible_classifications(clearance))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
}

pub(crate) async fn by_name(
    connection: &mut PgConnection,
    names: &[String],
    clearance: Classification,
) -> Result<Vec<KnownTag>, StoreError> {
    let normalized: Vec<String> = names.iter().map(|name| normalized_tag_name(name)).collect();
    let query = BY_NAME.query().bind(names).bind(normalized).bind(visible_classifications(clearance));
    query.fetch_all(connection).await
}

impl From<TagRow> for Tag {
    fn from(row: TagRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            mapping: TagMapping {
                address: TagAddress(row.address),
                data_type: row.data_type.map(|data_type| data_type.0),
                scale: row.scale,
            },
            unit: row.unit,
            description: row.description,
            equipment: row.equipment,
            limits: row.limits.0,
        }
    }
}

impl From<Joined<TagRow, TagOwnerRow>> for KnownTag {
    fn from(Joined(tag, owner): Joined<TagRow, TagOwnerRow>) -> Self {
        Self {
            connector: tag.connector_id.into(),
            tag: tag.into(),
            source: format!("{}:{}", owner.kind.0, owner.connector_name),
            classification: owner.classification.0,
            stale_after_s: u32::try_from(owner.stale_after_s).unwrap_or_default(),
            is_enabled: owner.enabled,
        }
    }
}
