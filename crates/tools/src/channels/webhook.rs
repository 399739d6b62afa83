//! Webhooks as in Standard Webhooks 1.0: a thin JSON body, signed with HMAC-SHA-256.

use super::http::PostRequest;
use super::wording::single_line;
use super::{SendError, invalid};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use domain::channel::{ChannelSecret, ChannelSecrets, Message};
use domain::upload::FieldError;
use serde_json::{Map, Value, json};

/// What a signing key begins with when it is written down.
const PREFIX: &str = "whsec_";
/// Shortest and longest key, in bytes.
const MIN_KEY_BYTES: usize = 24;
const MAX_KEY_BYTES: usize = 64;

/// Base64 with or without padding.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Checks the signing key.
pub(super) fn check(secret: Option<&ChannelSecret>) -> Result<(), FieldError> {
    if secret.is_none_or(|secret| signing_key(secret).is_some()) {
        return Ok(());
    }
    let detail = format!("must be {PREFIX} and the base64 of {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes");
    Err(invalid("/secret", detail))
}

/// The signed request. Without a secret it is not signed.
///
/// # Errors
/// If a secret is no signing key.
pub(super) fn request(secrets: &ChannelSecrets, message: &Message) -> Result<PostRequest, SendError> {
    let id = format!("msg_{}", message.id.as_uuid().simple());
    let timestamp = message.sent_at.timestamp().to_string();
    let mut request = PostRequest::new(body(message).to_string());
    let signatures = secrets.in_use(message.sent_at).map(|secret| -> Result<String, SendError> {
        let invalid_key = || SendError::never("invalid_secret", "Not sent: the secret is no signing key.");
        let key = signing_key(secret).ok_or_else(invalid_key)?;
        Ok(sign(&key, &format!("{id}.{timestamp}.{}", request.body)))
    });
    let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
    request.add("webhook-id", &id)?;
    request.add("webhook-timestamp", &timestamp)?;
    if !signatures.is_empty() {
        request.add("webhook-signature", &signatures.join(" "))?;
    }
    Ok(request)
}

fn signing_key(secret: &ChannelSecret) -> Option<Vec<u8>> {
    let ChannelSecret::Text(text) = secret else { return None };
    let key = KEY_ENCODING.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
    (MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&key.len()).then_some(key)
}

fn sign(key: &[u8], content: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content.as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref()))
}

/// The body, which is the same in every attempt unless the requester's name changes.
fn body(message: &Message) -> Value {
    let notification = &message.notification;
    let requester = message.requester.as_ref().map(
        |requester| json!({ "id": requester.id, "name": requester.name.as_deref().map(|name| single_line(name, 100)) }),
    );
    let fields = [
        ("id", notification.approval.map(|id| json!(id))),
        ("tool", notification.tool.as_ref().map(|tool| json!(tool))),
        ("status", notification.status.as_ref().map(|status| json!(status))),
        ("approvals", notification.approvals.map(|count| json!(count))),
        ("required", notification.required.map(|count| json!(count))),
        ("requested_by", requester),
        ("expires_at", notification.expires_at.map(|at| json!(at))),
        ("url", message.link.as_ref().map(|link| json!(link))),
    ];
    let data: Map<String, Value> =
        fields.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect();
    json!({ "type": notification.event, "timestamp": notification.at, "data": data })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = ChannelSecret::Text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let key = signing_key(&secret).expect("a key");
        let content = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(sign(&key, content), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_must_be_a_long_random_key() {
        let text = |text: &str| ChannelSecret::Text(text.to_owned());
        assert_eq!(check(None), Ok(()));
        assert_eq!(check(Some(&text("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))), Ok(()), "without the prefix");
        for refused in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "a password that is quite long and has spaces"] {
            assert!(check(Some(&text(refused))).is_err(), "{refused:?}");
        }
        let login = ChannelSecret::Login { username: "a".to_owned(), password: "b".to_owned() };
        assert_eq!(check(Some(&login)).expect_err("no key").pointer, "/secret");
    }
}
