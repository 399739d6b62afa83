//! Repeated requests: which request was the first with a key, and its outcome.
//!
//! This is bookkeeping beside the gate's operations, not one of them: the first request passes the gate like any other,
//! and a repeated one only gets the stored response again.

use super::PolicyGate;
use crate::caller::Caller;
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::credential::Credential;
use domain::idempotency::{IdempotencyRecord, StoredOutcome};
use domain::ports::StoreError;
use domain::user::Entitlements;
use serde_json::json;

/// How long a stored response is returned.
const RETENTION: TimeDelta = TimeDelta::hours(24);
/// A request without an outcome after this long died with its process; no request takes as long.
const MAX_REQUEST_DURATION: TimeDelta = TimeDelta::minutes(30);

/// A request with an `Idempotency-Key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyedRequest {
    /// The client's key.
    pub key: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// A digest of the body; `None` while it has not been read.
    pub content: Option<[u8; 32]>,
}

/// What is known of a key and the request that came with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyStatus {
    /// The key was not used before. It is claimed for this request, which must be settled or released.
    New,
    /// The first request with the key is being processed.
    InProgress,
    /// The first request never ended: whether it had an effect is not known.
    OutcomeUnknown,
    /// The key was used with another request.
    OtherRequest,
    /// A request with the key succeeded. Whether it is this one depends on the body: read it and claim again.
    BodyNeeded,
    /// This request succeeded before.
    Completed(StoredOutcome),
}

/// Stores the outcomes of requests with an `Idempotency-Key`. A key belongs to one user.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Claims a new key, or says what is known of a used one.
    async fn claim(&self, by: &Caller, request: &KeyedRequest) -> Result<KeyStatus, GateError>;
    /// Stores the outcome of the first request. Its body must have been read.
    async fn settle(&self, by: &Caller, request: &KeyedRequest, kept: StoredOutcome) -> Result<(), GateError>;
    /// Frees the key: the first request had no effect.
    async fn release(&self, by: &Caller, request: &KeyedRequest) -> Result<(), GateError>;
}

#[async_trait]
impl Idempotency for PolicyGate {
    async fn claim(&self, by: &Caller, request: &KeyedRequest) -> Result<KeyStatus, GateError> {
        let now = self.decider.clock.now();
        let (key, print) =
            (stored_key(&self.idempotency_key, by, request), fingerprint(&self.idempotency_key, request));
        let claimed = async {
            let mut tx = self.decider.store.begin(by.scope()).await?;
            let earlier = tx.idempotency().claim(&key, print.as_deref(), now, now + RETENTION).await?;
            tx.commit().await?;
            Ok(earlier)
        };
        let earlier = claimed.await.map_err(GateError::Store)?;
        Ok(earlier.map_or(KeyStatus::New, |earlier| status(earlier, print, |since| now - since > MAX_REQUEST_DURATION)))
    }

    async fn settle(&self, by: &Caller, request: &KeyedRequest, kept: StoredOutcome) -> Result<(), GateError> {
        let Some(print) = fingerprint(&self.idempotency_key, request) else {
            return Err(GateError::Store(StoreError::Failed {
                doing: "keeping an answer",
                source: "the request's body was not read".into(),
            }));
        };
        let settled = async {
            let mut tx = self.decider.store.begin(by.scope()).await?;
            tx.idempotency().settle(&stored_key(&self.idempotency_key, by, request), &print, &kept).await?;
            tx.commit().await
        };
        settled.await.map_err(GateError::Store)
    }

    async fn release(&self, by: &Caller, request: &KeyedRequest) -> Result<(), GateError> {
        let released = async {
            let mut tx = self.decider.store.begin(by.scope()).await?;
            tx.idempotency().release(&stored_key(&self.idempotency_key, by, request)).await?;
            tx.commit().await
        };
        released.await.map_err(GateError::Store)
    }
}

fn status(
    earlier: IdempotencyRecord,
    print: Option<String>,
    too_old: impl FnOnce(domain::time::Timestamp) -> bool,
) -> KeyStatus {
    let IdempotencyRecord { fingerprint, kept, since } = earlier;
    match (fingerprint, print, kept) {
        (Some(theirs), Some(ours), _) if theirs != ours => KeyStatus::OtherRequest,
        (_, _, None) if too_old(since) => KeyStatus::OutcomeUnknown,
        (_, _, None) => KeyStatus::InProgress,
        (_, None, Some(_)) => KeyStatus::BodyNeeded,
        (_, Some(_), Some(kept)) => KeyStatus::Completed(kept),
    }
}

