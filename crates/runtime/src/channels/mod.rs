//! Channels: an admin sets them up ([`ChannelService`]), and the worker delivers the outbox
//! ([`deliver::DeliveryProcessor`]). Events enter the outbox in the transaction that causes them (`approvals::outbox`).

pub mod deliver;
mod ports;
mod service;

pub use ports::ChannelPorts;
pub use service::ChannelService;
