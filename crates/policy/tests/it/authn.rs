//! Tokens: each way to be refused, and what a good one leads to.

use crate::support::issuer::Signer;
use crate::support::{World, request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::error::{Classify as _, ErrorKind, Problem};
use domain::ids::TenantId;
use domain::role::Role;
use policy::authn::Authenticator;
use policy::authn::settings::KeySource;
use policy::caller::Caller;
use policy::error::GateError;
use serde_json::{Value, json};

async fn present(authenticator: &Authenticator, token: &str) -> Result<Caller, GateError> {
    authenticator.authenticate(Some(token), request()).await
}

/// `claims` with `name` set to `value`, or taken out where that is null.
fn but(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// One token for each reason to refuse one, but for missing tokens and missing keys.
fn bad_tokens(world: &World) -> Vec<(String, &'static str)> {
    let (signer, header, good) = (&world.signer, world.signer.header(), world.claims("ada", "user"));
    let now = good["iat"].as_i64().expect("a time");
    let headed = |name: &str, value: Value| signer.sign_as(&but(header.clone(), name, value), &good);
    let claiming = |name: &str, value: Value| signer.sign(&but(good.clone(), name, value));
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(good.to_string()));
    vec![
        ("x".repeat(20_000), "token_too_large"),
        ("a.b".to_owned(), "token_malformed"),
        (unsigned, "token_malformed"),
        (headed("crit", json!(["b64"])), "header_crit"),
        (headed("typ", json!("id+jwt")), "header_typ"),
        (headed("alg", json!("HS256")), "algorithm_not_allowed"),
        (headed("alg", json!("none")), "algorithm_not_allowed"),
        (headed("kid", Value::Null), "key_id_missing"),
        (headed("kid", json!("k2")), "key_unknown"),
        (headed("kid", json!("rsa")), "key_type_mismatch"),
        (Signer::new("k1").sign(&good), "signature_invalid"),
        (claiming("iss", json!("https://issuer.test/")), "issuer_unknown"),
        (claiming("exp", Value::Null), "expiry_invalid"),
        (claiming("exp", json!(now - 60)), "token_expired"),
        (claiming("nbf", json!(now + 61)), "token_not_yet_valid"),
        (claiming("iat", json!(now + 61)), "issued_in_future"),
        (claiming("aud", json!("api://other")), "audience_mismatch"),
        (claiming("tid", json!("t2")), "required_claim_mismatch"),
        (claiming("nonce", json!("n")), "not_an_access_token"),
        (claiming("sub", Value::Null), "subject_missing"),
    ]
}

#[tokio::test]
async fn each_bad_token_is_recorded_with_its_reason_and_answered_like_the_others() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let mut reasons = vec!["token_missing"];
    let mut problems = vec![Problem::of(&authenticator.authenticate(None, request()).await.expect_err("no token"))];
    for (token, reason) in bad_tokens(&world) {
        problems.push(Problem::of(&present(&authenticator, &token).await.expect_err(reason)));
        reasons.push(reason);
    }
    let recorded: Vec<_> = world.audit_of(TenantId::PLATFORM);
    assert!(recorded.iter().all(|row| row.event_type == "auth.denied" && row.user_id.is_none()));
    assert_eq!(recorded.iter().map(|row| row.metadata["reason"].clone()).collect::<Vec<_>>(), reasons);
    let same = Problem { kind: ErrorKind::Unauthenticated, code: "invalid_token", detail: None, decision: None };
    assert!(problems.iter().all(|problem| *problem == same), "{problems:?}");
    assert!(world.audit().is_empty(), "nobody was provisioned or logged in");
}

#[tokio::test]
async fn without_any_key_set_the_platform_is_unavailable_and_the_token_not_called_invalid() {
    let world = World::new().await;
    let authenticator = world.authenticator_of(vec![world.issuer(KeySource::File(world.keys.path().join("none")))]);
    let token = world.signer.sign(&world.claims("ada", "user"));
    let error = present(&authenticator, &token).await.expect_err("no keys");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "identity_unavailable"));
    assert_eq!(world.audit_of(TenantId::PLATFORM)[0].metadata["reason"], "keys_unavailable");
}

#[tokio::test]
async fn a_remembered_token_is_not_believed_past_its_expiry() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let token = world.signer.sign(&world.claims("ada", "user"));
    present(&authenticator, &token).await.expect("good");
    world.clock.advance(TimeDelta::seconds(159));
    present(&authenticator, &token).await.expect("within the minute of skew");
    world.clock.advance(TimeDelta::seconds(1));
    let error = present(&authenticator, &token).await.expect_err("expired");
    assert!(matches!(error, GateError::Unauthenticated { reason: "token_expired" }), "{error:?}");
}

