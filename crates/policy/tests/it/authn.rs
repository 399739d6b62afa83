//! Authentication: every reason to refuse a token, and the caller of a valid token.

use crate::support::issuer::Signer;
use crate::support::{Fixture, authenticate, request_id, with_claim};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::error::{Classify as _, ErrorKind, Problem};
use domain::ids::TenantId;
use domain::mapping::NewMapping;
use domain::ports::{Clock as _, IdGen as _, NewTenant, TenantDirectory as _};
use domain::role::Role;
use domain::tenant::TenantSettings;
use fakes::eventually;
use policy::authn::settings::{GroupsOverage, IssuerSettings, KeySource};
use policy::error::GateError;
use serde_json::{Value, json};

/// One token for each reason to refuse a token, except missing tokens and missing keys.
fn invalid_tokens(fixture: &Fixture) -> Vec<(String, &'static str)> {
    let (signer, header, good) = (&fixture.signer, fixture.signer.header(), fixture.claims("ada", "user"));
    let now = good["iat"].as_i64().expect("a time");
    let with_header = |name: &str, value: Value| signer.sign_as(&with_claim(header.clone(), name, value), &good);
    let token_with = |name: &str, value: Value| signer.sign(&with_claim(good.clone(), name, value));
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(good.to_string()));
    vec![
        ("x".repeat(20_000), "token_too_large"),
        ("a.b".to_owned(), "token_malformed"),
        (unsigned, "token_malformed"),
        (with_header("crit", json!(["b64"])), "header_crit"),
        (with_header("typ", json!("id+jwt")), "header_typ"),
        (with_header("alg", json!("HS256")), "algorithm_not_allowed"),
        (with_header("alg", json!("none")), "algorithm_not_allowed"),
        (with_header("kid", Value::Null), "key_id_missing"),
        (with_header("kid", json!("k2")), "key_unknown"),
        (with_header("kid", json!("rsa")), "key_type_mismatch"),
        (Signer::new("k1").sign(&good), "signature_invalid"),
        (token_with("iss", json!("https://issuer.test/")), "issuer_unknown"),
        (token_with("exp", Value::Null), "expiry_invalid"),
        (token_with("exp", json!(now - 60)), "token_expired"),
        (token_with("nbf", json!(now + 61)), "token_not_yet_valid"),
        (token_with("iat", json!(now + 61)), "issued_in_future"),
        (token_with("aud", json!("api://other")), "audience_mismatch"),
        (token_with("tid", json!("t2")), "required_claim_mismatch"),
        (token_with("nonce", json!("n")), "not_an_access_token"),
        (token_with("sub", Value::Null), "subject_missing"),
    ]
}

#[tokio::test]
async fn each_invalid_token_is_recorded_with_its_reason_and_gets_the_same_response() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let mut reasons = vec!["token_missing"];
    let mut problems =
        vec![Problem::from_error(&authenticator.authenticate(None, request_id().into()).await.expect_err("no token"))];
    for (token, reason) in invalid_tokens(&fixture) {
        let error = authenticate(&authenticator, &token).await.expect_err(reason);
        assert!(
            matches!(error, GateError::Unauthenticated { reason: found } if found == reason),
            "{reason}: {error:?}"
        );
        problems.push(Problem::from_error(&error));
        reasons.push(reason);
    }
    // The second refusal with the same reason within a minute is only counted.
    reasons.dedup();
    let recorded: Vec<_> = fixture.audit_rows_of(TenantId::PLATFORM);
    assert!(recorded.iter().all(|row| row.event_type == "auth.denied" && row.user_id.is_none()));
    assert_eq!(recorded.iter().map(|row| row.metadata["reason"].clone()).collect::<Vec<_>>(), reasons);
    let expected = Problem { kind: ErrorKind::Unauthenticated, code: "invalid_token", detail: None, decision_id: None };
    assert!(problems.iter().all(|problem| *problem == expected), "{problems:?}");
    assert!(fixture.audit_rows().is_empty(), "no user was created or logged in");
}

#[tokio::test]
async fn a_missing_key_set_is_reported_as_unavailable_and_not_as_an_invalid_token() {
    let fixture = Fixture::new().await;
    let authenticator =
        fixture.authenticator_with(vec![fixture.issuer(KeySource::File(fixture.key_dir.path().join("none")))]);
    let token = fixture.signer.sign(&fixture.claims("ada", "user"));
    let error = authenticate(&authenticator, &token).await.expect_err("no keys");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "identity_unavailable"));
    assert_eq!(fixture.audit_rows_of(TenantId::PLATFORM)[0].metadata["reason"], "keys_unavailable");
}

