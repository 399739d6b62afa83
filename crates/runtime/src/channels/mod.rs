//! Channels: an admin sets them up ([`ChannelService`]), and the worker delivers the outbox
//! ([`deliver::DeliveryProcessor`]). Notifications enter the outbox in the transaction of the event that they report
//! (`approvals::outbox`).

pub mod deliver;
mod ports;
mod service;

pub use ports::ChannelPorts;
pub use service::ChannelService;
