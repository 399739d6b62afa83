//! Why an address is refused, in words.

use domain::address_kind::AddressKind;

/// Says why an address is refused.
pub(super) trait WhyRefused {
    /// The reason, and what can be done about it, as the end of a sentence.
    fn why_refused(&self) -> &'static str;
}

impl WhyRefused for AddressKind {
    fn why_refused(&self) -> &'static str {
        match self {
            Self::Public => "which is not allowed",
            Self::Private => "a private one: its network must be in the setting notifications.allow_networks",
            Self::Loopback => "a loopback one: its network must be in the setting notifications.allow_networks",
            Self::LinkLocal => "a link-local one, which is never allowed",
            Self::CloudMetadata => "that of a cloud's metadata service, which is never allowed",
            Self::NotAHost => "which is not the address of a host",
        }
    }
}
