//! Tokens belong to sessions, and the tokens of a revoked session are refused in every process.

use crate::support::{Fixture, authenticate, with_claim};
use chrono::TimeDelta;
use domain::command::DeleteConversation;
use domain::error::Classify as _;
use domain::ids::{ConversationId, SessionId};
use domain::page::PageRequest;
use domain::ports::{Clock as _, Store as _};
use domain::role::Role;
use domain::session::Session;
use policy::caller::Caller;
use policy::gate::{Authenticate as _, Execute as _, UseCases};
use runtime::use_case::MockUseCases;
use serde_json::{Value, json};
use std::time::Duration;

/// Creates a token of `subject` with additional claims. Each token has another `iat`, so no two are equal.
fn token(fixture: &Fixture, subject: &str, additional_claims: Value) -> String {
    fixture.clock.advance(TimeDelta::seconds(1));
    let mut claims = fixture.claims(subject, "PlatformUser");
    for (name, value) in additional_claims.as_object().expect("an object") {
        claims = with_claim(claims, name, value.clone());
    }
    fixture.signer.sign(&claims)
}

async fn session_of(fixture: &Fixture, token: &str) -> SessionId {
    let caller = authenticate(&fixture.authenticator(), token).await.expect("valid token");
    let session = caller.scope().session().expect("a token has a session");
    assert_eq!(caller.credential().session, Some(session));
    session
}

async fn sessions(fixture: &Fixture, caller: &Caller) -> Vec<Session> {
    let mut tx = fixture.store.begin(caller.scope()).await.expect("in-memory store");
    let (user, now) = (caller.user().id, fixture.clock.now());
    tx.sessions().list(user, now, &PageRequest::default()).await.expect("in-memory store").items
}

async fn revoke(fixture: &Fixture, caller: &Caller) {
    let mut tx = fixture.store.begin(caller.scope()).await.expect("in-memory store");
    let session = caller.scope().session().expect("a session");
    assert!(tx.sessions().revoke(session, caller.user().id, fixture.clock.now()).await.expect("in-memory store"));
    tx.commit().await.expect("in-memory store");
}

#[tokio::test]
async fn tokens_of_one_sign_in_share_a_session_and_other_tokens_have_one_each() {
    let fixture = Fixture::new().await;
    let claims = [
        json!({ "sid": "s-1", "jti": "a" }),
        json!({ "sid": "s-1", "jti": "b" }),
        json!({ "sid": "s-2", "jti": "c" }),
        json!({ "jti": "c" }),
        json!({ "jti": "s-1" }),
        json!({ "sid": "", "jti": "d" }),
        json!({}),
        json!({}),
    ];
    let mut ids = Vec::new();
    for claims in claims {
        let token = token(&fixture, "ada", claims);
        ids.push(session_of(&fixture, &token).await);
        assert_eq!(session_of(&fixture, &token).await, ids[ids.len() - 1], "the same in another process");
    }
    assert_eq!(ids[0], ids[1]);
    ids.remove(1);
    let another_users = token(&fixture, "bob", json!({ "sid": "s-1", "jti": "a" }));
    ids.push(session_of(&fixture, &another_users).await);
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn a_revoked_session_is_refused_in_every_process_and_its_later_tokens_change_nothing() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.authenticator(), fixture.authenticator());
    let sid = |sid: &str| json!({ "sid": sid, "azp": "console" });
    let (lost, other) = (token(&fixture, "ada", sid("lost")), token(&fixture, "ada", sid("kept")));
    let ada = authenticate(&here, &lost).await.expect("valid token");
    authenticate(&there, &lost).await.expect("valid token");
    authenticate(&here, &other).await.expect("valid token");
    let listed = sessions(&fixture, &ada).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|session| session.client.as_deref() == Some("console")), "{listed:?}");

    revoke(&fixture, &ada).await;
    let last_login = fixture.user("ada", Role::User).await.user().last_login;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    for authenticator in [&here, &there, &fixture.authenticator()] {
        let error = authenticate(authenticator, &lost).await.expect_err("revoked");
        assert_eq!(error.code(), "invalid_token");
    }
    let renewed = token(&fixture, "ada", with_claim(sid("lost"), "roles", json!(["PlatformAdmin"])));
    let error = authenticate(&here, &renewed).await.expect_err("a renewed token of the session");
    assert_eq!(error.code(), "invalid_token");
    let ada = authenticate(&here, &other).await.expect("another session");
    assert_eq!((ada.entitlements().role, ada.user().last_login), (Role::User, last_login));
    assert_eq!(sessions(&fixture, &ada).await.len(), 1);
    let refusals = fixture.audit_rows().into_iter().filter(|row| row.event_type == "auth.denied");
    let reasons: Vec<_> = refusals.map(|row| row.metadata["reason"].clone()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == "session_revoked"), "{reasons:?}");
}

/// The token cache may be two seconds stale, but the decision about a command reads the session's current state.
#[tokio::test]
async fn a_command_in_a_revoked_session_is_refused_at_once_and_rows_name_the_session() {
    let fixture = Fixture::new().await;
    let gate = fixture.gate(UseCases::new(MockUseCases::new()));
    let token = token(&fixture, "ada", json!({ "sid": "s" }));
    let ada = gate.authenticate(Some(token.clone()), origin()).await.expect("valid token");
    revoke(&fixture, &ada).await;
    let cached = gate.authenticate(Some(token), origin()).await.expect("still cached");
    let command = DeleteConversation { id: ConversationId::from_uuid(uuid::Uuid::nil()) };
    let error = gate.execute(&cached, command).await.expect_err("revoked");
    assert_eq!(error.code(), "invalid_token");
    let rows = fixture.audit_rows();
    let denied = rows.iter().find(|row| row.event_type == "policy.denied").expect("recorded");
    assert_eq!(denied.metadata["reason"], "session_revoked");
    assert!(rows.iter().all(|row| row.session_id == ada.scope().session()), "{rows:?}");
}

#[tokio::test]
async fn the_use_of_a_session_is_recorded_once_a_minute() {
    let fixture = Fixture::new().await;
    let (authenticator, token) = (fixture.authenticator(), token(&fixture, "ada", json!({ "sid": "s" })));
    // The first token causes a fetch of the keys, which changes their version, so the next request verifies it again.
    authenticate(&authenticator, &token).await.expect("valid token");
    let ada = authenticate(&authenticator, &token).await.expect("valid token");
    let first_seen = sessions(&fixture, &ada).await[0].last_seen_at;
    tokio::time::pause();
    let mut seen = Vec::new();
    for seconds in [10, 20, 45] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        fixture.clock.advance(TimeDelta::seconds(i64::try_from(seconds).expect("a small number")));
        authenticate(&authenticator, &token).await.expect("valid token");
        seen.push((sessions(&fixture, &ada).await[0].last_seen_at - first_seen).num_seconds());
    }
    assert_eq!(seen, [10, 10, 75]);
}

fn origin() -> policy::caller::RequestOrigin {
    domain::ids::RequestId::from_uuid(uuid::Uuid::nil()).into()
}
