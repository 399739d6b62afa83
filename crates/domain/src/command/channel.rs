//! Commands on channels.

use super::command;
use crate::channel::{Channel, ChannelConfigPatch, ChannelKind, ChannelSecret, ChannelTest, ChannelUpdate, Delivery};
use crate::ids::ChannelId;
use crate::page::{Page, PageRequest};
use crate::text::ShortText;
use serde::Serialize;
use serde_json::json;

/// List the channels of the tenant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListChannels {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListChannels: List Channels as "admin.channels_listed" -> Page<Channel>, transaction Shared);

/// Read a channel.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetChannel {
    /// The channel; must belong to the caller's tenant.
    pub id: ChannelId,
}
command!(GetChannel: Read Channels as "admin.channel_read" -> Channel, target Channel(id), transaction Shared);

/// Create a channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateChannel {
    /// Name for people; unique in the tenant.
    pub name: ShortText,
    /// How its messages travel.
    pub kind: ChannelKind,
    /// Where its messages go.
    pub config: ChannelConfigPatch,
    /// What it must keep to itself.
    #[serde(skip)]
    pub secret: Option<ChannelSecret>,
}
command! {
    CreateChannel: Create Channels as "admin.channel_created" -> Channel,
    transaction Shared,
    id(channel => channel.id),
    outcome(channel => channel.audit_metadata())
}

/// Change a channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateChannel {
    /// The channel; must belong to the caller's tenant.
    pub id: ChannelId,
    /// New name; `None` keeps the present one.
    pub name: Option<ShortText>,
    /// What changes in its configuration.
    pub config: Option<ChannelConfigPatch>,
    /// New secret; the inner `None` removes it.
    #[serde(skip)]
    pub secret: Option<Option<ChannelSecret>>,
}
command! {
    UpdateChannel: Update Channels as "admin.channel_changed" -> ChannelUpdate,
    target Channel(id),
    transaction Shared,
    outcome(change => json!({
        "before": change.before.audit_metadata(), "after": change.after.audit_metadata(), "changed": change.changed,
    }))
}

impl UpdateChannel {
    /// Names of the fields that are set or removed.
    #[must_use]
    pub fn changed_fields(&self) -> Vec<&'static str> {
        let config = self.config.as_ref();
        let is_set = |is_set: fn(&ChannelConfigPatch) -> bool| config.is_some_and(is_set);
        let fields = [
            ("name", self.name.is_some()),
            ("host", is_set(|config| config.host.is_some())),
            ("port", is_set(|config| config.port.is_some())),
            ("from", is_set(|config| config.from.is_some())),
            ("to", is_set(|config| config.to.is_some())),
            ("tls", is_set(|config| config.tls.is_some())),
            ("username", is_set(|config| config.username.is_some())),
            ("url", is_set(|config| config.url.is_some())),
            ("secret", self.secret.is_some()),
        ];
        fields.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect()
    }
}

/// Delete a channel with its messages.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteChannel {
    /// The channel; must belong to the caller's tenant.
    pub id: ChannelId,
}
command! {
    DeleteChannel: Delete Channels as "admin.channel_deleted" -> Channel,
    target Channel(id),
    transaction Shared,
    outcome(channel => channel.audit_metadata())
}

/// Send a test message to a channel.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct TestChannel {
    /// The channel; must belong to the caller's tenant.
    pub id: ChannelId,
}
command! {
    TestChannel: Update Channels as "admin.channel_tested" -> ChannelTest,
    target Channel(id),
    transaction Shared,
    outcome(test => json!({ "error": test.error.as_ref().map(|error| &error.code) }))
}

/// List the messages to a channel, with their results.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListDeliveries {
    /// The channel; must belong to the caller's tenant.
    pub id: ChannelId,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command! {
    ListDeliveries: Read Channels as "admin.channel_deliveries_listed" -> Page<Delivery>,
    target Channel(id),
    transaction Shared
}
