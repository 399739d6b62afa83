//! Tokens: each way to be refused, and what a good one leads to.

use crate::support::issuer::Signer;
use crate::support::{World, but, present, request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::error::{Classify as _, ErrorKind, Problem};
use domain::ids::TenantId;
use domain::mapping::NewMapping;
use domain::ports::{Clock as _, Directory as _, IdGen as _, NewTenant};
use domain::role::Role;
use domain::tenant::TenantSettings;
use policy::authn::settings::{GroupsOverage, IssuerSettings, KeySource};
use policy::error::GateError;
use serde_json::{Value, json};
use std::time::Duration;

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
    let mut problems =
        vec![Problem::of(&authenticator.authenticate(None, request().into()).await.expect_err("no token"))];
    for (token, reason) in bad_tokens(&world) {
        let error = present(&authenticator, &token).await.expect_err(reason);
        assert!(
            matches!(error, GateError::Unauthenticated { reason: found } if found == reason),
            "{reason}: {error:?}"
        );
        problems.push(Problem::of(&error));
        reasons.push(reason);
    }
    // The second one of a reason within a minute is counted.
    reasons.dedup();
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
        assert_eq!(caller.entitlements().role, role, "{value}");
        users.push(caller.user().id);
    }
    assert!(users.iter().all(|id| *id == users[0]), "one user throughout");
}

#[tokio::test]
async fn an_old_token_does_not_bring_back_a_role_that_an_admin_took_away() {
    let world = World::new().await;
    let old = world.signer.sign(&world.claims("ada", "PlatformAdmin"));
    let before = present(&world.authenticator(), &old).await.expect("good");
    assert_eq!(before.entitlements().role, Role::Admin);
    world.patch(before.user(), domain::user::UserPatch { role: Some(Role::Viewer), ..Default::default() }).await;

    let after_a_restart = present(&world.authenticator(), &old).await.expect("good");
    assert_eq!(after_a_restart.entitlements().role, Role::Viewer);
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

/// Tokens that break a rule in a way that a careless reader would not notice; whichever check says no, the answer is a 401.
fn hostile_tokens(world: &World) -> Vec<(String, &'static str)> {
    let (signer, header, good) = (&world.signer, world.signer.header(), world.claims("ada", "user"));
    let now = good["iat"].as_i64().expect("a time");
    let headed = |name: &str, value: Value| signer.sign_as(&but(header.clone(), name, value), &good);
    let claiming = |name: &str, value: Value| signer.sign(&but(good.clone(), name, value));
    let raw = |header: &str, claims: &str| signer.sign_text(header, claims);
    let (plain, text) = (header.to_string(), good.to_string());
    let twice = |name: &str, value: &str| raw(&plain, &text.replacen('{', &format!("{{\"{name}\":{value},"), 1));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let evil = "https://evil.example/keys";
    let mut tokens = vec![
        (headed("jku", json!(evil)), "header_key"),
        (headed("x5u", json!(evil)), "header_key"),
        (headed("jwk", Signer::new("evil").jwk()), "header_key"),
        (headed("x5c", json!(["MIIB"])), "header_key"),
        (headed("alg", json!("None")), "algorithm_not_allowed"),
        (headed("alg", json!("es256")), "algorithm_not_allowed"),
        (headed("alg", json!("RS256")), "algorithm_not_allowed"),
        (headed("alg", json!(["ES256"])), "algorithm_not_allowed"),
        (headed("typ", json!(5)), "header_typ"),
        (headed("crit", json!([])), "header_crit"),
        (headed("kid", json!(5)), "key_id_missing"),
        (headed("kid", json!("")), "key_id_missing"),
        (headed("kid", json!("k".repeat(300))), "key_id_missing"),
        (headed("kid", json!("../../../dev/null")), "key_unknown"),
        (headed("kid", json!("k1' OR '1'='1")), "key_unknown"),
        (headed("kid", json!("k1\u{0}")), "key_unknown"),
        (twice("sub", "\"root\""), "token_malformed"),
        (twice("exp", "9999999999"), "token_malformed"),
        (raw(&plain.replacen('{', "{\"alg\":\"none\",", 1), &text), "token_malformed"),
        (twice("x", &deep), "token_malformed"),
        (raw(&plain, "[]"), "token_malformed"),
        (raw(&plain, "null"), "token_malformed"),
        (raw(&plain, &text.replacen('{', "{\"x\":1e999,", 1)), "token_malformed"),
        (format!("{}=", signer.sign(&good)), "signature_invalid"),
        (signer.sign(&good).replacen('.', "..", 1), "token_malformed"),
        (format!("{}.x.y", signer.sign(&good)), "token_malformed"),
        (format!(" {}", signer.sign(&good)), "token_malformed"),
        (claiming("iss", json!([good["iss"]])), "issuer_unknown"),
        (claiming("iss", Value::Null), "issuer_unknown"),
        (claiming("aud", json!([])), "audience_mismatch"),
        (claiming("aud", json!({"a": 1})), "audience_mismatch"),
        (claiming("aud", json!([[good["aud"]]])), "audience_mismatch"),
        (claiming("aud", json!(" api://platform")), "audience_mismatch"),
        (claiming("nbf", json!("1")), "token_not_yet_valid"),
        (claiming("nbf", json!(true)), "token_not_yet_valid"),
        (claiming("iat", json!("now")), "issued_in_future"),
        (claiming("iat", json!(now + 3600)), "issued_in_future"),
        (claiming("tid", Value::Null), "required_claim_mismatch"),
        (claiming("tid", json!(["t1"])), "required_claim_mismatch"),
        (claiming("ver", json!("1.0")), "token_version"),
    ];
    let exps = [json!((now + 100).to_string()), json!(true), json!([now + 100]), json!(-1), json!(1e300), json!({})];
    tokens.extend(exps.map(|exp| (claiming("exp", exp), "expiry_invalid")));
    let kinds = [("at_hash", json!("x")), ("c_hash", json!("x")), ("typ", json!("ID")), ("token_use", json!("id"))];
    tokens.extend(kinds.map(|(name, value)| (claiming(name, value), "not_an_access_token")));
    let subjects = [json!(""), json!(7), json!(["ada"]), json!("x".repeat(256)), json!("a\u{0}b"), json!("a\nb")];
    tokens.extend(subjects.map(|subject| (claiming("oid", subject), "subject_missing")));
    tokens
}

/// Tokens with a claim of the wrong type where another name or another item would do.
fn mistyped_tokens(world: &World) -> Vec<(String, &'static str)> {
    let (signer, good) = (&world.signer, world.claims("ada", "user"));
    let (header, text) = (signer.header().to_string(), good.to_string());
    let sub = |value: Value| signer.sign(&but(but(good.clone(), "oid", json!("ada")), "sub", value));
    let aud = |other: Value| signer.sign(&but(good.clone(), "aud", json!([good["aud"], other])));
    vec![
        (aud(json!(7)), "audience_mismatch"),
        (aud(Value::Null), "audience_mismatch"),
        (sub(json!(7)), "subject_missing"),
        (sub(json!(["ada"])), "subject_missing"),
        (signer.sign_text(&header, &text.replacen('{', "{\"oid\":null,", 1)), "subject_missing"),
    ]
}

#[tokio::test]
async fn hostile_tokens_are_refused_alike_whichever_rule_they_break() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    for (token, reason) in hostile_tokens(&world).into_iter().chain(mistyped_tokens(&world)) {
        let error = present(&authenticator, &token).await.expect_err(reason);
        assert!(matches!(error, GateError::Unauthenticated { reason: said } if said == reason), "{reason}: {error:?}");
        let same = Problem { kind: ErrorKind::Unauthenticated, code: "invalid_token", detail: None, decision: None };
        assert_eq!(Problem::of(&error), same);
    }
    assert!(world.audit().is_empty(), "nobody was provisioned");
    let control = world.signer.sign(&world.claims("ada", "user"));
    present(&authenticator, &control).await.expect("the token that all of them were made of");
}

