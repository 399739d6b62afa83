//! `platform-server doctor auth`: its reports on issuers and tokens, which never contain a token.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use platform_server::config::DEVELOPMENT_ISSUER;
use platform_server::doctor::{AuthArgs, check_auth};
use serde_json::json;

#[tokio::test]
async fn the_doctor_names_the_rule_that_refuses_a_token_and_never_prints_it() {
    let issuer = Issuer::start().await;
    let app = TestApp::start(&[("OIDC_ISSUER", &issuer.url), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let token_with = |changes| issuer.sign(&issuer.claims(TENANT_A, &changes));
    let cases = [
        (token_with(json!({})), 0, "tenant plant-a"),
        (token_with(json!({})), 0, "role user"),
        (app.token(TENANT_A, "uma", Role::Admin), 0, "role admin"),
        (token_with(json!({ "aud": "api://other" })), 1, "audience_mismatch: its aud is not one"),
        (token_with(json!({ "iss": "https://evil.example" })), 1, "issuer_unknown: this issuer is not configured"),
        (token_with(json!({ "nonce": "n" })), 1, "not_an_access_token: an ID"),
        (token_with(json!({ "exp": 1 })), 1, "token_expired"),
        (token_with(json!({ "extension_PlatformTenantId": "nowhere" })), 1, "tenant_unmapped"),
        (token_with(json!({ "hasgroups": true })), 1, "groups_overage"),
        (issuer.sign_with_unknown_key(&issuer.claims(TENANT_A, &json!({}))), 1, "key_unknown"),
        (format!("plantpat_{}", "0".repeat(72)), 1, "access_token_unknown"),
        ("garbage".to_owned(), 1, "token_malformed"),
    ];
    for (token, problem_count, expected_text) in cases {
        let report = check_auth(&AuthArgs::default(), Some(&token), &app.settings).await.expect("valid settings");
        let text = report.text();
        assert!(text.contains(expected_text) && report.problems() == problem_count, "{expected_text}\n{text}");
        assert!(text.contains("rsa-1 (RSA)") && text.contains("the clocks differ by 0 s"), "{text}");
        let signature = token.rsplit('.').next().expect("one part at least");
        assert!(!text.contains(signature), "{text}");
    }
    let user = app.as_user(TENANT_A);
    let access_token =
        user.post("/v1/tokens", &json!({ "name": "n", "scopes": ["account:read"] })).await.expect_json(201);
    let report =
        check_auth(&AuthArgs::default(), access_token["secret"].as_str(), &app.settings).await.expect("valid settings");
    assert!(report.problems() == 0 && report.text().contains("for account:read"), "{}", report.text());
}

#[tokio::test]
async fn the_doctor_reports_the_problems_of_an_issuer() {
    let issuer = Issuer::start().await;
    let wrong_url = issuer.url.replace("/realms/plant", "/realms/other");
    let app = TestApp::start(&[("OIDC_ISSUER", &wrong_url), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let only_issuer = |name: &str| AuthArgs { issuer: Some(name.to_owned()), token_file: None };
    let report = check_auth(&only_issuer(&wrong_url), None, &app.settings).await.expect("valid settings");
    assert!(report.problems() == 1 && report.text().contains("could not be fetched"), "{}", report.text());
    let development = check_auth(&only_issuer(DEVELOPMENT_ISSUER), None, &app.settings).await.expect("valid settings");
    assert_eq!(development.problems(), 0, "{}", development.text());
    check_auth(&only_issuer("https://nobody.example"), None, &app.settings).await.expect_err("not configured");
}
