//! Idempotency keys: remembers the first request with a key and its outcome.
//!
//! The gate does not authorize anything here. The first request with a key passes the gate like any other; a repeated
//! one gets the stored response.

use super::PolicyGate;
use crate::caller::Caller;
use crate::error::GateError;
use crate::idempotency::{Idempotency, KeyStatus, KeyedRequest};
use crate::keyed_hash::HashKey;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::credential::Credential;
use domain::idempotency::{IdempotencyRecord, StoredOutcome};
use domain::ports::StoreError;
use domain::user::Entitlements;
use serde_json::json;

/// How long a stored response is returned for its key.
const RETENTION: TimeDelta = TimeDelta::hours(24);
/// Maximum duration of a request. If a request has no outcome after this time, its process has died.
const MAX_REQUEST_DURATION: TimeDelta = TimeDelta::minutes(30);

#[async_trait]
impl Idempotency for PolicyGate {
    async fn claim(&self, caller: &Caller, request: &KeyedRequest) -> Result<KeyStatus, GateError> {
        let now = self.decider.clock.now();
        let (key, fingerprint) =
            (stored_key(&self.idempotency_key, caller, request), fingerprint(&self.idempotency_key, request));
        let claim = async {
            let mut tx = self.decider.store.begin(caller.scope()).await?;
            let record = tx.idempotency().claim(&key, fingerprint.as_deref(), now, now + RETENTION).await?;
            tx.commit().await?;
            Ok(record)
        };
        let earlier_record = claim.await.map_err(GateError::Store)?;
        Ok(earlier_record.map_or(KeyStatus::New, |earlier| {
            key_status(earlier, fingerprint, |since| now - since > MAX_REQUEST_DURATION)
        }))
    }

    async fn complete(&self, caller: &Caller, request: &KeyedRequest, outcome: StoredOutcome) -> Result<(), GateError> {
        let Some(fingerprint) = fingerprint(&self.idempotency_key, request) else {
            return Err(GateError::Store(StoreError::Failed {
                activity: "storing the response of a keyed request",
                source: "the request body was not read".into(),
            }));
        };
        let store_outcome = async {
            let mut tx = self.decider.store.begin(caller.scope()).await?;
            tx.idempotency()
                .complete(&stored_key(&self.idempotency_key, caller, request), &fingerprint, &outcome)
                .await?;
            tx.commit().await
        };
        store_outcome.await.map_err(GateError::Store)
    }

    async fn release(&self, caller: &Caller, request: &KeyedRequest) -> Result<(), GateError> {
        let release = async {
            let mut tx = self.decider.store.begin(caller.scope()).await?;
            tx.idempotency().release(&stored_key(&self.idempotency_key, caller, request)).await?;
            tx.commit().await
        };
        release.await.map_err(GateError::Store)
    }
}

fn key_status(
    record: IdempotencyRecord,
    fingerprint: Option<String>,
    has_timed_out: impl FnOnce(domain::time::Timestamp) -> bool,
) -> KeyStatus {
    let IdempotencyRecord { fingerprint: first_fingerprint, outcome, claimed_at } = record;
    match (first_fingerprint, fingerprint, outcome) {
        (Some(first), Some(current), _) if first != current => KeyStatus::OtherRequest,
        (_, _, None) if has_timed_out(claimed_at) => KeyStatus::OutcomeUnknown,
        (_, _, None) => KeyStatus::InProgress,
        (_, None, Some(_)) => KeyStatus::BodyRequired,
        (_, Some(_), Some(outcome)) => KeyStatus::Completed(outcome),
    }
}