/// Hash under which a key is stored. It covers what the user may do: after a demotion, or with another token's scopes,
/// the same key counts as new, and the request is decided again instead of being answered with the stored response.
fn key_hash(hash: &HashKey, entitlements: &Entitlements, credential: &Credential, request: &KeyedRequest) -> String {
    let scopes = credential.scopes().map(|scopes| scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let content = json!([request.key, entitlements.role, entitlements.grants, entitlements.clearance, scopes]);
    hash.hash(format!("key {content}").as_bytes())
}

fn stored_key(hash: &HashKey, by: &Caller, request: &KeyedRequest) -> String {
    key_hash(hash, by.entitlements(), by.credential(), request)
}

fn fingerprint(hash: &HashKey, request: &KeyedRequest) -> Option<String> {
    let mut content = format!("request {} {} ", request.method, request.target).into_bytes();
    content.extend(request.content?);
    Some(hash.hash(&content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use domain::credential::CredentialKind;
    use domain::ids::AccessTokenId;
    use domain::role::{Classification, Grant, Role};

    fn earlier(fingerprint: Option<&str>, kept: Option<StoredOutcome>) -> IdempotencyRecord {
        IdempotencyRecord { fingerprint: fingerprint.map(str::to_owned), kept, since: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_key_stands_for_what_it_was_first_used_for() {
        let ours = || Some("a".to_owned());
        for (use_before, print, stale, expected) in [
            (earlier(Some("a"), None), ours(), false, KeyStatus::InProgress),
            (earlier(Some("a"), None), ours(), true, KeyStatus::OutcomeUnknown),
            (earlier(Some("b"), None), ours(), false, KeyStatus::OtherRequest),
            (earlier(Some("b"), Some(StoredOutcome::SecretShown)), ours(), false, KeyStatus::OtherRequest),
            (
                earlier(Some("a"), Some(StoredOutcome::SecretShown)),
                ours(),
                true,
                KeyStatus::Completed(StoredOutcome::SecretShown),
            ),
            (earlier(Some("a"), Some(StoredOutcome::SecretShown)), None, false, KeyStatus::BodyNeeded),
            (earlier(None, None), None, false, KeyStatus::InProgress),
            (earlier(None, None), ours(), false, KeyStatus::InProgress),
        ] {
            assert_eq!(status(use_before.clone(), print, |_| stale), expected, "{use_before:?}");
        }
    }

    /// What came of a request is not told again to somebody who may do less by now.
    #[test]
    fn a_key_belongs_to_what_its_user_may_do() {
        let request = KeyedRequest {
            key: "k".to_owned(),
            method: "POST".to_owned(),
            target: "/".to_owned(),
            content: Some([0; 32]),
        };
        let hash = HashKey::derive(b"secret", "x");
        let user = Entitlements { role: Role::User, grants: Vec::new(), clearance: Classification::Restricted };
        let whole = Credential::interactive();
        let same = key_hash(&hash, &user, &whole, &request);
        assert_eq!(same, key_hash(&hash, &user.clone(), &whole, &request));
        let demoted = Entitlements { role: Role::Viewer, ..user.clone() };
        let cleared_for_less = Entitlements { clearance: Classification::Internal, ..user.clone() };
        let granted = Entitlements { grants: vec![Grant::Auditor], ..user.clone() };
        for entitlements in [&demoted, &cleared_for_less, &granted] {
            assert_ne!(same, key_hash(&hash, entitlements, &whole, &request), "{entitlements:?}");
        }
        let scopes = vec!["search:read".parse().expect("a scope")];
        let kind = CredentialKind::AccessToken { id: AccessTokenId::from_uuid(uuid::Uuid::nil()), scopes };
        let scoped = Credential { kind, ..whole.clone() };
        assert_ne!(same, key_hash(&hash, &user, &scoped, &request));
    }

    #[test]
    fn neither_key_nor_request_can_be_read_from_their_hashes() {
        let request = |key: &str, target: &str| KeyedRequest {
            key: key.to_owned(),
            method: "POST".to_owned(),
            target: target.to_owned(),
            content: Some([0; 32]),
        };
        let (hash, other) = (HashKey::derive(b"secret", "x"), HashKey::derive(b"other", "x"));
        let user = Entitlements { role: Role::User, grants: Vec::new(), clearance: Classification::Restricted };
        let key = |hash: &HashKey, key: &str| key_hash(hash, &user, &Credential::interactive(), &request(key, "/"));
        assert_ne!(key(&hash, "k"), key(&other, "k"));
        assert_ne!(key(&hash, "k"), key(&hash, "l"));
        assert_eq!(fingerprint(&hash, &request("k", "/")), fingerprint(&hash, &request("l", "/")));
        assert_ne!(fingerprint(&hash, &request("k", "/a")), fingerprint(&hash, &request("k", "/b")));
        assert_eq!(fingerprint(&hash, &KeyedRequest { content: None, ..request("k", "/") }), None);
    }
}
