//! Where a channel's messages go.

use super::ChannelKind;
use crate::role::string_enum;
use crate::upload::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

string_enum! {
    /// How the connection to a mail server is encrypted.
    EmailTls {
        /// Not at all, such as to a relay in the same machine room.
        None = "none",
        /// After the command STARTTLS; a server that does not offer it gets no mail.
        StartTls = "starttls",
        /// From the first byte.
        Implicit = "tls",
    }
}

/// A mail server and the people who get its mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EmailConfig {
    /// Name or address of the mail server.
    pub host: String,
    /// TCP port of the mail server.
    pub port: u16,
    /// Address of the sender.
    pub from: String,
    /// Addresses of the recipients; at least one.
    pub to: Vec<String>,
    /// How the connection is encrypted.
    pub tls: EmailTls,
    /// Name to sign in with, if the secret is a password alone; by default the address of the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A URL that messages are posted to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UrlConfig {
    /// Of a Teams channel: without the query, which is the secret of the flow.
    pub url: String,
}

/// Where a channel's messages go, without secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum ChannelConfig {
    /// Mail over SMTP.
    Email(EmailConfig),
    /// A flow of Microsoft Teams.
    Teams(UrlConfig),
    /// A receiver of Standard Webhooks.
    Webhook(UrlConfig),
}

/// A configuration as a caller gives it. What is missing stays as it is, or has its default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ChannelConfigPatch {
    /// Name or address of the mail server.
    pub host: Option<String>,
    /// TCP port of the mail server.
    pub port: Option<u16>,
    /// Address of the sender.
    pub from: Option<String>,
    /// Addresses of the recipients.
    pub to: Option<Vec<String>>,
    /// How the connection is encrypted.
    pub tls: Option<EmailTls>,
    /// Name to sign in with.
    pub username: Option<String>,
    /// URL that messages are posted to.
    pub url: Option<String>,
}

impl EmailTls {
    /// The port of mail servers that are reached in this way.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Implicit => 465,
        }
    }
}

impl ChannelConfig {
    /// Maximum number of recipients of a channel.
    pub const MAX_RECIPIENTS: usize = 50;
    /// Maximum length of an address or a URL, in characters.
    pub const MAX_ADDRESS_CHARS: usize = 2_000;

    /// The kind of channel that it configures.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Email(_) => ChannelKind::Email,
            Self::Teams(_) => ChannelKind::Teams,
            Self::Webhook(_) => ChannelKind::Webhook,
        }
    }

    /// Reads a stored configuration.
    ///
    /// # Errors
    /// If it is not one of this kind.
    pub fn from_stored(kind: ChannelKind, stored: Value) -> Result<Self, serde_json::Error> {
        match kind {
            ChannelKind::Email => serde_json::from_value(stored).map(Self::Email),
            ChannelKind::Teams => serde_json::from_value(stored).map(Self::Teams),
            ChannelKind::Webhook => serde_json::from_value(stored).map(Self::Webhook),
        }
    }

    /// The host that is connected to, for logs and the audit log.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Email(email) => &email.host,
            Self::Teams(config) | Self::Webhook(config) => url_host(&config.url),
        }
    }

    /// Whether `other` sends to the same place, so that it may use the same secrets.
    #[must_use]
    pub fn has_same_destination(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Email(one), Self::Email(other)) => {
                (&one.host, one.port, &one.username) == (&other.host, other.port, &other.username)
            }
            (Self::Teams(one), Self::Teams(other)) | (Self::Webhook(one), Self::Webhook(other)) => one == other,
            _ => false,
        }
    }

    /// Applies a change to a configuration of this kind, or to none.
    ///
    /// # Errors
    /// If a field is missing, too long, or not one of this kind; the pointer begins with `/config`.
    pub fn build(kind: ChannelKind, base: Option<&Self>, patch: ChannelConfigPatch) -> Result<Self, FieldError> {
        patch.check_fields(kind)?;
        match kind {
            ChannelKind::Email => {
                let base = base.and_then(|base| if let Self::Email(email) = base { Some(email) } else { None });
                build_email(base, patch).map(Self::Email)
            }
            ChannelKind::Teams => build_url(base, patch).map(Self::Teams),
            ChannelKind::Webhook => build_url(base, patch).map(Self::Webhook),
        }
    }
}

impl ChannelConfigPatch {
    fn check_fields(&self, kind: ChannelKind) -> Result<(), FieldError> {
        let email_fields = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("tls", self.tls.is_some()),
            ("username", self.username.is_some()),
        ];
        let url_fields = [("url", self.url.is_some())];
        let foreign: &[(&str, bool)] =
            if kind == ChannelKind::Email { url_fields.as_slice() } else { email_fields.as_slice() };
        match foreign.iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(invalid(field, format!("is not a field of the kind {kind}"))),
            None => Ok(()),
        }
    }
}

