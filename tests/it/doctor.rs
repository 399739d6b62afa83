//! `platform-server doctor auth`: what it reports about issuers and tokens, and that it never prints a token.

use crate::support::app::{A, App};
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use platform_server::config::DEVELOPMENT_ISSUER;
use platform_server::doctor::{AuthArgs, check_auth};
use serde_json::json;

#[tokio::test]
async fn the_doctor_says_which_rule_refuses_a_token_and_never_shows_it() {
    let issuer = Issuer::start().await;
    let app = App::start(&[("OIDC_ISSUER", &issuer.url), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let good = |changes| issuer.sign(&issuer.claims(A, &changes));
    let cases = [
        (good(json!({})), 0, "tenant plant-a"),
        (good(json!({})), 0, "role user"),
        (app.token(A, "uma", Role::Admin), 0, "role admin"),
        (good(json!({ "aud": "api://other" })), 1, "audience_mismatch: its aud is not one"),
        (good(json!({ "iss": "https://evil.example" })), 1, "issuer_unknown: this issuer is not configured"),
        (good(json!({ "nonce": "n" })), 1, "not_an_access_token: an ID"),
        (good(json!({ "exp": 1 })), 1, "token_expired"),
        (good(json!({ "extension_PlatformTenantId": "nowhere" })), 1, "tenant_unmapped"),
        (good(json!({ "hasgroups": true })), 1, "groups_overage"),
        (issuer.sign_with_unknown_key(&issuer.claims(A, &json!({}))), 1, "key_unknown"),
        (format!("plantpat_{}", "0".repeat(72)), 1, "access_token_unknown"),
        ("garbage".to_owned(), 1, "token_malformed"),
    ];
    for (token, problems, said) in cases {
        let found = check_auth(&AuthArgs::default(), Some(&token), &app.settings).await.expect("valid settings");
        let text = found.text();
        assert!(text.contains(said) && found.problems() == problems, "{said}\n{text}");
        assert!(text.contains("rsa-1 (RSA)") && text.contains("the clocks differ by 0 s"), "{text}");
        let signature = token.rsplit('.').next().expect("one part at least");
        assert!(!text.contains(signature), "{text}");
    }
    let user = app.as_user(A);
    let made = user.post("/v1/tokens", &json!({ "name": "n", "scopes": ["account:read"] })).await.expect(201);
    let found = check_auth(&AuthArgs::default(), made["secret"].as_str(), &app.settings).await.expect("valid settings");
    assert!(found.problems() == 0 && found.text().contains("for account:read"), "{}", found.text());
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_with_an_issuer() {
    let issuer = Issuer::start().await;
    let wrong = issuer.url.replace("/realms/plant", "/realms/other");
    let app = App::start(&[("OIDC_ISSUER", &wrong), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let only = |name: &str| AuthArgs { issuer: Some(name.to_owned()), token_file: None };
    let found = check_auth(&only(&wrong), None, &app.settings).await.expect("valid settings");
    assert!(found.problems() == 1 && found.text().contains("could not be fetched"), "{}", found.text());
    let development = check_auth(&only(DEVELOPMENT_ISSUER), None, &app.settings).await.expect("valid settings");
    assert_eq!(development.problems(), 0, "{}", development.text());
    check_auth(&only("https://nobody.example"), None, &app.settings).await.expect_err("not configured");
}