#[tokio::test]
async fn a_cached_token_is_refused_after_its_expiry() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let token = fixture.signer.sign(&fixture.claims("ada", "user"));
    authenticate(&authenticator, &token).await.expect("valid token");
    fixture.clock.advance(TimeDelta::seconds(159));
    authenticate(&authenticator, &token).await.expect("within the minute of skew");
    fixture.clock.advance(TimeDelta::seconds(1));
    let error = authenticate(&authenticator, &token).await.expect_err("expired");
    assert!(matches!(error, GateError::Unauthenticated { reason: "token_expired" }), "{error:?}");
}

#[tokio::test]
async fn a_login_is_recorded_once_per_token_even_across_a_restart() {
    let fixture = Fixture::new().await;
    let first = fixture.signer.sign(&fixture.claims("ada", "user"));
    for authenticator in [fixture.authenticator(), fixture.authenticator()] {
        for _ in 0..3 {
            authenticate(&authenticator, &first).await.expect("valid token");
        }
    }
    let logins = |fixture: &Fixture| fixture.audit_rows().iter().filter(|row| row.event_type == "auth.login").count();
    assert_eq!(logins(&fixture), 1);
    let second = fixture.signer.sign(&with_claim(fixture.claims("ada", "user"), "jti", json!("2")));
    authenticate(&fixture.authenticator(), &second).await.expect("valid token");
    assert_eq!(logins(&fixture), 2);
}

#[tokio::test]
async fn a_new_token_sets_the_role_and_an_unknown_role_value_gives_the_weakest() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let mut users = Vec::new();
    for (value, role) in [("PlatformAdmin", Role::Admin), ("PlatformUser", Role::User), ("Gone", Role::Viewer)] {
        let caller = authenticate(&authenticator, &fixture.signer.sign(&fixture.claims("ada", value)))
            .await
            .expect("valid token");
        assert_eq!(caller.entitlements().role, role, "{value}");
        users.push(caller.user().id);
    }
    assert!(users.iter().all(|id| *id == users[0]), "one user throughout");
}

#[tokio::test]
async fn a_used_token_does_not_restore_a_role_that_an_admin_has_lowered() {
    let fixture = Fixture::new().await;
    let old = fixture.signer.sign(&fixture.claims("ada", "PlatformAdmin"));
    let caller = authenticate(&fixture.authenticator(), &old).await.expect("valid token");
    assert_eq!(caller.entitlements().role, Role::Admin);
    fixture.patch(caller.user(), domain::user::UserPatch { role: Some(Role::Viewer), ..Default::default() }).await;

    let caller_after_restart = authenticate(&fixture.authenticator(), &old).await.expect("valid token");
    assert_eq!(caller_after_restart.entitlements().role, Role::Viewer);
}

#[tokio::test]
async fn a_token_of_an_unmapped_tenant_is_refused() {
    let fixture = Fixture::new().await;
    let claims = fixture.claims("ada", "user");
    for tenant in [json!("plant-b"), Value::Null, json!(fixture.tenant.to_string())] {
        // Without the claim, the next name in the list is tried: `tid`, which is not mapped either.
        let token = fixture.signer.sign(&with_claim(claims.clone(), "extension_PlatformTenantId", tenant.clone()));
        let error = authenticate(&fixture.authenticator(), &token).await.expect_err("no tenant");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "tenant_unmapped"), "{tenant}");
    }
    assert!(fixture.audit_rows().is_empty(), "no user was created");
    assert_eq!(fixture.audit_rows_of(TenantId::PLATFORM).len(), 3);
}

#[tokio::test]
async fn an_inactive_user_cannot_log_in() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let ada =
        authenticate(&authenticator, &fixture.signer.sign(&fixture.claims("ada", "user"))).await.expect("valid token");
    fixture.deactivate(ada.user()).await;
    let next = fixture.signer.sign(&with_claim(fixture.claims("ada", "user"), "jti", json!("2")));
    let error = authenticate(&authenticator, &next).await.expect_err("inactive");
    assert_eq!(error.code(), "user_disabled");
    let events: Vec<_> = fixture.audit_rows().into_iter().map(|row| row.event_type).collect();
    assert_eq!(events, ["auth.login", "auth.denied"]);
}

