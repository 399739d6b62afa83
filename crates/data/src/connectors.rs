//! Connectors to plant systems.

use crate::plant_tags;
use crate::rows::{KeysetParams, TextEnum, non_negative};
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::ConnectorId;
use domain::page::{Page, PageKey, PageRequest};
use domain::plant::{
    CertificateThumbprint, Connector, ConnectorDetails, ConnectorKind, KnownTag, Recording, SealedSecret, Tag, TagQuery,
};
use domain::ports::{ConnectorRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

row! {
    pub(crate) struct ConnectorRow, columns = connector_columns {
        id: Uuid,
        name: String,
        kind: TextEnum<ConnectorKind>,
        endpoint: String,
        config: Value,
        sealed_secret: Option<Vec<u8>>,
        classification: TextEnum<Classification>,
        stale_after_s: i32,
        record_interval_s: Option<i32>,
        record_keep_days: Option<i32>,
        enabled: bool,
        trusted_thumbprint: Option<String>,
        revision: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

statements! {
    INSERT: () = Statement::insert(
        "connectors",
        "storing a connector",
        "INSERT INTO connectors
             (id, tenant_id, name, kind, endpoint, config, sealed_secret, classification, stale_after_s,
              record_interval_s, record_keep_days, enabled, trusted_thumbprint, revision, created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    );
    pub(crate) GET: ConnectorRow = Statement::select(
        "connectors",
        "reading a connector",
        concat!("SELECT ", connector_columns!(), " FROM connectors WHERE id = $1"),
    );
    LOCK: ConnectorRow = Statement::select(
        "connectors",
        "locking a connector",
        concat!("SELECT ", connector_columns!(), " FROM connectors WHERE id = $1 FOR UPDATE"),
    );
    LIST: ConnectorRow = Statement::select(
        "connectors",
        "listing connectors",
        concat!(
            "SELECT ",
            connector_columns!(),
            " FROM connectors
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    COUNT: Scalar<i64> = Statement::select("connectors", "counting connectors", "SELECT count(*) FROM connectors");
    UPDATE: () = Statement::update(
        "connectors",
        "changing a connector",
        "UPDATE connectors
         SET name = $2, endpoint = $3, config = $4, sealed_secret = $5, classification = $6, stale_after_s = $7,
             record_interval_s = $8, record_keep_days = $9, enabled = $10, trusted_thumbprint = $11,
             revision = revision + 1, updated_at = $12
         WHERE id = $1",
    );
    DELETE: () = Statement::delete("connectors", "deleting a connector", "DELETE FROM connectors WHERE id = $1");
}

impl PgTenantTx {
    async fn with_tags(&mut self, connector: Option<Connector>) -> Result<Option<ConnectorDetails>, StoreError> {
        let Some(connector) = connector else { return Ok(None) };
        let tags = plant_tags::of_connectors(self.connection(), &[connector.id]).await?;
        Ok(Some(ConnectorDetails { connector, tags: tags.into_iter().map(|(_, tag)| tag).collect() }))
    }
}

#[async_trait]
impl ConnectorRepo for PgTenantTx {
    async fn insert(&mut self, connector: &Connector) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(connector.id.as_uuid())
            .bind(&connector.name)
            .bind(connector.kind.as_str())
            .bind(&connector.endpoint)
            .bind(&connector.config)
            .bind(connector.secret.as_ref().map(|secret| secret.0.as_slice()))
            .bind(connector.classification.as_str())
            .bind(to_integer(connector.stale_after_s))
            .bind(connector.recording.map(|recording| to_integer(recording.interval_s)))
            .bind(connector.recording.map(|recording| to_integer(recording.keep_days)))
            .bind(connector.is_enabled)
            .bind(connector.trusted_certificate.as_ref().map(|thumbprint| thumbprint.0.as_str()))
            .bind(connector.revision)
            .bind(connector.created_at)
            .bind(connector.updated_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        let connector = GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await?;
        self.with_tags(connector).await
    }

    async fn lock(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        let connector = LOCK.query().bind(id.as_uuid()).fetch_optional(self.connection()).await?;
        self.with_tags(connector).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<ConnectorDetails>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows: Vec<Connector> = query.fetch_all(self.connection()).await?;
        let key = |row: &Connector| PageKey { created_at: row.created_at, id: row.id.as_uuid() };
        let Page { items, next } = Page::from_rows(rows, page, key);
        let ids: Vec<ConnectorId> = items.iter().map(|connector| connector.id).collect();
        let mut tags: HashMap<ConnectorId, Vec<Tag>> = HashMap::new();
        for (owner, tag) in plant_tags::of_connectors(self.connection(), &ids).await? {
            tags.entry(owner).or_default().push(tag);
        }
        let with_tags = |connector: Connector| {
            let tags = tags.remove(&connector.id).unwrap_or_default();
            ConnectorDetails { connector, tags }
        };
        Ok(Page { items: items.into_iter().map(with_tags).collect(), next })
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        COUNT.query().scalar(self.connection()).await.map(non_negative)
    }

    async fn update(&mut self, connector: &Connector) -> Result<bool, StoreError> {
        let update = UPDATE
            .query()
            .bind(connector.id.as_uuid())
            .bind(&connector.name)
            .bind(&connector.endpoint)
            .bind(&connector.config)
            .bind(connector.secret.as_ref().map(|secret| secret.0.as_slice()))
            .bind(connector.classification.as_str())
            .bind(to_integer(connector.stale_after_s))
            .bind(connector.recording.map(|recording| to_integer(recording.interval_s)))
            .bind(connector.recording.map(|recording| to_integer(recording.keep_days)))
            .bind(connector.is_enabled)
            .bind(connector.trusted_certificate.as_ref().map(|thumbprint| thumbprint.0.as_str()))
            .bind(connector.updated_at);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn delete(&mut self, id: ConnectorId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn replace_tags(&mut self, id: ConnectorId, tags: &[Tag]) -> Result<(), StoreError> {
        plant_tags::replace(self.connection(), id, tags).await
    }

    async fn search_tags(
        &mut self,
        query: &TagQuery,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<KnownTag>, StoreError> {
        plant_tags::search(self.connection(), query, clearance, limit).await
    }

    async fn tags_by_name(&mut self, names: &[String], clearance: Classification) -> Result<Vec<KnownTag>, StoreError> {
        plant_tags::by_name(self.connection(), names, clearance).await
    }
}

fn to_integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The recording that two columns hold; `None` unless both have a value.
pub(crate) fn recording(interval_s: Option<i32>, keep_days: Option<i32>) -> Option<Recording> {
    let number = |column: Option<i32>| column.and_then(|number| u32::try_from(number).ok());
    Some(Recording { interval_s: number(interval_s)?, keep_days: number(keep_days)? })
}

impl From<ConnectorRow> for Connector {
    fn from(row: ConnectorRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            kind: row.kind.0,
            endpoint: row.endpoint,
            config: row.config,
            secret: row.sealed_secret.map(SealedSecret),
            classification: row.classification.0,
            stale_after_s: u32::try_from(row.stale_after_s).unwrap_or_default(),
            recording: recording(row.record_interval_s, row.record_keep_days),
            is_enabled: row.enabled,
            trusted_certificate: row.trusted_thumbprint.map(CertificateThumbprint),
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
