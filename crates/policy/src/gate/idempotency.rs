//! Repeated requests: who came first with a key, and what became of that.
//!
//! This is bookkeeping beside the gate's operations, not one of them: the first request passes the gate like any other,
//! and a repeated one does nothing but see its own answer again.

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

/// How long an answer can be had again.
const KEPT_FOR: TimeDelta = TimeDelta::hours(24);
/// A request still unanswered after this died in the middle: nothing takes that long.
const LONGEST_REQUEST: TimeDelta = TimeDelta::minutes(30);

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

/// What a key stands for at present.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Nothing: this request is the first, and must be settled or released.
    First,
    /// A request that is at work.
    Running,
    /// A request that never ended: whether it had an effect is not known.
    Unknown,
    /// Another request than this.
    Other,
    /// A request that ended well. Whether it is this one cannot be told before the body was read: ask again with it.
    Unread,
    /// This request, which ended well.
    Done(StoredOutcome),
}

/// Keeps what came of requests with an `Idempotency-Key`, for their user alone.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Claims the key, or says what it stands for.
    async fn claim(&self, by: &Caller, request: &KeyedRequest) -> Result<Claim, GateError>;
    /// Keeps what came of the first request, whose body was read by now.
    async fn settle(&self, by: &Caller, request: &KeyedRequest, kept: StoredOutcome) -> Result<(), GateError>;
    /// Gives the key up: the first request had no effect.
    async fn release(&self, by: &Caller, request: &KeyedRequest) -> Result<(), GateError>;
}

#[async_trait]
impl Idempotency for PolicyGate {
    async fn claim(&self, by: &Caller, request: &KeyedRequest) -> Result<Claim, GateError> {
        let now = self.clock.now();
        let (key, print) = (key_of(&self.repeat_key, by, request), fingerprint(&self.repeat_key, request));
        let claimed = async {
            let mut tx = self.store.begin(by.scope()).await?;
            let earlier = tx.idempotency().claim(&key, print.as_deref(), now, now + KEPT_FOR).await?;
            tx.commit().await?;
            Ok(earlier)
        };
        let earlier = claimed.await.map_err(GateError::Store)?;
        Ok(earlier.map_or(Claim::First, |earlier| stands_for(earlier, print, |since| now - since > LONGEST_REQUEST)))
    }

    async fn settle(&self, by: &Caller, request: &KeyedRequest, kept: StoredOutcome) -> Result<(), GateError> {
        let Some(print) = fingerprint(&self.repeat_key, request) else {
            return Err(GateError::Store(StoreError::Failed {
                doing: "keeping an answer",
                source: "the request's body was not read".into(),
            }));
        };
        let settled = async {
            let mut tx = self.store.begin(by.scope()).await?;
            tx.idempotency().settle(&key_of(&self.repeat_key, by, request), &print, &kept).await?;
            tx.commit().await
        };
        settled.await.map_err(GateError::Store)
    }

    async fn release(&self, by: &Caller, request: &KeyedRequest) -> Result<(), GateError> {
        let released = async {
            let mut tx = self.store.begin(by.scope()).await?;
            tx.idempotency().release(&key_of(&self.repeat_key, by, request)).await?;
            tx.commit().await
        };
        released.await.map_err(GateError::Store)
    }
}

fn stands_for(
    earlier: IdempotencyRecord,
    print: Option<String>,
    too_old: impl FnOnce(domain::time::Timestamp) -> bool,
) -> Claim {
    let IdempotencyRecord { fingerprint, kept, since } = earlier;
    match (fingerprint, print, kept) {
        (Some(theirs), Some(ours), _) if theirs != ours => Claim::Other,
        (_, _, None) if too_old(since) => Claim::Unknown,
        (_, _, None) => Claim::Running,
        (_, None, Some(_)) => Claim::Unread,
        (_, Some(_), Some(kept)) => Claim::Done(kept),
    }
}

/// The key as it is kept. It belongs to what its user may do: after a demotion, or with another token's scopes, the same
/// key is a new one, and the request is decided like any other instead of being answered with what came of it before.
fn key_hash(hash: &HashKey, entitlements: &Entitlements, credential: &Credential, request: &KeyedRequest) -> String {
    let scopes = credential.scopes().map(|scopes| scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let content = json!([request.key, entitlements.role, entitlements.grants, entitlements.clearance, scopes]);
    hash.hash(format!("key {content}").as_bytes())
}

/// The key as this caller uses it.
fn key_of(hash: &HashKey, by: &Caller, request: &KeyedRequest) -> String {
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
            (earlier(Some("a"), None), ours(), false, Claim::Running),
            (earlier(Some("a"), None), ours(), true, Claim::Unknown),
            (earlier(Some("b"), None), ours(), false, Claim::Other),
            (earlier(Some("b"), Some(StoredOutcome::SecretShown)), ours(), false, Claim::Other),
            (
                earlier(Some("a"), Some(StoredOutcome::SecretShown)),
                ours(),
                true,
                Claim::Done(StoredOutcome::SecretShown),
            ),
            (earlier(Some("a"), Some(StoredOutcome::SecretShown)), None, false, Claim::Unread),
            (earlier(None, None), None, false, Claim::Running),
            (earlier(None, None), ours(), false, Claim::Running),
        ] {
            assert_eq!(stands_for(use_before.clone(), print, |_| stale), expected, "{use_before:?}");
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