#[tokio::test]
async fn a_token_without_the_scope_or_without_its_groups_is_refused_with_a_code() {
    let fixture = Fixture::new().await;
    let mut issuer = fixture.issuer(fixture.key_file());
    issuer.required_scope = Some("platform.use".to_owned());
    let authenticator = fixture.authenticator_with(vec![issuer]);
    let scoped = with_claim(fixture.claims("ada", "user"), "scp", json!("profile platform.use"));
    authenticate(&authenticator, &fixture.signer.sign(&scoped)).await.expect("valid token");
    let overage =
        with_claim(with_claim(scoped.clone(), "roles", Value::Null), "_claim_names", json!({"groups": "src1"}));
    let cases =
        [(with_claim(scoped, "scp", json!("platform.user")), "insufficient_scope"), (overage, "groups_overage")];
    for (claims, code) in cases {
        let error = authenticate(&authenticator, &fixture.signer.sign(&claims)).await.expect_err(code);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, code));
    }
}

/// Tokens that break a rule in a way that a careless implementation would miss. All of them must be answered with 401.
fn hostile_tokens(fixture: &Fixture) -> Vec<(String, &'static str)> {
    let (signer, header, good) = (&fixture.signer, fixture.signer.header(), fixture.claims("ada", "user"));
    let now = good["iat"].as_i64().expect("a time");
    let with_header = |name: &str, value: Value| signer.sign_as(&with_claim(header.clone(), name, value), &good);
    let token_with = |name: &str, value: Value| signer.sign(&with_claim(good.clone(), name, value));
    let sign_text = |header: &str, claims: &str| signer.sign_text(header, claims);
    let (header_text, claims_text) = (header.to_string(), good.to_string());
    let with_duplicate_claim = |name: &str, value: &str| {
        sign_text(&header_text, &claims_text.replacen('{', &format!("{{\"{name}\":{value},"), 1))
    };
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let evil = "https://evil.example/keys";
    let mut tokens = vec![
        (with_header("jku", json!(evil)), "header_key"),
        (with_header("x5u", json!(evil)), "header_key"),
        (with_header("jwk", Signer::new("evil").jwk()), "header_key"),
        (with_header("x5c", json!(["MIIB"])), "header_key"),
        (with_header("alg", json!("None")), "algorithm_not_allowed"),
        (with_header("alg", json!("es256")), "algorithm_not_allowed"),
        (with_header("alg", json!("RS256")), "algorithm_not_allowed"),
        (with_header("alg", json!(["ES256"])), "algorithm_not_allowed"),
        (with_header("typ", json!(5)), "header_typ"),
        (with_header("crit", json!([])), "header_crit"),
        (with_header("kid", json!(5)), "key_id_missing"),
        (with_header("kid", json!("")), "key_id_missing"),
        (with_header("kid", json!("k".repeat(300))), "key_id_missing"),
        (with_header("kid", json!("../../../dev/null")), "key_unknown"),
        (with_header("kid", json!("k1' OR '1'='1")), "key_unknown"),
        (with_header("kid", json!("k1\u{0}")), "key_unknown"),
        (with_duplicate_claim("sub", "\"root\""), "token_malformed"),
        (with_duplicate_claim("exp", "9999999999"), "token_malformed"),
        (sign_text(&header_text.replacen('{', "{\"alg\":\"none\",", 1), &claims_text), "token_malformed"),
        (with_duplicate_claim("x", &deep), "token_malformed"),
        (sign_text(&header_text, "[]"), "token_malformed"),
        (sign_text(&header_text, "null"), "token_malformed"),
        (sign_text(&header_text, &claims_text.replacen('{', "{\"x\":1e999,", 1)), "token_malformed"),
        (format!("{}=", signer.sign(&good)), "signature_invalid"),
        (signer.sign(&good).replacen('.', "..", 1), "token_malformed"),
        (format!("{}.x.y", signer.sign(&good)), "token_malformed"),
        (format!(" {}", signer.sign(&good)), "token_malformed"),
        (token_with("iss", json!([good["iss"]])), "issuer_unknown"),
        (token_with("iss", Value::Null), "issuer_unknown"),
        (token_with("aud", json!([])), "audience_mismatch"),
        (token_with("aud", json!({"a": 1})), "audience_mismatch"),
        (token_with("aud", json!([[good["aud"]]])), "audience_mismatch"),
        (token_with("aud", json!(" api://platform")), "audience_mismatch"),
        (token_with("nbf", json!("1")), "token_not_yet_valid"),
        (token_with("nbf", json!(true)), "token_not_yet_valid"),
        (token_with("iat", json!("now")), "issued_in_future"),
        (token_with("iat", json!(now + 3600)), "issued_in_future"),
        (token_with("tid", Value::Null), "required_claim_mismatch"),
        (token_with("tid", json!(["t1"])), "required_claim_mismatch"),
        (token_with("ver", json!("1.0")), "token_version"),
    ];
    let exps = [json!((now + 100).to_string()), json!(true), json!([now + 100]), json!(-1), json!(1e300), json!({})];
    tokens.extend(exps.map(|exp| (token_with("exp", exp), "expiry_invalid")));
    let kinds = [("at_hash", json!("x")), ("c_hash", json!("x")), ("typ", json!("ID")), ("token_use", json!("id"))];
    tokens.extend(kinds.map(|(name, value)| (token_with(name, value), "not_an_access_token")));
    let subjects = [json!(""), json!(7), json!(["ada"]), json!("x".repeat(256)), json!("a\u{0}b"), json!("a\nb")];
    tokens.extend(subjects.map(|subject| (token_with("oid", subject), "subject_missing")));
    tokens
}

