//! The data that sending needs: the channel's secrets, and the facts that are read for each attempt.

use domain::channel::{
    Channel, ChannelConfig, ChannelSecrets, Delivery, DeliveryError, EmailConfig, Message, Requester,
};
use domain::ids::{ChannelId, TenantId, UserId};
use domain::ports::{Clock, IdGen, SealError, SecretSealer, Store, StoreError, TenantTx};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use tools::channels::{ChannelSender, Destination, Retry, SendError};

/// Dependencies of channels.
#[derive(Clone)]
pub struct ChannelPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// Sends messages to the receivers of channels.
    pub sender: Arc<dyn ChannelSender>,
    /// Encrypts the secrets of channels before they are stored.
    pub sealer: Arc<dyn SecretSealer>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
    /// URL at which people reach the platform, without a slash at the end; without it, messages have no link.
    pub public_url: Option<String>,
}

impl ChannelPorts {
    /// Encrypts the secrets of a channel; `None` if there are none.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub(super) fn seal(
        &self,
        tenant: TenantId,
        id: ChannelId,
        secrets: &ChannelSecrets,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Failed {
            activity: "encrypting the secrets of a channel",
            source,
        };
        let json = serde_json::to_vec(secrets).map_err(|error| failed(Box::new(error)))?;
        let sealed = self.sealer.seal(tenant, &Channel::sealing_purpose(id), &json);
        sealed.map(Some).map_err(|error| failed(Box::new(error)))
    }

    /// Decrypts the secrets of a channel.
    ///
    /// # Errors
    /// If they were encrypted with another key, or were changed.
    pub(super) fn open(&self, tenant: TenantId, channel: &Channel) -> Result<ChannelSecrets, SealError> {
        let Some(sealed) = &channel.sealed else { return Ok(ChannelSecrets::default()) };
        let opened = self.sealer.open(tenant, &Channel::sealing_purpose(channel.id), sealed)?;
        serde_json::from_slice(opened.expose_secret()).map_err(|_| SealError::CannotOpen)
    }

    /// The destination of a channel's messages.
    ///
    /// # Errors
    /// If its secrets cannot be decrypted.
    pub(super) fn destination(&self, tenant: TenantId, channel: &Channel) -> Result<Destination, SendError> {
        match self.open(tenant, channel) {
            Ok(secrets) => Ok(Destination { config: channel.config.clone(), secrets }),
            Err(error) => {
                let detail = format!("Not sent: {error}.");
                Err(SendError { code: "secret_unreadable", detail, retry: Retry::Later { after: None } })
            }
        }
    }

    /// The message of a delivery, as it is sent now.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn message(&self, tx: &mut dyn TenantTx, delivery: &Delivery) -> Result<Message, StoreError> {
        let notification = delivery.notification.clone();
        let requester = match notification.requested_by {
            Some(id) => {
                let user = tx.users().get(id).await?;
                Some(Requester { id, name: user.and_then(|user| user.display_name) })
            }
            None => None,
        };
        let link = self.public_url.as_ref().map(|url| match notification.approval {
            Some(approval) => format!("{url}/ui/approvals/{approval}"),
            None => format!("{url}/ui/"),
        });
        Ok(Message { id: delivery.id, notification, requester, link, sent_at: self.clock.now() })
    }
}

/// The destination with the user's own address instead of the channel's receivers.
///
/// # Errors
/// If the database fails. The inner error says that the user cannot be mailed to, now or at all.
pub(super) async fn personal(
    tx: &mut dyn TenantTx,
    destination: Result<Destination, SendError>,
    recipient: UserId,
) -> Result<Result<Destination, SendError>, StoreError> {
    let user = tx.users().get(recipient).await?.filter(|user| user.is_active && user.email.contains('@'));
    Ok(destination.and_then(|destination| match (destination.config, user) {
        (ChannelConfig::Email(config), Some(user)) => {
            let config = ChannelConfig::Email(EmailConfig { to: vec![user.email], ..config });
            Ok(Destination { config, ..destination })
        }
        _ => {
            let detail = "Not sent: the approver has no address any more, or is switched off.".to_owned();
            Err(SendError { code: "no_address", detail, retry: Retry::Never })
        }
    }))
}

/// The error as it is stored with the message.
pub(super) fn to_delivery_error(error: &SendError) -> DeliveryError {
    DeliveryError { code: error.code.to_owned(), detail: error.detail.clone() }
}
