//! Channels of the tenant, and the outbox of notifications to them.

use crate::rows::{KeysetParams, TextEnum, non_negative};
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::channel::{
    Channel, ChannelConfig, ChannelKind, Delivery, DeliveryAttempt, DeliveryError, DeliveryStatus, Notification,
};
use domain::ids::{ChannelId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ChannelRepo, StoreError};
use domain::time::Timestamp;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

/// Number of attempts after which a delivery that cannot be read fails permanently. Until then, a worker of the version
/// that wrote it may claim it.
const MAX_UNREADABLE_ATTEMPTS: u32 = 3;

row! {
    struct ChannelRow, columns = channel_columns {
        id: Uuid,
        name: String,
        kind: TextEnum<ChannelKind>,
        config: Value,
        sealed: Option<Vec<u8>>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

row! {
    struct DeliveryRow, columns = delivery_columns {
        id: Uuid,
        channel_id: Uuid,
        facts: Value,
        status: TextEnum<DeliveryStatus>,
        attempts: i32,
        next_attempt_at: Option<Timestamp>,
        last_error_code: Option<String>,
        last_error_detail: Option<String>,
        created_at: Timestamp,
        finished_at: Option<Timestamp>,
    }
}

statements! {
    INSERT: () = Statement::insert(
        "channels",
        "storing a channel",
        "INSERT INTO channels (id, tenant_id, name, kind, config, sealed, created_by, created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $7)",
    );
    GET: ChannelRow = Statement::select(
        "channels",
        "reading a channel",
        concat!("SELECT ", channel_columns!(), " FROM channels WHERE id = $1"),
    );
    LOCK: ChannelRow = Statement::select(
        "channels",
        "locking a channel",
        concat!("SELECT ", channel_columns!(), " FROM channels WHERE id = $1 FOR UPDATE"),
    );
    HOLD: Scalar<i32> = Statement::select(
        "channels",
        "looking for a channel",
        "SELECT 1 FROM channels WHERE id = $1 FOR KEY SHARE",
    );
    LIST: ChannelRow = Statement::select(
        "channels",
        "listing channels",
        concat!(
            "SELECT ",
            channel_columns!(),
            " FROM channels
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    OLDEST_OF_KIND: ChannelRow = Statement::select(
        "channels",
        "looking for a channel of a kind",
        concat!("SELECT ", channel_columns!(), " FROM channels WHERE kind = $1 ORDER BY created_at, id LIMIT 1"),
    );
    COUNT: Scalar<i64> = Statement::select("channels", "counting channels", "SELECT count(*) FROM channels");
    UPDATE: () = Statement::update(
        "channels",
        "changing a channel",
        "UPDATE channels SET name = $2, config = $3, sealed = $4, updated_at = $5 WHERE id = $1",
    );
    /// Locked before the channel is deleted: storing a request locks in the same order.
    FORGET: () = Statement::update(
        "approval_policies",
        "taking a channel out of the approval policies",
        "UPDATE approval_policies SET terms = jsonb_set(terms, '{channels}', (terms -> 'channels') - $1::text)
         WHERE terms -> 'channels' ? $1",
    );
    DELETE: () = Statement::delete("channels", "deleting a channel", "DELETE FROM channels WHERE id = $1");
    INSERT_DELIVERY: () = Statement::insert(
        "channel_deliveries",
        "storing a message to a channel",
        "INSERT INTO channel_deliveries
             (id, tenant_id, channel_id, approval_id, event, facts, status, attempts, next_attempt_at, last_error_code,
              last_error_detail, created_at, finished_at)
         SELECT $1::uuid, app_tenant(), id, $3::uuid, $4::text, $5::jsonb, $6::text, $7::int, $8::timestamptz, $9::text,
                $10::text, $11::timestamptz, $12::timestamptz
         FROM channels WHERE id = $2 FOR KEY SHARE",
    );
    DELIVERIES: DeliveryRow = Statement::select(
        "channel_deliveries",
        "listing messages to a channel",
        concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM channel_deliveries
             WHERE channel_id = $4
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    CLAIM: DeliveryRow = Statement::update(
        "channel_deliveries",
        "claiming messages to channels",
        concat!(
            "WITH due AS (
                 SELECT id AS due_id FROM channel_deliveries
                 WHERE status = 'pending' AND next_attempt_at <= $1
                 ORDER BY next_attempt_at, id LIMIT $3
                 FOR UPDATE SKIP LOCKED)
             UPDATE channel_deliveries
             SET attempts = attempts + 1, next_attempt_at = $2
             FROM due WHERE id = due_id
             RETURNING ",
            delivery_columns!()
        ),
    );
    HAS_DUE: Scalar<bool> = Statement::select(
        "channel_deliveries",
        "looking for due messages",
        "SELECT EXISTS (SELECT FROM channel_deliveries WHERE status = 'pending' AND next_attempt_at <= $1)",
    );
    RECORD_ATTEMPT: () = Statement::update(
        "channel_deliveries",
        "recording an attempt at a delivery",
        "UPDATE channel_deliveries
         SET status = $3::text, next_attempt_at = $4, last_error_code = $5, last_error_detail = $6,
             finished_at = CASE WHEN $3::text = 'pending' THEN NULL ELSE $7::timestamptz END
         WHERE id = $1 AND attempts = $2 AND status = 'pending'",
    );
    PRUNE: () = Statement::delete(
        "channel_deliveries",
        "deleting old messages",
        "DELETE FROM channel_deliveries WHERE finished_at < $1",
    );
}

#[async_trait]
impl ChannelRepo for PgTenantTx {
    async fn insert(&mut self, channel: &Channel, by: Option<UserId>) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(channel.id.as_uuid())
            .bind(&channel.name)
            .bind(channel.kind().as_str())
            .bind(Json(&channel.config))
            .bind(&channel.sealed)
            .bind(by.map(|by| by.as_uuid()))
            .bind(channel.created_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        read_channel(GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await?)
    }

    async fn lock(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        read_channel(LOCK.query().bind(id.as_uuid()).fetch_optional(self.connection()).await?)
    }

    async fn hold(&mut self, id: ChannelId) -> Result<bool, StoreError> {
        Ok(HOLD.query().bind(id.as_uuid()).optional_scalar(self.connection()).await?.is_some())
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Channel>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows: Vec<ChannelRow> = query.fetch_all(self.connection()).await?;
        let channels = rows.into_iter().map(ChannelRow::into_channel).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(channels, page, |row: &Channel| PageKey {
            created_at: row.created_at,
            id: row.id.as_uuid(),
        }))
    }

    async fn oldest_of_kind(&mut self, kind: ChannelKind) -> Result<Option<Channel>, StoreError> {
        read_channel(OLDEST_OF_KIND.query().bind(kind.as_str()).fetch_optional(self.connection()).await?)
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        COUNT.query().scalar(self.connection()).await.map(non_negative)
    }

    async fn update(&mut self, channel: &Channel) -> Result<bool, StoreError> {
        let update = UPDATE
            .query()
            .bind(channel.id.as_uuid())
            .bind(&channel.name)
            .bind(Json(&channel.config))
            .bind(&channel.sealed)
            .bind(channel.updated_at);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn delete(&mut self, id: ChannelId) -> Result<bool, StoreError> {
        FORGET.query().bind(id.to_string()).execute(self.connection()).await?;
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn insert_delivery(&mut self, delivery: &Delivery) -> Result<bool, StoreError> {
        let (notification, error) = (&delivery.notification, delivery.last_error.as_ref());
        let insert = INSERT_DELIVERY
            .query()
            .bind(delivery.id.as_uuid())
            .bind(delivery.channel.as_uuid())
            .bind(notification.approval.map(|approval| approval.as_uuid()))
            .bind(notification.event.as_str())
            .bind(Json(notification))
            .bind(delivery.status.as_str())
            .bind(to_i32(delivery.attempts))
            .bind(delivery.next_attempt_at)
            .bind(error.map(|error| error.code.as_str()))
            .bind(error.map(|error| error.detail.as_str()))
            .bind(delivery.created_at)
            .bind(delivery.finished_at);
        Ok(insert.rows_affected(self.connection()).await? > 0)
    }

    async fn deliveries(&mut self, channel: ChannelId, page: &PageRequest) -> Result<Page<Delivery>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query =
            DELIVERIES.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit).bind(channel.as_uuid());
        let rows: Vec<DeliveryRow> = query.fetch_all(self.connection()).await?;
        let rows = Page::from_rows(rows, page, |row: &DeliveryRow| PageKey { created_at: row.created_at, id: row.id });
        Ok(Page { items: rows.items.into_iter().filter_map(DeliveryRow::into_delivery).collect(), next: rows.next })
    }

    async fn claim_deliveries(
        &mut self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let claim = CLAIM.query().bind(now).bind(lease_until).bind(i64::from(limit));
        let rows: Vec<DeliveryRow> = claim.fetch_all(self.connection()).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let unreadable = DeliveryAttempt {
                delivery: row.id.into(),
                number: u32::try_from(row.attempts).unwrap_or_default(),
                status: DeliveryStatus::Failed,
                error: Some(unreadable_facts()),
                next_attempt_at: None,
            };
            match row.into_delivery() {
                Some(delivery) => claimed.push(delivery),
                None if unreadable.number < MAX_UNREADABLE_ATTEMPTS => {}
                None => {
                    ChannelRepo::record_attempt(self, &unreadable, now).await?;
                }
            }
        }
        Ok(claimed)
    }

    async fn has_due_deliveries(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        HAS_DUE.query().bind(now).scalar(self.connection()).await
    }

    async fn record_attempt(&mut self, attempt: &DeliveryAttempt, now: Timestamp) -> Result<bool, StoreError> {
        let error = attempt.error.as_ref();
        let update = RECORD_ATTEMPT
            .query()
            .bind(attempt.delivery.as_uuid())
            .bind(to_i32(attempt.number))
            .bind(attempt.status.as_str())
            .bind(attempt.next_attempt_at)
            .bind(error.map(|error| error.code.as_str()))
            .bind(error.map(|error| error.detail.as_str()))
            .bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn prune_deliveries(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        PRUNE.query().bind(before).rows_affected(self.connection()).await
    }
}

fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn read_channel(row: Option<ChannelRow>) -> Result<Option<Channel>, StoreError> {
    row.map(ChannelRow::into_channel).transpose()
}

impl ChannelRow {
    fn into_channel(self) -> Result<Channel, StoreError> {
        let config = ChannelConfig::from_stored(self.kind.0, self.config);
        Ok(Channel {
            id: self.id.into(),
            name: self.name,
            config: config.map_err(|source| StoreError::Failed {
                activity: "reading the configuration of a channel",
                source: Box::new(source),
            })?,
            sealed: self.sealed,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl DeliveryRow {
    /// The delivery; `None` if another version of the platform wrote facts that this version does not know.
    fn into_delivery(self) -> Option<Delivery> {
        let detail = self.last_error_detail.unwrap_or_default();
        let Ok(notification) = serde_json::from_value::<Notification>(self.facts) else {
            tracing::warn!(delivery_id = %self.id, "a message has facts that this version does not know");
            return None;
        };
        Some(Delivery {
            id: self.id.into(),
            channel: self.channel_id.into(),
            notification,
            status: self.status.0,
            attempts: u32::try_from(self.attempts).unwrap_or_default(),
            last_error: self.last_error_code.map(|code| DeliveryError { code, detail }),
            next_attempt_at: self.next_attempt_at,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

fn unreadable_facts() -> DeliveryError {
    let detail = "Another version of the platform wrote the message, and this one cannot read it.".to_owned();
    DeliveryError { code: "unreadable".to_owned(), detail }
}