/// Tokens with a claim of the wrong type, although another claim or list item is valid.
fn mistyped_tokens(fixture: &Fixture) -> Vec<(String, &'static str)> {
    let (signer, good) = (&fixture.signer, fixture.claims("ada", "user"));
    let (header, text) = (signer.header().to_string(), good.to_string());
    let sub = |value: Value| signer.sign(&with_claim(with_claim(good.clone(), "oid", json!("ada")), "sub", value));
    let aud = |other: Value| signer.sign(&with_claim(good.clone(), "aud", json!([good["aud"], other])));
    vec![
        (aud(json!(7)), "audience_mismatch"),
        (aud(Value::Null), "audience_mismatch"),
        (sub(json!(7)), "subject_missing"),
        (sub(json!(["ada"])), "subject_missing"),
        (signer.sign_text(&header, &text.replacen('{', "{\"oid\":null,", 1)), "subject_missing"),
    ]
}

#[tokio::test]
async fn hostile_tokens_all_get_the_same_response() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    for (token, reason) in hostile_tokens(&fixture).into_iter().chain(mistyped_tokens(&fixture)) {
        let error = authenticate(&authenticator, &token).await.expect_err(reason);
        assert!(
            matches!(error, GateError::Unauthenticated { reason: found } if found == reason),
            "{reason}: {error:?}"
        );
        let expected =
            Problem { kind: ErrorKind::Unauthenticated, code: "invalid_token", detail: None, decision_id: None };
        assert_eq!(Problem::from_error(&error), expected);
    }
    assert!(fixture.audit_rows().is_empty(), "no user was created");
    let unmodified = fixture.signer.sign(&fixture.claims("ada", "user"));
    authenticate(&authenticator, &unmodified).await.expect("the unmodified token");
}

#[tokio::test]
async fn text_that_the_database_cannot_store_is_dropped_without_refusing_the_login() {
    let fixture = Fixture::new().await;
    let claims = with_claim(
        with_claim(fixture.claims("ada", "user"), "name", json!("A\u{0}da")),
        "email",
        json!("x".repeat(600)),
    );
    let caller = authenticate(&fixture.authenticator(), &fixture.signer.sign(&claims)).await.expect("valid token");
    assert_eq!((caller.user().display_name.as_deref(), caller.user().email.as_str()), (None, ""));
    let tenant = with_claim(fixture.claims("ada", "user"), "extension_PlatformTenantId", json!("plant-a\u{0}"));
    let error = authenticate(&fixture.authenticator(), &fixture.signer.sign(&tenant)).await.expect_err("no tenant");
    assert_eq!(error.code(), "tenant_unmapped");
}

#[tokio::test]
async fn tokens_may_carry_another_iss_if_the_settings_accept_it() {
    let fixture = Fixture::new().await;
    let accepted_iss = "http://adfs.test/adfs/services/trust";
    let token = fixture.signer.sign(&with_claim(fixture.claims("ada", "user"), "iss", json!(accepted_iss)));
    authenticate(&fixture.authenticator(), &token).await.expect_err("not configured");
    let mut issuer = fixture.issuer(fixture.key_file());
    issuer.accepted_issuers = vec![accepted_iss.to_owned()];
    let authenticator = fixture.authenticator_with(vec![issuer]);
    let caller = authenticate(&authenticator, &token).await.expect("configured");
    let other =
        authenticate(&authenticator, &fixture.signer.sign(&fixture.claims("ada", "user"))).await.expect("own iss");
    assert_eq!((caller.user().id, caller.user().issuer.as_str()), (other.user().id, crate::support::issuer::ISSUER));
}

