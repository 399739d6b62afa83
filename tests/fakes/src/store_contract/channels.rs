//! Test cases for channels and the outbox of messages to them.

use super::{CaseError, CaseResult, TestContext, TestTenant, require, user_id};
use chrono::TimeDelta;
use domain::approval::PolicyTerms;
use domain::channel::{
    Channel, ChannelConfig, ChannelKind, Delivery, DeliveryAttempt, DeliveryError, DeliveryStatus, Notification,
    NotificationEvent, UrlConfig,
};
use domain::page::PageRequest;
use domain::scope::TenantScope;

impl TestContext {
    async fn insert_channel(&self, scope: &TenantScope, name: &str) -> Result<Channel, CaseError> {
        let now = self.advance_clock();
        let channel = Channel {
            id: self.new_id(),
            name: name.to_owned(),
            config: ChannelConfig::Webhook(UrlConfig { url: "https://hooks.example/".to_owned() }),
            sealed: Some(vec![1, 2, 3]),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.begin(scope).await?;
        tx.channels().insert(&channel, Some(user_id(scope)?)).await?;
        tx.commit().await?;
        Ok(channel)
    }

    fn delivery(&self, channel: &Channel) -> Delivery {
        let now = self.advance_clock();
        let notification = Notification::new(NotificationEvent::ChannelTest, now);
        Delivery::new(self.new_id(), channel.id, notification, now)
    }
}

/// The oldest channel of a kind is that of the tenant, and of the kind.
pub async fn the_oldest_channel_of_a_kind_is_found(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    context.insert_channel(&stranger, "shift").await?;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.channels().oldest_of_kind(ChannelKind::Webhook).await?, None);
    drop(tx);
    let channel = context.insert_channel(&ada, "shift").await?;
    context.insert_channel(&ada, "night").await?;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.channels().oldest_of_kind(ChannelKind::Webhook).await?, Some(channel));
    assert_eq!(tx.channels().oldest_of_kind(ChannelKind::Email).await?, None);
    Ok(())
}

/// A name is taken once per tenant, and another tenant sees nothing.
pub async fn a_channel_is_stored_and_changed(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let channel = context.insert_channel(&ada, "shift").await?;
    let other = context.insert_channel(&ada, "night").await?;
    context.insert_channel(&stranger, "shift").await?;
    let mut tx = context.begin(&ada).await?;
    let taken = Channel { name: "shift".to_owned(), ..other.clone() };
    assert!(tx.channels().update(&taken).await.is_err());
    drop(tx);
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.channels().count().await?, 2);
    let config = ChannelConfig::Webhook(UrlConfig { url: "https://hooks.example/2".to_owned() });
    let changed = Channel { config, sealed: None, updated_at: context.advance_clock(), ..channel.clone() };
    assert!(tx.channels().update(&changed).await?);
    assert_eq!(tx.channels().lock(channel.id).await?.as_ref(), Some(&changed));
    assert_eq!(tx.channels().list(&PageRequest::default()).await?.items, [other, changed]);
    tx.commit().await?;
    let mut tx = context.begin(&stranger).await?;
    assert_eq!(tx.channels().get(channel.id).await?, None);
    assert!(!tx.channels().hold(channel.id).await?);
    assert!(!tx.channels().delete(channel.id).await?);
    assert!(!tx.channels().insert_delivery(&context.delivery(&channel)).await?);
    Ok(())
}

/// A deleted channel is in no policy and has no messages.
pub async fn a_channel_is_deleted_with_what_names_it(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let gone = context.insert_channel(&ada, "gone").await?;
    let kept = context.insert_channel(&ada, "kept").await?;
    let terms = PolicyTerms { channels: vec![gone.id, kept.id], ..PolicyTerms::platform_default() };
    let mut tx = context.begin(&ada).await?;
    tx.approvals().put_policy("plant_system_write", &terms, None, context.now()).await?;
    assert!(tx.channels().insert_delivery(&context.delivery(&gone)).await?);
    assert!(tx.channels().delete(gone.id).await?);
    assert!(!tx.channels().delete(gone.id).await?, "once");
    let policy = require(tx.approvals().policy("plant_system_write").await?)?;
    assert_eq!((policy.version, policy.terms.channels), (1, vec![kept.id]));
    assert!(!tx.channels().has_due_deliveries(context.now()).await?);
    tx.commit().await?;
    Ok(())
}

/// A message is claimed by one worker at a time, and an attempt that was overtaken records nothing.
pub async fn a_delivery_is_attempted_until_it_has_ended(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let channel = context.insert_channel(&ada, "shift").await?;
    let delivery = context.delivery(&channel);
    let now = context.now();
    let lease_until = now + TimeDelta::minutes(1);
    let mut tx = context.begin(&ada).await?;
    assert!(tx.channels().insert_delivery(&delivery).await?);
    let first = Delivery { attempts: 1, next_attempt_at: Some(lease_until), ..delivery.clone() };
    assert_eq!(tx.channels().claim_deliveries(now, lease_until, 10).await?, std::slice::from_ref(&first));
    assert_eq!(tx.channels().claim_deliveries(now, lease_until, 10).await?, [], "somebody is at it");
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    let error = DeliveryError { code: "timeout".to_owned(), detail: "It took too long.".to_owned() };
    let retry = DeliveryAttempt {
        delivery: delivery.id,
        number: 1,
        status: DeliveryStatus::Pending,
        error: Some(error.clone()),
        next_attempt_at: Some(lease_until),
    };
    assert!(!tx.channels().record_attempt(&DeliveryAttempt { number: 2, ..retry.clone() }, now).await?);
    assert!(tx.channels().record_attempt(&retry, now).await?);
    assert!(!tx.channels().has_due_deliveries(now).await?);
    assert_eq!(tx.channels().claim_deliveries(lease_until, lease_until, 10).await?.len(), 1);
    let ended = DeliveryAttempt { number: 2, status: DeliveryStatus::Failed, next_attempt_at: None, ..retry };
    assert!(tx.channels().record_attempt(&ended, lease_until).await?);
    assert!(!tx.channels().record_attempt(&ended, lease_until).await?, "it has ended");
    let stored = Delivery {
        attempts: 2,
        status: DeliveryStatus::Failed,
        last_error: Some(error),
        next_attempt_at: None,
        finished_at: Some(lease_until),
        ..first
    };
    assert_eq!(tx.channels().deliveries(channel.id, &PageRequest::default()).await?.items, [stored]);
    assert_eq!(tx.channels().prune_deliveries(lease_until).await?, 0);
    assert_eq!(tx.channels().prune_deliveries(lease_until + TimeDelta::seconds(1)).await?, 1);
    tx.commit().await?;
    Ok(())
}

/// A tenant with due messages gets a job, and the outbox is counted.
pub async fn due_deliveries_are_queued(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let channel = context.insert_channel(&ada, "shift").await?;
    assert_eq!(context.queue.enqueue_due_deliveries().await?, 0);
    let mut tx = context.begin(&ada).await?;
    // The queue has a clock of its own.
    let delivery = Delivery { next_attempt_at: Some(domain::time::Timestamp::default()), ..context.delivery(&channel) };
    assert!(tx.channels().insert_delivery(&delivery).await?);
    tx.commit().await?;
    assert_eq!(context.queue.enqueue_due_deliveries().await?, 1);
    assert_eq!(context.queue.enqueue_due_deliveries().await?, 0, "it is queued");
    assert_eq!(context.queue.delivery_backlog().await?.pending, 1);
    Ok(())
}