fn build_email(base: Option<&EmailConfig>, patch: ChannelConfigPatch) -> Result<EmailConfig, FieldError> {
    let tls = patch.tls.or(base.map(|base| base.tls)).unwrap_or(EmailTls::StartTls);
    let to = patch.to.or_else(|| base.map(|base| base.to.clone())).unwrap_or_default();
    if to.is_empty() || to.len() > ChannelConfig::MAX_RECIPIENTS {
        return Err(invalid("to", format!("must be from 1 to {} addresses", ChannelConfig::MAX_RECIPIENTS)));
    }
    for (index, address) in to.iter().enumerate() {
        check_text(&format!("to/{index}"), address)?;
    }
    let port = patch.port.or(base.map(|base| base.port)).unwrap_or(tls.default_port());
    if port == 0 {
        return Err(invalid("port", "must be from 1 to 65535".to_owned()));
    }
    let username = patch.username.or_else(|| base.and_then(|base| base.username.clone()));
    if let Some(username) = &username {
        check_text("username", username)?;
    }
    Ok(EmailConfig {
        host: required("host", patch.host.or_else(|| base.map(|base| base.host.clone())))?,
        port,
        from: required("from", patch.from.or_else(|| base.map(|base| base.from.clone())))?,
        to,
        tls,
        username,
    })
}

fn build_url(base: Option<&ChannelConfig>, patch: ChannelConfigPatch) -> Result<UrlConfig, FieldError> {
    let known = match base {
        Some(ChannelConfig::Teams(config) | ChannelConfig::Webhook(config)) => Some(config.url.clone()),
        _ => None,
    };
    Ok(UrlConfig { url: required("url", patch.url.or(known))? })
}

fn required(field: &str, value: Option<String>) -> Result<String, FieldError> {
    let value = value.ok_or_else(|| invalid(field, "is missing".to_owned()))?;
    check_text(field, &value)?;
    Ok(value)
}

/// Checks the length, and that no line of a protocol ends in the text.
fn check_text(field: &str, text: &str) -> Result<(), FieldError> {
    let max = ChannelConfig::MAX_ADDRESS_CHARS;
    if text.trim().is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(invalid(field, format!("must be from 1 to {max} characters, without control characters")));
    }
    Ok(())
}

fn invalid(field: &str, detail: String) -> FieldError {
    FieldError { pointer: format!("/config/{field}"), detail }
}

/// The host of a URL that has been checked before.
fn url_host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email() -> ChannelConfigPatch {
        ChannelConfigPatch {
            host: Some("mail.plant.example".to_owned()),
            from: Some("platform@plant.example".to_owned()),
            to: Some(vec!["shift@plant.example".to_owned()]),
            ..ChannelConfigPatch::default()
        }
    }

    fn pointer(kind: ChannelKind, patch: ChannelConfigPatch) -> String {
        ChannelConfig::build(kind, None, patch).expect_err("not allowed").pointer
    }

    #[test]
    fn what_is_missing_has_its_default_and_a_change_keeps_the_rest() {
        let config = ChannelConfig::build(ChannelKind::Email, None, email()).expect("valid");
        let ChannelConfig::Email(first) = &config else { panic!("{config:?}") };
        assert_eq!((first.port, first.tls), (587, EmailTls::StartTls));
        let patch = ChannelConfigPatch { port: Some(2525), ..ChannelConfigPatch::default() };
        let changed = ChannelConfig::build(ChannelKind::Email, Some(&config), patch).expect("valid");
        assert_eq!(changed, ChannelConfig::Email(EmailConfig { port: 2525, ..first.clone() }));
        assert!(!changed.has_same_destination(&config), "another port may be another server");
        let stored = serde_json::to_value(&changed).expect("JSON");
        assert_eq!(ChannelConfig::from_stored(ChannelKind::Email, stored).expect("stored"), changed);
    }

    #[test]
    fn fields_that_are_wrong_are_named() {
        assert_eq!(pointer(ChannelKind::Webhook, email()), "/config/host");
        assert_eq!(pointer(ChannelKind::Webhook, ChannelConfigPatch::default()), "/config/url");
        let url = Some("https://hooks.example/x".to_owned());
        assert_eq!(pointer(ChannelKind::Email, ChannelConfigPatch { url, ..email() }), "/config/url");
        let injected = Some("a@b.example\r\nBcc: c@d.example".to_owned());
        assert_eq!(pointer(ChannelKind::Email, ChannelConfigPatch { from: injected, ..email() }), "/config/from");
        let nobody = ChannelConfigPatch { to: Some(Vec::new()), ..email() };
        assert_eq!(pointer(ChannelKind::Email, nobody), "/config/to");
    }

    #[test]
    fn the_host_of_a_url_has_neither_path_nor_query() {
        let url = "https://prod.logic.azure.com:443/workflows/1?sig=secret".to_owned();
        let config = ChannelConfig::Webhook(UrlConfig { url });
        assert_eq!(config.host(), "prod.logic.azure.com:443");
    }
}