/// Authenticates with `claims` under an issuer with changed settings. Returns the caller's role or the error code.
async fn role_or_error(claims: Value, change: impl FnOnce(&mut IssuerSettings)) -> Result<Role, &'static str> {
    let fixture = Fixture::new().await;
    let mut issuer = fixture.issuer(fixture.key_file());
    change(&mut issuer);
    let authenticator = fixture.authenticator_with(vec![issuer]);
    let mut all_claims = fixture.claims("ada", "user");
    for (name, value) in claims.as_object().expect("an object") {
        all_claims = with_claim(all_claims, name, value.clone());
    }
    let caller = authenticate(&authenticator, &fixture.signer.sign(&all_claims)).await;
    caller.map(|caller| caller.entitlements().role).map_err(|error| error.code())
}

#[tokio::test]
async fn groups_give_roles_and_tokens_that_omit_them_are_refused() {
    let map_groups = |issuer: &mut IssuerSettings| {
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
        assert_eq!(role_or_error(claims.clone(), map_groups).await, role, "{claims}");
    }
    let ignore_overage = |issuer: &mut IssuerSettings| issuer.groups_overage = GroupsOverage::Ignore;
    assert_eq!(role_or_error(overage, ignore_overage).await, Ok(Role::User), "the role comes from the app role");
}

#[tokio::test]
async fn guests_and_applications_are_admitted_only_if_configured() {
    let home = "https://sts.windows.net/99999999-8888-7777-6666-555555555555/";
    let guest = json!({"idp": home});
    let admit_guests_of = |homes: &'static [&'static str]| {
        move |issuer: &mut IssuerSettings| issuer.guest_directories = homes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(role_or_error(guest.clone(), admit_guests_of(&[])).await, Err("guest_refused"));
    assert_eq!(role_or_error(json!({"acct": 1}), admit_guests_of(&[])).await, Err("guest_refused"));
    assert_eq!(
        role_or_error(json!({"acct": 1}), admit_guests_of(&["https://sts.windows.net/other/"])).await,
        Err("guest_refused")
    );
    assert_eq!(role_or_error(json!({"acct": 0}), admit_guests_of(&[])).await, Ok(Role::User));
    assert_eq!(
        role_or_error(json!({"idp": "https://sts.windows.net/t1/"}), admit_guests_of(&[])).await,
        Ok(Role::User),
        "not a guest"
    );
    assert_eq!(
        role_or_error(
            guest.clone(),
            admit_guests_of(&["https://sts.windows.net/99999999-8888-7777-6666-555555555555/"])
        )
        .await,
        Ok(Role::User)
    );
    assert_eq!(role_or_error(guest, admit_guests_of(&["*"])).await, Ok(Role::User));

    let application = |roles: Value| json!({"idtyp": "app", "roles": roles});
    assert_eq!(role_or_error(application(Value::Null), |_| {}).await, Err("insufficient_scope"));
    assert_eq!(role_or_error(application(json!(["Other.Read"])), |_| {}).await, Err("insufficient_scope"));
    assert_eq!(role_or_error(application(json!(["PlatformUser"])), |_| {}).await, Ok(Role::User));
}

#[tokio::test]
async fn either_the_required_scope_or_the_required_role_is_sufficient() {
    let require_scope_or_role = |issuer: &mut IssuerSettings| {
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
        assert_eq!(role_or_error(claims.clone(), require_scope_or_role).await, outcome, "{claims}");
    }
}