#[tokio::test]
async fn text_that_no_database_takes_is_not_stored_and_costs_nobody_the_sign_in() {
    let world = World::new().await;
    let claims = but(but(world.claims("ada", "user"), "name", json!("A\u{0}da")), "email", json!("x".repeat(600)));
    let caller = present(&world.authenticator(), &world.signer.sign(&claims)).await.expect("good");
    assert_eq!((caller.user().display_name.as_deref(), caller.user().email.as_str()), (None, ""));
    let tenant = but(world.claims("ada", "user"), "extension_PlatformTenantId", json!("plant-a\u{0}"));
    let error = present(&world.authenticator(), &world.signer.sign(&tenant)).await.expect_err("no tenant");
    assert_eq!(error.code(), "tenant_unmapped");
}

#[tokio::test]
async fn an_issuer_may_say_another_name_in_its_tokens_if_the_settings_say_so() {
    let world = World::new().await;
    let said = "http://adfs.test/adfs/services/trust";
    let token = world.signer.sign(&but(world.claims("ada", "user"), "iss", json!(said)));
    present(&world.authenticator(), &token).await.expect_err("not configured");
    let mut issuer = world.issuer(world.key_file());
    issuer.accept_iss = vec![said.to_owned()];
    let authenticator = world.authenticator_of(vec![issuer]);
    let caller = present(&authenticator, &token).await.expect("configured");
    let other = present(&authenticator, &world.signer.sign(&world.claims("ada", "user"))).await.expect("its own name");
    assert_eq!((caller.user().id, caller.user().issuer.as_str()), (other.user().id, crate::support::issuer::ISSUER));
}

