//! Inserts notifications into the outbox, in the same transaction as the event that they report, and mail to approvers
//! when the policy that names them changes.

use domain::approval::PolicyChange;
use domain::channel::{Channel, ChannelConfig, ChannelKind, Delivery, Notification};
use domain::ids::{ChannelId, DeliveryId, JobId, UserId};
use domain::ports::{IdGen, StoreError, TenantTx};
use std::collections::BTreeSet;

/// Enqueues one delivery per distinct channel; deleted channels are skipped. Workers are woken on commit.
///
/// # Errors
/// If the database fails.
pub async fn enqueue_notification(
    tx: &mut dyn TenantTx,
    ids: &dyn IdGen,
    notification: &Notification,
    channels: impl Iterator<Item = &ChannelId> + Send,
) -> Result<(), StoreError> {
    let channels: BTreeSet<ChannelId> = channels.copied().collect();
    let mut has_deliveries = false;
    for channel in channels {
        let id = DeliveryId::from_uuid(ids.uuid());
        let delivery = Delivery::new(id, channel, notification.clone(), notification.at);
        has_deliveries |= tx.channels().insert_delivery(&delivery).await?;
    }
    if has_deliveries {
        tx.jobs().enqueue_deliveries(JobId::from_uuid(ids.uuid()), notification.at).await?;
    }
    Ok(())
}

/// Notifies the channels of the old and of the new policy, and mails each approver of either of them who
/// does not get a channel's mail already. Without a channel of kind `email` in the tenant, nobody is mailed.
///
/// # Errors
/// If the database fails.
pub async fn enqueue_policy_change(
    tx: &mut dyn TenantTx,
    ids: &dyn IdGen,
    notification: &Notification,
    change: &PolicyChange,
) -> Result<(), StoreError> {
    // The channels of the new policy first: those of the old one may be about to be given up.
    let channels: Vec<ChannelId> =
        change.after.terms.channels.iter().chain(&change.before.terms.channels).copied().collect();
    let mut mail_channels = Vec::new();
    for id in &channels {
        let channel = if_readable(tx.channels().get(*id).await)?;
        mail_channels.extend(channel.filter(|channel| channel.kind() == ChannelKind::Email));
    }
    let sender = match mail_channels.first() {
        Some(channel) => Some(channel.id),
        None => if_readable(tx.channels().oldest_of_kind(ChannelKind::Email).await)?.map(|channel| channel.id),
    };
    if let Some(sender) = sender {
        for user in approvers_without_mail(tx, change, &mail_channels).await? {
            enqueue_notification(tx, ids, &notification.mailed_to(user), std::iter::once(&sender)).await?;
        }
    }
    enqueue_notification(tx, ids, notification, channels.iter()).await
}

/// Passes over a channel whose configuration this version cannot read. After a statement that failed, the next one of
/// the transaction fails, too, so no other failure is hidden.
fn if_readable(channel: Result<Option<Channel>, StoreError>) -> Result<Option<Channel>, StoreError> {
    match channel {
        Err(StoreError::Failed { .. }) => Ok(None),
        other => other,
    }
}

/// The approvers of the old and of the new policy, also those after an escalation, without those who get the mail of
/// one of the channels.
async fn approvers_without_mail(
    tx: &mut dyn TenantTx,
    change: &PolicyChange,
    mail_channels: &[Channel],
) -> Result<Vec<UserId>, StoreError> {
    let terms = [&change.before.terms, &change.after.terms];
    let named = terms.iter().flat_map(|terms| terms.approvers.iter().chain(&terms.escalate_to)).copied();
    let named: Vec<UserId> = named.collect::<BTreeSet<_>>().into_iter().collect();
    let is_granted = terms.iter().any(|terms| terms.allows_any_approver);
    let approvers = tx.users().active_approvers(&named, is_granted).await?;
    let reached: BTreeSet<String> = mail_channels.iter().flat_map(recipients).collect();
    let is_missing = |address: &str| address.contains('@') && !reached.contains(&address.to_lowercase());
    Ok(approvers.into_iter().filter(|user| is_missing(user.email.trim())).map(|user| user.id).collect())
}

/// The addresses that a channel mails to, without names and in lower case.
fn recipients(channel: &Channel) -> Vec<String> {
    let ChannelConfig::Email(config) = &channel.config else { return Vec::new() };
    let bare = |address: &String| {
        let start = address.rfind('<').map_or(0, |at| at + 1);
        address[start..].trim_end_matches(['>', ' ']).trim().to_lowercase()
    };
    config.to.iter().map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::channel::{EmailConfig, EmailTls};
    use domain::time::Timestamp;
    use uuid::Uuid;

    #[test]
    fn recipients_are_compared_by_their_address() {
        let to = ["Shift Lead <Lead@Plant.example>", "ines@plant.example "].map(str::to_owned).to_vec();
        let config = EmailConfig {
            host: "mail.plant.example".to_owned(),
            port: 25,
            from: "platform@plant.example".to_owned(),
            to,
            tls: EmailTls::None,
            username: None,
        };
        let at = Timestamp::UNIX_EPOCH;
        let channel = Channel {
            id: ChannelId::from_uuid(Uuid::from_u128(1)),
            name: "mail".to_owned(),
            config: ChannelConfig::Email(config),
            sealed: None,
            created_at: at,
            updated_at: at,
        };
        assert_eq!(recipients(&channel), ["lead@plant.example", "ines@plant.example"]);
    }
}