#[tokio::test]
async fn a_login_is_recorded_once_per_token_also_across_a_restart() {
    let world = World::new().await;
    let first = world.signer.sign(&world.claims("ada", "user"));
    for authenticator in [world.authenticator(), world.authenticator()] {
        for _ in 0..3 {
            present(&authenticator, &first).await.expect("good");
        }
    }
    let logins = |world: &World| world.audit().iter().filter(|row| row.event_type == "auth.login").count();
    assert_eq!(logins(&world), 1);
    let second = world.signer.sign(&but(world.claims("ada", "user"), "jti", json!("2")));
    present(&world.authenticator(), &second).await.expect("good");
    assert_eq!(logins(&world), 2);
}

#[tokio::test]
async fn a_new_token_brings_the_role_that_it_carries_and_an_unknown_one_is_the_weakest() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let mut users = Vec::new();
    for (value, role) in [("PlatformAdmin", Role::Admin), ("PlatformUser", Role::User), ("Gone", Role::Viewer)] {
        let caller = present(&authenticator, &world.signer.sign(&world.claims("ada", value))).await.expect("good");
        assert_eq!(caller.standing().role, role, "{value}");
        users.push(caller.user().id);
    }
    assert!(users.iter().all(|id| *id == users[0]), "one user throughout");
}

#[tokio::test]
async fn an_old_token_does_not_bring_back_a_role_that_an_admin_took_away() {
    let world = World::new().await;
    let old = world.signer.sign(&world.claims("ada", "PlatformAdmin"));
    let before = present(&world.authenticator(), &old).await.expect("good");
    assert_eq!(before.standing().role, Role::Admin);
    let mut tx = domain::ports::Store::begin(&world.store, before.scope()).await.expect("open");
    let patch = domain::user::UserPatch { role: Some(Role::Viewer), ..Default::default() };
    tx.users().update(before.user().id, patch).await.expect("changed");
    tx.commit().await.expect("committed");

    let after_a_restart = present(&world.authenticator(), &old).await.expect("good");
    assert_eq!(after_a_restart.standing().role, Role::Viewer);
}

#[tokio::test]
async fn a_token_of_a_tenant_that_is_not_mapped_leads_nowhere() {
    let world = World::new().await;
    let claims = world.claims("ada", "user");
    for tenant in [json!("plant-b"), Value::Null, json!(world.tenant.to_string())] {
        // Without the claim, the next name in the list is tried: `tid`, which is not mapped either.
        let token = world.signer.sign(&but(claims.clone(), "extension_PlatformTenantId", tenant.clone()));
        let error = present(&world.authenticator(), &token).await.expect_err("no tenant");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "tenant_unmapped"), "{tenant}");
    }
    assert!(world.audit().is_empty(), "nobody was provisioned");
    assert_eq!(world.audit_of(TenantId::PLATFORM).len(), 3);
}

#[tokio::test]
async fn a_user_who_is_switched_off_does_not_log_in() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let ada = present(&authenticator, &world.signer.sign(&world.claims("ada", "user"))).await.expect("good");
    world.switch_off(ada.user()).await;
    let next = world.signer.sign(&but(world.claims("ada", "user"), "jti", json!("2")));
    let error = present(&authenticator, &next).await.expect_err("switched off");
    assert_eq!(error.code(), "user_disabled");
    let events: Vec<_> = world.audit().into_iter().map(|row| row.event_type).collect();
    assert_eq!(events, ["auth.login", "auth.denied"]);
}

#[tokio::test]
async fn a_token_without_the_scope_or_without_its_groups_is_refused_by_name() {
    let world = World::new().await;
    let mut issuer = world.issuer(world.key_file());
    issuer.required_scope = Some("platform.use".to_owned());
    let authenticator = world.authenticator_of(vec![issuer]);
    let scoped = but(world.claims("ada", "user"), "scp", json!("profile platform.use"));
    present(&authenticator, &world.signer.sign(&scoped)).await.expect("good");
    let overage = but(but(scoped.clone(), "roles", Value::Null), "_claim_names", json!({"groups": "src1"}));
    let cases = [(but(scoped, "scp", json!("platform.user")), "insufficient_scope"), (overage, "groups_overage")];
    for (claims, code) in cases {
        let error = present(&authenticator, &world.signer.sign(&claims)).await.expect_err(code);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, code));
    }
}