/// What becomes of these claims under an issuer that was changed so.
async fn outcome_of(claims: Value, change: impl FnOnce(&mut IssuerSettings)) -> Result<Role, &'static str> {
    let world = World::new().await;
    let mut issuer = world.issuer(world.key_file());
    change(&mut issuer);
    let authenticator = world.authenticator_of(vec![issuer]);
    let mut all = world.claims("ada", "user");
    for (name, value) in claims.as_object().expect("an object") {
        all = but(all, name, value.clone());
    }
    let caller = present(&authenticator, &world.signer.sign(&all)).await;
    caller.map(|caller| caller.entitlements().role).map_err(|error| error.code())
}

#[tokio::test]
async fn groups_give_roles_and_tokens_that_leave_them_out_are_refused() {
    let mapped = |issuer: &mut IssuerSettings| {
        issuer.roles.insert("g:leads".to_owned(), Role::Admin);
        issuer.roles.insert("g:crew".to_owned(), Role::User);
    };
    let overage =
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://evil.example"}}});
    for (claims, role) in [
        (json!({"roles": null, "groups": ["crew", "leads"]}), Ok(Role::Admin)),
        (json!({"roles": null, "groups": ["crew"]}), Ok(Role::User)),
        (json!({"roles": null, "groups": ["others"]}), Ok(Role::Viewer)),
        (json!({"roles": null, "groups": []}), Ok(Role::Viewer)),
        (json!({"roles": ["PlatformViewer"], "groups": ["crew"]}), Ok(Role::User)),
        (json!({"roles": ["g:leads"]}), Ok(Role::Viewer)),
        (json!({"roles": null, "groups": "leads"}), Ok(Role::Admin)),
        (overage.clone(), Err("groups_overage")),
        (json!({"hasgroups": true}), Err("groups_overage")),
    ] {
        assert_eq!(outcome_of(claims.clone(), mapped).await, role, "{claims}");
    }
    let ignoring = |issuer: &mut IssuerSettings| issuer.groups_overage = GroupsOverage::Ignore;
    assert_eq!(outcome_of(overage, ignoring).await, Ok(Role::User), "from its app role");
}

#[tokio::test]
async fn guests_and_programs_get_in_only_where_somebody_let_them_in() {
    let home = "https://sts.windows.net/99999999-8888-7777-6666-555555555555/";
    let guest = json!({"idp": home});
    let letting = |homes: &'static [&'static str]| {
        move |issuer: &mut IssuerSettings| issuer.guests = homes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(outcome_of(guest.clone(), letting(&[])).await, Err("guest_refused"));
    assert_eq!(outcome_of(json!({"acct": 1}), letting(&[])).await, Err("guest_refused"));
    assert_eq!(
        outcome_of(json!({"acct": 1}), letting(&["https://sts.windows.net/other/"])).await,
        Err("guest_refused")
    );
    assert_eq!(outcome_of(json!({"acct": 0}), letting(&[])).await, Ok(Role::User));
    assert_eq!(
        outcome_of(json!({"idp": "https://sts.windows.net/t1/"}), letting(&[])).await,
        Ok(Role::User),
        "at home"
    );
    assert_eq!(
        outcome_of(guest.clone(), letting(&["https://sts.windows.net/99999999-8888-7777-6666-555555555555/"])).await,
        Ok(Role::User)
    );
    assert_eq!(outcome_of(guest, letting(&["*"])).await, Ok(Role::User));

    let program = |roles: Value| json!({"idtyp": "app", "roles": roles});
    assert_eq!(outcome_of(program(Value::Null), |_| {}).await, Err("insufficient_scope"));
    assert_eq!(outcome_of(program(json!(["Other.Read"])), |_| {}).await, Err("insufficient_scope"));
    assert_eq!(outcome_of(program(json!(["PlatformUser"])), |_| {}).await, Ok(Role::User));
}