/// Hash under which a key is stored. The hash covers the user's rights: after a demotion, or with a token that has
/// other scopes, the same key counts as new, so the request is authorized again instead of getting the stored response.
fn key_hash(
    hash_key: &HashKey,
    entitlements: &Entitlements,
    credential: &Credential,
    request: &KeyedRequest,
) -> String {
    let scopes = credential.scopes().map(|scopes| scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let content = json!([request.key, entitlements.role, entitlements.grants, entitlements.clearance, scopes]);
    hash_key.hash(format!("key {content}").as_bytes())
}

fn stored_key(hash_key: &HashKey, caller: &Caller, request: &KeyedRequest) -> String {
    key_hash(hash_key, caller.entitlements(), caller.credential(), request)
}

fn fingerprint(hash_key: &HashKey, request: &KeyedRequest) -> Option<String> {
    let mut content = format!("request {} {} ", request.method, request.path_and_query).into_bytes();
    content.extend(request.body_sha256?);
    Some(hash_key.hash(&content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use domain::credential::CredentialKind;
    use domain::ids::AccessTokenId;
    use domain::role::{Classification, Grant, Role};

    fn earlier_record(fingerprint: Option<&str>, outcome: Option<StoredOutcome>) -> IdempotencyRecord {
        IdempotencyRecord { fingerprint: fingerprint.map(str::to_owned), outcome, claimed_at: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn the_status_depends_on_the_first_use_of_the_key() {
        let same = || Some("a".to_owned());
        for (first_use, fingerprint, expired, expected) in [
            (earlier_record(Some("a"), None), same(), false, KeyStatus::InProgress),
            (earlier_record(Some("a"), None), same(), true, KeyStatus::OutcomeUnknown),
            (earlier_record(Some("b"), None), same(), false, KeyStatus::OtherRequest),
            (earlier_record(Some("b"), Some(StoredOutcome::ResponseNotStored)), same(), false, KeyStatus::OtherRequest),
            (
                earlier_record(Some("a"), Some(StoredOutcome::ResponseNotStored)),
                same(),
                true,
                KeyStatus::Completed(StoredOutcome::ResponseNotStored),
            ),
            (earlier_record(Some("a"), Some(StoredOutcome::ResponseNotStored)), None, false, KeyStatus::BodyRequired),
            (earlier_record(None, None), None, false, KeyStatus::InProgress),
            (earlier_record(None, None), same(), false, KeyStatus::InProgress),
        ] {
            assert_eq!(key_status(first_use.clone(), fingerprint, |_| expired), expected, "{first_use:?}");
        }
    }

    /// A stored response is not returned to a user whose rights were reduced since.
    #[test]
    fn the_key_hash_depends_on_the_rights_of_the_user() {
        let request = KeyedRequest {
            key: "k".to_owned(),
            method: "POST".to_owned(),
            path_and_query: "/".to_owned(),
            body_sha256: Some([0; 32]),
        };
        let hash = HashKey::derive(b"secret", "x");
        let user = Entitlements {
            role: Role::User,
            grants: Vec::new(),
            clearance: Classification::Restricted,
            may_request_writes: false,
            team: None,
        };
        let unscoped = Credential::interactive();
        let original = key_hash(&hash, &user, &unscoped, &request);
        assert_eq!(original, key_hash(&hash, &user.clone(), &unscoped, &request));
        let demoted = Entitlements { role: Role::Viewer, ..user.clone() };
        let with_lower_clearance = Entitlements { clearance: Classification::Internal, ..user.clone() };
        let granted = Entitlements { grants: vec![Grant::Auditor], ..user.clone() };
        for entitlements in [&demoted, &with_lower_clearance, &granted] {
            assert_ne!(original, key_hash(&hash, entitlements, &unscoped, &request), "{entitlements:?}");
        }
        let scopes = vec!["search:read".parse().expect("a scope")];
        let kind = CredentialKind::PersonalAccessToken { id: AccessTokenId::from_uuid(uuid::Uuid::nil()), scopes };
        let scoped = Credential { kind, ..unscoped.clone() };
        assert_ne!(original, key_hash(&hash, &user, &scoped, &request));
    }

    #[test]
    fn hashes_of_keys_and_requests_depend_on_the_secret() {
        let request = |key: &str, target: &str| KeyedRequest {
            key: key.to_owned(),
            method: "POST".to_owned(),
            path_and_query: target.to_owned(),
            body_sha256: Some([0; 32]),
        };
        let (hash, other) = (HashKey::derive(b"secret", "x"), HashKey::derive(b"other", "x"));
        let user = Entitlements {
            role: Role::User,
            grants: Vec::new(),
            clearance: Classification::Restricted,
            may_request_writes: false,
            team: None,
        };
        let key = |hash: &HashKey, key: &str| key_hash(hash, &user, &Credential::interactive(), &request(key, "/"));
        assert_ne!(key(&hash, "k"), key(&other, "k"));
        assert_ne!(key(&hash, "k"), key(&hash, "l"));
        assert_eq!(fingerprint(&hash, &request("k", "/")), fingerprint(&hash, &request("l", "/")));
        assert_ne!(fingerprint(&hash, &request("k", "/a")), fingerprint(&hash, &request("k", "/b")));
        assert_eq!(fingerprint(&hash, &KeyedRequest { body_sha256: None, ..request("k", "/") }), None);
    }
}
