//! Use cases of channels. Secrets are write-only.

use super::ports::{ChannelPorts, to_delivery_error};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::channel::{
    Channel, ChannelConfig, ChannelConfigPatch, ChannelSecrets, ChannelTest, ChannelUpdate, Delivery, DeliveryStatus,
    Notification, NotificationEvent,
};
use domain::command::{
    CreateChannel, DeleteChannel, GetChannel, ListChannels, ListDeliveries, TestChannel, UpdateChannel,
};
use domain::ids::{ChannelId, DeliveryId, TenantId};
use domain::page::Page;
use domain::text::BoundedText;
use tools::channels::Destination;

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the channel" };

/// Use cases of channels.
pub struct ChannelService {
    ports: ChannelPorts,
}

impl ChannelService {
    /// Creates the service.
    #[must_use]
    pub fn new(ports: ChannelPorts) -> Self {
        Self { ports }
    }

    /// The channel after a change. If its destination changes, its secrets are dropped.
    fn changed(&self, tenant: TenantId, before: &Channel, change: UpdateChannel) -> Result<Channel, RuntimeError> {
        let now = self.ports.clock.now();
        let UpdateChannel { id, name, config, secret } = change;
        let patch = config.map(|patch| without_known_url(patch, &before.config)).unwrap_or_default();
        // Secrets that cannot be decrypted are treated as missing; a new secret makes the channel work again.
        let known = self.ports.open(tenant, before).unwrap_or_default();
        let has_new_url = patch.url.is_some();
        let config = ChannelConfig::build(before.kind(), Some(&before.config), patch)?;
        let moved = hide_query(config, has_new_url);
        let is_same_place = moved.config.has_same_destination(&before.config);
        let kept = if is_same_place { known } else { ChannelSecrets::default() };
        let kept = ChannelSecrets { url: moved.secrets.url.or_else(|| kept.url.clone()), ..kept };
        let secrets = match secret {
            Some(Some(secret)) => kept.rotate(secret, now),
            Some(None) => ChannelSecrets { secret: None, previous: None, ..kept },
            None => kept,
        };
        let destination = Destination { config: moved.config, secrets };
        self.ports.sender.check(&destination)?;
        let sealed = self.ports.seal(tenant, id, &destination.secrets)?;
        let name = name.map_or_else(|| before.name.clone(), BoundedText::into_string);
        Ok(Channel { name, config: destination.config, sealed, updated_at: now, ..before.clone() })
    }
}

/// Drops the URL of a Teams channel as it was shown: without the query that it still has.
fn without_known_url(patch: ChannelConfigPatch, known: &ChannelConfig) -> ChannelConfigPatch {
    match known {
        ChannelConfig::Teams(known) if patch.url.as_ref() == Some(&known.url) => {
            ChannelConfigPatch { url: None, ..patch }
        }
        _ => patch,
    }
}

/// Moves the whole URL of a Teams channel to the secrets if it is new, and leaves it without its query.
fn hide_query(config: ChannelConfig, is_new: bool) -> Destination {
    let mut destination = Destination { config, secrets: ChannelSecrets::default() };
    if let ChannelConfig::Teams(config) = &mut destination.config
        && is_new
    {
        destination.secrets.url = Some(config.url.clone());
        if let Some(end) = config.url.find(['?', '#']) {
            config.url.truncate(end);
        }
    }
    destination
}

#[async_trait]
impl UseCase<ListChannels> for ChannelService {
    async fn execute(&self, command: Authorized<ListChannels>) -> Result<Page<Channel>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let page = tx.channels().list(&command.command().page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<GetChannel> for ChannelService {
    async fn execute(&self, command: Authorized<GetChannel>) -> Result<Channel, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let channel = tx.channels().get(command.command().id).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(channel)
    }
}

#[async_trait]
impl UseCase<CreateChannel> for ChannelService {
    async fn execute(&self, command: Authorized<CreateChannel>) -> Result<Channel, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, CreateChannel { name, kind, config, secret }) = command.into_parts();
        if tx.channels().count().await? >= Channel::MAX_PER_TENANT {
            return Err(RuntimeError::Conflict { detail: "The tenant already has 100 channels; delete one first." });
        }
        let mut destination = hide_query(ChannelConfig::build(kind, None, config)?, true);
        destination.secrets.secret = secret;
        self.ports.sender.check(&destination)?;
        let (id, now) = (ChannelId::from_uuid(self.ports.ids.uuid()), self.ports.clock.now());
        let sealed = self.ports.seal(permit.scope().tenant(), id, &destination.secrets)?;
        let name = name.into_string();
        let channel = Channel { id, name, config: destination.config, sealed, created_at: now, updated_at: now };
        tx.channels().insert(&channel, permit.scope().user()).await?;
        tx.defer_commit();
        Ok(channel)
    }
}

#[async_trait]
impl UseCase<UpdateChannel> for ChannelService {
    async fn execute(&self, command: Authorized<UpdateChannel>) -> Result<ChannelUpdate, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, change) = command.into_parts();
        let mut changed = change.changed_fields();
        let before = tx.channels().lock(change.id).await?.ok_or(NOT_FOUND)?;
        let after = self.changed(permit.scope().tenant(), &before, change)?;
        tx.channels().update(&after).await?;
        tx.defer_commit();
        // A secret is not kept for a new destination.
        if before.sealed.is_some() && after.sealed.is_none() && !changed.contains(&"secret") {
            changed.push("secret");
        }
        Ok(ChannelUpdate { before, after, changed })
    }
}

#[async_trait]
impl UseCase<DeleteChannel> for ChannelService {
    async fn execute(&self, command: Authorized<DeleteChannel>) -> Result<Channel, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let id = command.command().id;
        let channel = tx.channels().get(id).await?.ok_or(NOT_FOUND)?;
        if !tx.channels().delete(id).await? {
            return Err(NOT_FOUND);
        }
        tx.defer_commit();
        Ok(channel)
    }
}

#[async_trait]
impl UseCase<TestChannel> for ChannelService {
    async fn execute(&self, command: Authorized<TestChannel>) -> Result<ChannelTest, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let channel = tx.channels().get(command.command().id).await?.ok_or(NOT_FOUND)?;
        let now = self.ports.clock.now();
        let notification = Notification::new(NotificationEvent::ChannelTest, now);
        let id = DeliveryId::from_uuid(self.ports.ids.uuid());
        let delivery = Delivery::new(id, channel.id, notification, now);
        let message = self.ports.message(&mut *tx, &delivery).await?;
        tx.commit().await?;
        let sent = match self.ports.destination(command.scope().tenant(), &channel) {
            Ok(destination) => self.ports.sender.send(&destination, &message).await,
            Err(error) => Err(error),
        };
        let error = sent.err().map(|error| to_delivery_error(&error));
        let status = if error.is_none() { DeliveryStatus::Delivered } else { DeliveryStatus::Failed };
        let tried = Delivery {
            status,
            attempts: 1,
            last_error: error.clone(),
            next_attempt_at: None,
            finished_at: Some(self.ports.clock.now()),
            ..delivery
        };
        let mut tx = command.begin(&*self.ports.store).await?;
        tx.channels().insert_delivery(&tried).await?;
        tx.defer_commit();
        Ok(ChannelTest { error })
    }
}

#[async_trait]
impl UseCase<ListDeliveries> for ChannelService {
    async fn execute(&self, command: Authorized<ListDeliveries>) -> Result<Page<Delivery>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let ListDeliveries { id, page } = command.command();
        let deliveries = tx.channels().deliveries(*id, page).await?;
        tx.defer_commit();
        Ok(deliveries)
    }
}