#[tokio::test]
async fn one_of_the_required_scope_and_role_will_do() {
    let both = |issuer: &mut IssuerSettings| {
        issuer.required_scope = Some("platform.use".to_owned());
        issuer.required_role = Some("PlatformUser".to_owned());
    };
    for (claims, outcome) in [
        (json!({"roles": ["PlatformUser"]}), Ok(Role::User)),
        (json!({"roles": null, "scp": "openid platform.use"}), Ok(Role::Viewer)),
        (json!({"roles": null, "scp": ["platform.use"]}), Ok(Role::Viewer)),
        (json!({"roles": ["PlatformViewer"], "scp": "openid"}), Err("insufficient_scope")),
        (json!({"roles": null}), Err("insufficient_scope")),
    ] {
        assert_eq!(outcome_of(claims.clone(), both).await, outcome, "{claims}");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_too_long_ago_asks_for_a_new_one_and_goes_stale_while_the_token_lives() {
    let world = World::new().await;
    let mut issuer = world.issuer(world.key_file());
    issuer.max_age_s = Some(60);
    let authenticator = world.authenticator_of(vec![issuer]);
    let now = world.clock.now().timestamp();
    let with = |auth_time: Value| world.signer.sign(&but(world.claims("ada", "user"), "auth_time", auth_time));
    for bad in [Value::Null, json!((now - 10).to_string()), json!(now - 120), json!(now + 61)] {
        let error = present(&authenticator, &with(bad.clone())).await.expect_err("not recent");
        assert!(matches!(error, GateError::StepUp { max_age_s: 60 }), "{bad}: {error:?}");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthenticated, "insufficient_user_authentication"));
    }
    let token = with(json!(now - 10));
    present(&authenticator, &token).await.expect("recent");
    world.clock.advance(TimeDelta::seconds(109));
    present(&authenticator, &token).await.expect("within the minute of skew");
    world.clock.advance(TimeDelta::seconds(1));
    present(&authenticator, &token).await.expect_err("no longer, though the token still holds");
}

#[tokio::test]
async fn a_role_that_the_issuer_no_longer_says_is_gone_with_the_next_token() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let admin = present(&authenticator, &world.signer.sign(&world.claims("ada", "admin"))).await.expect("good");
    assert_eq!(admin.entitlements().role, Role::Admin);
    let silent = but(world.claims("ada", "user"), "roles", Value::Null);
    let caller = present(&authenticator, &world.signer.sign(&silent)).await.expect("good");
    assert_eq!((caller.user().id, caller.entitlements().role), (admin.user().id, Role::Viewer));
}

#[tokio::test]
async fn a_tenants_own_mapping_adds_to_the_issuers_and_the_strongest_role_wins() {
    let world = World::new().await;
    let role_mappings = [("shift-lead".to_owned(), Role::User), ("g:control-room".to_owned(), Role::Admin)].into();
    let settings = TenantSettings { role_mappings, ..TenantSettings::default() };
    assert!(world.store.set_settings(world.tenant, settings).await.expect("in memory"));
    let authenticator = world.authenticator();
    for (roles, groups, role) in [
        (json!(["shift-lead"]), Value::Null, Role::User),
        (json!(["PlatformViewer"]), json!(["control-room"]), Role::Admin),
        (Value::Null, json!(["control-room"]), Role::Admin),
        (json!(["PlatformAdmin", "shift-lead"]), Value::Null, Role::Admin),
        (Value::Null, json!(["elsewhere"]), Role::Viewer),
    ] {
        let claims = but(but(world.claims("ada", "x"), "roles", roles.clone()), "groups", groups.clone());
        let caller = present(&authenticator, &world.signer.sign(&claims)).await.expect("good");
        assert_eq!(caller.entitlements().role, role, "{roles} {groups}");
    }
}

#[tokio::test]
async fn a_mapping_in_the_database_lets_in_and_its_deletion_keeps_out() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let new = NewTenant { id: world.ids.uuid().into(), name: "Plant B".to_owned(), slug: "plant-b".to_owned() };
    let plant_b = world.store.create_tenant(new).await.expect("a new tenant");
    let claims = but(world.claims("ada", "user"), "extension_PlatformTenantId", json!("north"));
    let token = world.signer.sign(&claims);
    assert_eq!(present(&authenticator, &token).await.expect_err("unmapped").code(), "tenant_unmapped");
    let mapping = |tenant, claim: &str| NewMapping {
        id: world.ids.uuid().into(),
        tenant,
        issuer: crate::support::issuer::ISSUER.to_owned(),
        claim: claim.to_owned(),
    };
    let made = world
        .store
        .create_mapping(mapping(plant_b.id, "north"), &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory")
        .expect("a tenant");
    assert_eq!(present(&authenticator, &token).await.expect("mapped").tenant().id, plant_b.id);
    // What the configuration says of a claim, no row changes.
    world
        .store
        .create_mapping(mapping(plant_b.id, "plant-a"), &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory")
        .expect("a tenant");
    let configured = world.signer.sign(&world.claims("ada", "user"));
    assert_eq!(present(&authenticator, &configured).await.expect("good").tenant().id, world.tenant);

    world
        .store
        .delete_mapping(plant_b.id, made.id, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory")
        .expect("is there");
    let begun = std::time::Instant::now();
    let error = loop {
        match present(&authenticator, &token).await {
            Err(error) => break error,
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "a deleted mapping still lets in");
    };
    assert_eq!(error.code(), "tenant_unmapped");
}
