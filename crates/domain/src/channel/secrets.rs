//! What a channel must keep to itself. It is stored encrypted, and nobody can read it back.

use crate::time::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A secret as a caller gives it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChannelSecret {
    /// Name and password for a mail server.
    Login {
        /// Name to sign in with.
        username: String,
        /// Password of the name.
        password: String,
    },
    /// The signing key of a webhook (`whsec_` and base64), the bearer token of a Teams flow, or a password.
    Text(String),
}

/// The secret that was replaced last. A webhook's messages are signed with it, too, until its receiver knows the new
/// one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The replaced secret.
    pub secret: ChannelSecret,
    /// When it is used for the last time.
    pub until: Timestamp,
}

/// The secrets of a channel, as they are sealed.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChannelSecrets {
    /// The whole URL of a Teams flow, whose query lets anybody post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The secret that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ChannelSecret>,
    /// The secret that was in use before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecret>,
}

impl ChannelSecrets {
    /// How long a replaced secret stays in use.
    const OVERLAP: TimeDelta = TimeDelta::hours(24);

    /// Whether there is nothing to seal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.url.is_none() && self.secret.is_none()
    }

    /// Replaces the secret. The old one stays in use for a day.
    #[must_use]
    pub fn rotate(self, secret: ChannelSecret, now: Timestamp) -> Self {
        let previous = match self.secret {
            Some(old) if old != secret => Some(PreviousSecret { secret: old, until: now + Self::OVERLAP }),
            _ => self.previous,
        };
        Self { secret: Some(secret), previous, ..self }
    }

    /// The secrets in use, newest first.
    pub fn in_use(&self, now: Timestamp) -> impl Iterator<Item = &ChannelSecret> {
        let previous = self.previous.as_ref().filter(move |previous| previous.until > now);
        self.secret.iter().chain(previous.map(|previous| &previous.secret))
    }
}

macro_rules! redacted_debug {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
redacted_debug! { ChannelSecret PreviousSecret ChannelSecrets }

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ChannelSecret {
        ChannelSecret::Text(text.to_owned())
    }

    #[test]
    fn a_replaced_secret_stays_in_use_for_a_day() {
        let now = Timestamp::default();
        let first = ChannelSecrets::default().rotate(secret("one"), now);
        assert_eq!(first.in_use(now).collect::<Vec<_>>(), [&secret("one")]);
        let second = first.rotate(secret("two"), now);
        assert_eq!(second.in_use(now).collect::<Vec<_>>(), [&secret("two"), &secret("one")]);
        assert_eq!(second.in_use(now + TimeDelta::hours(24)).collect::<Vec<_>>(), [&secret("two")]);
        assert_eq!(second.clone().rotate(secret("two"), now), second, "the same secret again replaces nothing");
    }

    #[test]
    fn secrets_are_not_printed() {
        let secrets = ChannelSecrets { url: Some("https://x/?sig=abc".to_owned()), ..ChannelSecrets::default() };
        let secrets = secrets.rotate(secret("abc"), Timestamp::default());
        assert!(!format!("{secrets:?} {:?}", secrets.secret).contains("abc"));
    }
}