#[tokio::test]
async fn an_authentication_that_is_too_old_requires_a_new_one_even_before_the_token_expires() {
    let fixture = Fixture::new().await;
    let mut issuer = fixture.issuer(fixture.key_file());
    issuer.max_age_s = Some(60);
    let authenticator = fixture.authenticator_with(vec![issuer]);
    let now = fixture.clock.now().timestamp();
    let token_with =
        |auth_time: Value| fixture.signer.sign(&with_claim(fixture.claims("ada", "user"), "auth_time", auth_time));
    for bad in [Value::Null, json!((now - 10).to_string()), json!(now - 120), json!(now + 61)] {
        let error = authenticate(&authenticator, &token_with(bad.clone())).await.expect_err("not recent");
        assert!(matches!(error, GateError::StepUpRequired { max_age_s: 60 }), "{bad}: {error:?}");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthenticated, "insufficient_user_authentication"));
    }
    let token = token_with(json!(now - 10));
    authenticate(&authenticator, &token).await.expect("recent");
    fixture.clock.advance(TimeDelta::seconds(109));
    authenticate(&authenticator, &token).await.expect("within the minute of skew");
    fixture.clock.advance(TimeDelta::seconds(1));
    authenticate(&authenticator, &token).await.expect_err("too old, although the token has not expired");
}

#[tokio::test]
async fn a_role_that_the_issuer_no_longer_sends_is_removed_by_the_next_token() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let admin =
        authenticate(&authenticator, &fixture.signer.sign(&fixture.claims("ada", "admin"))).await.expect("valid token");
    assert_eq!(admin.entitlements().role, Role::Admin);
    let without_roles = with_claim(fixture.claims("ada", "user"), "roles", Value::Null);
    let caller = authenticate(&authenticator, &fixture.signer.sign(&without_roles)).await.expect("valid token");
    assert_eq!((caller.user().id, caller.entitlements().role), (admin.user().id, Role::Viewer));
}

#[tokio::test]
async fn a_tenants_role_mapping_extends_the_issuers_and_the_strongest_role_wins() {
    let fixture = Fixture::new().await;
    let role_mappings = [("shift-lead".to_owned(), Role::User), ("g:control-room".to_owned(), Role::Admin)].into();
    let settings = TenantSettings { role_mappings, ..TenantSettings::default() };
    assert!(fixture.store.set_settings(fixture.tenant, settings).await.expect("in-memory store"));
    let authenticator = fixture.authenticator();
    for (roles, groups, role) in [
        (json!(["shift-lead"]), Value::Null, Role::User),
        (json!(["PlatformViewer"]), json!(["control-room"]), Role::Admin),
        (Value::Null, json!(["control-room"]), Role::Admin),
        (json!(["PlatformAdmin", "shift-lead"]), Value::Null, Role::Admin),
        (Value::Null, json!(["elsewhere"]), Role::Viewer),
    ] {
        let claims =
            with_claim(with_claim(fixture.claims("ada", "x"), "roles", roles.clone()), "groups", groups.clone());
        let caller = authenticate(&authenticator, &fixture.signer.sign(&claims)).await.expect("valid token");
        assert_eq!(caller.entitlements().role, role, "{roles} {groups}");
    }
}

#[tokio::test]
async fn a_tenant_mapping_in_the_database_admits_users_until_it_is_deleted() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let new_tenant =
        NewTenant { id: fixture.ids.uuid().into(), name: "Plant B".to_owned(), slug: "plant-b".to_owned() };
    let plant_b = fixture.store.create_tenant(new_tenant).await.expect("a new tenant");
    let claims = with_claim(fixture.claims("ada", "user"), "extension_PlatformTenantId", json!("north"));
    let token = fixture.signer.sign(&claims);
    assert_eq!(authenticate(&authenticator, &token).await.expect_err("unmapped").code(), "tenant_unmapped");
    let mapping = |tenant, claim: &str| NewMapping {
        id: fixture.ids.uuid().into(),
        tenant,
        issuer: crate::support::issuer::ISSUER.to_owned(),
        claim: claim.to_owned(),
    };
    let created = fixture
        .store
        .create_mapping(mapping(plant_b.id, "north"), &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store")
        .expect("a tenant");
    assert_eq!(authenticate(&authenticator, &token).await.expect("mapped").tenant().id, plant_b.id);
    // A mapping in the database does not override the configuration.
    fixture
        .store
        .create_mapping(mapping(plant_b.id, "plant-a"), &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store")
        .expect("a tenant");
    let configured = fixture.signer.sign(&fixture.claims("ada", "user"));
    assert_eq!(authenticate(&authenticator, &configured).await.expect("valid token").tenant().id, fixture.tenant);

    fixture
        .store
        .delete_mapping(plant_b.id, created.id, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store")
        .expect("exists");
    let error =
        eventually("a deleted mapping no longer admits", || async { authenticate(&authenticator, &token).await.err() })
            .await;
    assert_eq!(error.code(), "tenant_unmapped");
}
