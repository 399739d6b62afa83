//! Key sets over HTTP: rotation, outages, and servers that mean no good.

use crate::support::issuer::{ISSUER, Signer};
use crate::support::{World, request};
use domain::error::Classify as _;
use policy::authn::jwks::{Keys, MAX_BYTES, NoKeys};
use policy::authn::settings::KeySource;
use serde_json::json;
use std::time::Duration;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn keys_at(server: &MockServer) -> Keys {
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().expect("a client");
    Keys::new(ISSUER, KeySource::Url(format!("{}/jwks", server.uri())), http)
}

async fn serve(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(path("/jwks")).respond_with(answer).mount(server).await;
}

fn set_of(kids: &[&'static str]) -> ResponseTemplate {
    let keys: Vec<_> = kids.iter().map(|kid| Signer::new(kid).jwk()).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }))
}

async fn fetches(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}

async fn has(keys: &Keys, kid: &str) -> Result<bool, NoKeys> {
    keys.get(kid).await.map(|key| key.is_some())
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_the_withdrawn_one_is_gone() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, set_of(&["k1"])).await;
    assert_eq!(has(&keys, "k1").await, Ok(true));
    serve(&server, set_of(&["k2"])).await;
    assert_eq!(has(&keys, "k2").await, Ok(true));
    assert_eq!(has(&keys, "k1").await, Ok(false));
}

#[tokio::test]
async fn known_keys_outlast_an_outage_and_unknown_ones_are_just_unknown() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, set_of(&["k1"])).await;
    assert_eq!(has(&keys, "k1").await, Ok(true));
    serve(&server, ResponseTemplate::new(503)).await;
    assert_eq!(has(&keys, "k2").await, Ok(false));
    assert_eq!(has(&keys, "k1").await, Ok(true));
}

#[tokio::test]
async fn an_outage_without_known_keys_is_not_hammered() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, ResponseTemplate::new(503)).await;
    for _ in 0..20 {
        assert_eq!(has(&keys, "k1").await, Err(NoKeys));
    }
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn any_number_of_unknown_key_ids_at_once_causes_two_fetches_at_most() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, set_of(&["k1"])).await;
    let kids: Vec<_> = (0..100).map(|n| format!("forged-{n}")).collect();
    let found = futures::future::join_all(kids.iter().map(|kid| has(&keys, kid))).await;
    assert!(found.iter().all(|found| *found == Ok(false)));
    assert!(fetches(&server).await <= 2, "{}", fetches(&server).await);
    assert_eq!(has(&keys, "k1").await, Ok(true));
}

#[tokio::test]
async fn a_key_set_that_is_huge_or_never_comes_or_is_none_is_no_key_set() {
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(MAX_BYTES));
    let answers = [
        ResponseTemplate::new(200).set_body_string(huge),
        set_of(&["k1"]).set_delay(Duration::from_secs(60)),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({"keys": [{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}]})),
    ];
    for answer in answers {
        let server = MockServer::start().await;
        serve(&server, answer).await;
        assert_eq!(has(&keys_at(&server), "k1").await, Err(NoKeys));
    }
}

#[tokio::test]
async fn a_key_set_that_redirects_is_not_followed() {
    let (world, server) = (World::new().await, MockServer::start().await);
    Mock::given(path("/jwks"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", "/elsewhere"))
        .mount(&server)
        .await;
    let jwks = json!({"keys": [world.signer.jwk()]});
    let elsewhere = ResponseTemplate::new(200).set_body_json(jwks);
    Mock::given(path("/elsewhere")).respond_with(elsewhere).expect(0).mount(&server).await;
    let authenticator = world.authenticator_of(vec![world.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    let token = world.signer.sign(&world.claims("ada", "user"));
    let error = authenticator.authenticate(Some(&token), request()).await.expect_err("no keys");
    assert_eq!(error.code(), "identity_unavailable");
}

#[tokio::test]
async fn a_discovery_document_must_name_the_issuer_itself() {
    for (named_offset, expected) in [("", Ok(true)), ("/other", Err(NoKeys))] {
        let server = MockServer::start().await;
        Mock::given(path("/jwks")).respond_with(set_of(&["k1"])).mount(&server).await;
        let document = json!({
            "issuer": format!("{}{named_offset}", server.uri()), "jwks_uri": format!("{}/jwks", server.uri()),
        });
        Mock::given(path("/.well-known/openid-configuration"))
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&server)
            .await;
        let keys = Keys::new(&server.uri(), KeySource::Discovery, reqwest::Client::new());
        assert_eq!(has(&keys, "k1").await, expected);
    }
}
