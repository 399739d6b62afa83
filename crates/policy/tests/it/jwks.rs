//! JWK Sets over HTTP: rotation, outages, and malicious servers.

use crate::support::issuer::{ISSUER, Signer};
use crate::support::{Fixture, request_id};
use domain::error::Classify as _;
use fakes::eventually;
use policy::authn::jwks::disk_cache::DiskCache;
use policy::authn::jwks::fetch::MAX_DOCUMENT_BYTES;
use policy::authn::jwks::refresh::RefreshPolicy;
use policy::authn::jwks::{IssuerKeys, NoKeys};
use policy::authn::settings::KeySource;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn keys_at(server: &MockServer) -> IssuerKeys {
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().expect("a client");
    IssuerKeys::new(ISSUER, KeySource::Url(format!("{}/jwks", server.uri())), http, None, RefreshPolicy::default())
}

async fn serve(server: &MockServer, response: ResponseTemplate) {
    server.reset().await;
    Mock::given(path("/jwks")).respond_with(response).mount(server).await;
}

fn key_set_response(kids: &[&'static str]) -> ResponseTemplate {
    let keys: Vec<_> = kids.iter().map(|kid| Signer::new(kid).jwk()).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }))
}

async fn fetch_count(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}

async fn has_key(keys: &IssuerKeys, kid: &str) -> Result<bool, NoKeys> {
    keys.get(kid).await.map(|found| !found.is_empty())
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_the_withdrawn_one_is_removed() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, key_set_response(&["k1"])).await;
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
    serve(&server, key_set_response(&["k2"])).await;
    assert_eq!(has_key(&keys, "k2").await, Ok(true));
    assert_eq!(has_key(&keys, "k1").await, Ok(false));
}

#[tokio::test]
async fn the_age_of_keys_is_the_time_since_the_last_successful_fetch() {
    const DELAY: Duration = Duration::from_millis(50);
    let server = MockServer::start().await;
    serve(&server, ResponseTemplate::new(503).set_delay(DELAY)).await;
    let keys = keys_at(&server);
    let after_creation = Instant::now();
    assert_eq!(has_key(&keys, "k1").await, Err(NoKeys));
    let elapsed = after_creation.elapsed();
    assert!(keys.age() >= elapsed, "without a successful fetch, it is the time since the start");

    serve(&server, key_set_response(&["k1"]).set_delay(DELAY)).await;
    let keys = keys_at(&server);
    let after_creation = Instant::now();
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
    let age = keys.age();
    assert!(age + DELAY <= after_creation.elapsed(), "{age:?}");
}

#[tokio::test]
async fn known_keys_stay_available_during_an_outage() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, key_set_response(&["k1"])).await;
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
    serve(&server, ResponseTemplate::new(503)).await;
    assert_eq!(has_key(&keys, "k2").await, Ok(false));
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_flooded_with_fetches() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, ResponseTemplate::new(503)).await;
    for _ in 0..20 {
        assert_eq!(has_key(&keys, "k1").await, Err(NoKeys));
    }
    assert_eq!(fetch_count(&server).await, 1);
}

#[tokio::test]
async fn concurrent_unknown_key_ids_cause_at_most_two_fetches() {
    let server = MockServer::start().await;
    let keys = keys_at(&server);
    serve(&server, key_set_response(&["k1"])).await;
    let kids: Vec<_> = (0..100).map(|n| format!("forged-{n}")).collect();
    let found = futures::future::join_all(kids.iter().map(|kid| has_key(&keys, kid))).await;
    assert!(found.iter().all(|found| *found == Ok(false)));
    assert!(fetch_count(&server).await <= 2, "{}", fetch_count(&server).await);
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
}

#[tokio::test]
async fn a_key_set_that_is_too_large_too_slow_or_invalid_is_not_used() {
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(MAX_DOCUMENT_BYTES));
    let responses = [
        ResponseTemplate::new(200).set_body_string(huge),
        key_set_response(&["k1"]).set_delay(Duration::from_secs(60)),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({"keys": [{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}]})),
    ];
    for response in responses {
        let server = MockServer::start().await;
        serve(&server, response).await;
        assert_eq!(has_key(&keys_at(&server), "k1").await, Err(NoKeys));
    }
}

#[tokio::test]
async fn redirects_of_the_key_set_are_not_followed() {
    let (fixture, server) = (Fixture::new().await, MockServer::start().await);
    Mock::given(path("/jwks"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", "/elsewhere"))
        .mount(&server)
        .await;
    let jwks = json!({"keys": [fixture.signer.jwk()]});
    let elsewhere = ResponseTemplate::new(200).set_body_json(jwks);
    Mock::given(path("/elsewhere")).respond_with(elsewhere).expect(0).mount(&server).await;
    let authenticator =
        fixture.authenticator_with(vec![fixture.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    let token = fixture.signer.sign(&fixture.claims("ada", "user"));
    let error = authenticator.authenticate(Some(&token), request_id().into()).await.expect_err("no keys");
    assert_eq!(error.code(), "identity_unavailable");
}

#[tokio::test]
async fn a_discovery_document_must_name_the_issuer_itself() {
    for (suffix, expected) in [("", Ok(true)), ("/other", Err(NoKeys))] {
        let server = MockServer::start().await;
        Mock::given(path("/jwks")).respond_with(key_set_response(&["k1"])).mount(&server).await;
        let document = json!({
            "issuer": format!("{}{suffix}", server.uri()), "jwks_uri": format!("{}/jwks", server.uri()),
        });
        Mock::given(path("/.well-known/openid-configuration"))
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&server)
            .await;
        let keys = IssuerKeys::new(
            &server.uri(),
            KeySource::Discovery,
            reqwest::Client::new(),
            None,
            RefreshPolicy::default(),
        );
        assert_eq!(has_key(&keys, "k1").await, expected);
    }
}

/// A policy with short intervals, so that tests need not wait.
fn short_intervals() -> RefreshPolicy {
    let short = Duration::from_millis(20);
    RefreshPolicy {
        time_to_live: short * 4,
        refresh_after: short,
        unknown_key_interval: short,
        retry_delay: short,
        burst_window: short,
    }
}

fn keys_with_short_intervals(server: &MockServer, cache: Option<DiskCache>) -> IssuerKeys {
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().expect("a client");
    IssuerKeys::new(ISSUER, KeySource::Url(format!("{}/jwks", server.uri())), http, cache, short_intervals())
}

/// Runs the background refresh until `condition` holds.
async fn refresh_until<F: Future<Output = bool>>(keys: &IssuerKeys, condition: impl Fn() -> F) {
    tokio::select! {
        () = keys.keep_fresh() => unreachable!("the background refresh never returns"),
        () = eventually("the refresh has the expected effect", || async { condition().await.then_some(()) }) => {}
    }
}

#[tokio::test]
async fn the_background_refresh_fetches_at_the_start_and_before_the_keys_expire() {
    let server = MockServer::start().await;
    serve(&server, key_set_response(&["k1"])).await;
    let keys = keys_with_short_intervals(&server, None);
    refresh_until(&keys, async || fetch_count(&server).await >= 3).await;
    let before = fetch_count(&server).await;
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
    assert_eq!(fetch_count(&server).await, before, "a known key causes no fetch");
}

#[tokio::test]
async fn known_keys_are_available_while_the_issuer_hangs_and_a_failed_first_fetch_is_retried() {
    let server = MockServer::start().await;
    let keys = keys_with_short_intervals(&server, None);
    serve(&server, ResponseTemplate::new(503)).await;
    refresh_until(&keys, async || fetch_count(&server).await >= 2).await;
    serve(&server, key_set_response(&["k1"])).await;
    refresh_until(&keys, async || fetch_count(&server).await >= 1).await;
    assert_eq!(has_key(&keys, "k1").await, Ok(true), "fetched without a request");
    serve(&server, key_set_response(&["k1"]).set_delay(Duration::from_secs(60))).await;
    let answers_while_hanging = async || {
        let start = Instant::now();
        assert_eq!(has_key(&keys, "k1").await, Ok(true));
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        fetch_count(&server).await >= 1
    };
    refresh_until(&keys, answers_while_hanging).await;
}

#[tokio::test]
async fn the_last_good_keys_survive_a_restart_during_an_outage() {
    let (server, dir) = (MockServer::start().await, tempfile::tempdir().expect("temporary directory"));
    let cache = dir.path().join("key-cache");
    let disk_cache = || Some(DiskCache::new(&cache, ISSUER));
    serve(&server, key_set_response(&["k1"])).await;
    assert_eq!(has_key(&keys_with_short_intervals(&server, disk_cache()), "k1").await, Ok(true));
    assert_cache_is_private(&cache);
    serve(&server, ResponseTemplate::new(503)).await;
    let restarted = keys_with_short_intervals(&server, disk_cache());
    assert_eq!(has_key(&restarted, "k1").await, Ok(true));
    assert_eq!(has_key(&restarted, "k2").await, Ok(false));
    let other_issuer = IssuerKeys::new(
        "https://other.test",
        KeySource::Url(format!("{}/jwks", server.uri())),
        reqwest::Client::new(),
        Some(DiskCache::new(&cache, "https://other.test")),
        short_intervals(),
    );
    assert_eq!(has_key(&other_issuer, "k1").await, Err(NoKeys));
}

#[cfg(unix)]
fn assert_cache_is_private(cache: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().expect("exists").permissions().mode() & 0o777;
    let files: Vec<_> =
        cache.read_dir().expect("temporary directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!((files.len(), mode(cache), mode(&files[0])), (1, 0o700, 0o600), "{files:?}");
}

#[tokio::test]
async fn a_broken_cache_file_or_one_of_another_issuer_is_not_used() {
    let (server, dir) = (MockServer::start().await, tempfile::tempdir().expect("temporary directory"));
    serve(&server, key_set_response(&["k1"])).await;
    let disk_cache = || Some(DiskCache::new(dir.path(), ISSUER));
    assert_eq!(has_key(&keys_with_short_intervals(&server, disk_cache()), "k1").await, Ok(true));
    serve(&server, ResponseTemplate::new(503)).await;
    let file = dir.path().read_dir().expect("temporary directory").next().expect("one").expect("an entry").path();
    let good = std::fs::read_to_string(&file).expect("readable");
    for bad in ["", "{", &good[..good.len() / 2], &good.replace(ISSUER, "https://evil.test")] {
        std::fs::write(&file, bad).expect("writable");
        assert_eq!(has_key(&keys_with_short_intervals(&server, disk_cache()), "k1").await, Err(NoKeys), "{bad}");
    }
}

#[tokio::test]
async fn concurrent_lookups_at_a_cold_start_cause_one_fetch() {
    let server = MockServer::start().await;
    serve(&server, key_set_response(&["k1"]).set_delay(Duration::from_millis(50))).await;
    let keys = keys_at(&server);
    let found = futures::future::join_all((0..100).map(|_| has_key(&keys, "k1"))).await;
    assert!(found.iter().all(|found| *found == Ok(true)), "{found:?}");
    assert_eq!(fetch_count(&server).await, 1);
}

#[tokio::test]
async fn either_of_two_keys_with_the_same_id_is_accepted() {
    let (fixture, server) = (Fixture::new().await, MockServer::start().await);
    let (second, attacker) = (Signer::new("k1"), Signer::new("k1"));
    let set = json!({ "keys": [second.jwk(), fixture.signer.jwk()] });
    serve(&server, ResponseTemplate::new(200).set_body_json(set)).await;
    let authenticator =
        fixture.authenticator_with(vec![fixture.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    for signer in [&fixture.signer, &second] {
        let token = signer.sign(&fixture.claims("ada", "user"));
        authenticator.authenticate(Some(&token), request_id().into()).await.expect("one of the issuer's keys");
    }
    let token = attacker.sign(&fixture.claims("ada", "user"));
    authenticator.authenticate(Some(&token), request_id().into()).await.expect_err("not signed with the issuer's key");
}

/// A cached session does not outlive the key that its token was signed with.
#[tokio::test]
async fn a_cached_token_is_refused_once_its_key_is_withdrawn() {
    let server = MockServer::start().await;
    let fixture = Fixture::new().await;
    let (old, new) = (Signer::new("k1"), Signer::new("k2"));
    let set = |signer: &Signer| ResponseTemplate::new(200).set_body_json(json!({ "keys": [signer.jwk()] }));
    serve(&server, set(&old)).await;
    let authn = fixture.authenticator_with(vec![fixture.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    let (old_token, new_token) = (old.sign(&fixture.claims("ada", "user")), new.sign(&fixture.claims("bob", "user")));
    let authenticate =
        async |token: &str| authn.authenticate(Some(token), request_id().into()).await.map(|caller| caller.user().id);
    assert!(authenticate(&old_token).await.is_ok());
    serve(&server, set(&new)).await;
    assert!(authenticate(&new_token).await.is_ok(), "the new key is found");
    // A cached session is used for two seconds without a new check.
    eventually("the token with the withdrawn key is refused", || async { authenticate(&old_token).await.err() }).await;
    assert!(authenticate(&new_token).await.is_ok());
}

/// The development issuer's file may be written after the server has started.
#[tokio::test]
async fn a_key_file_that_is_written_late_is_read_at_once() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("jwks.json");
    let http = reqwest::Client::new();
    let keys = IssuerKeys::new(ISSUER, KeySource::File(file.clone()), http, None, RefreshPolicy::default());
    assert_eq!(has_key(&keys, "k1").await, Err(NoKeys));
    let set = |kid| json!({ "keys": [Signer::new(kid).jwk()] }).to_string();
    std::fs::write(&file, set("k1")).expect("writable");
    assert_eq!(has_key(&keys, "k1").await, Ok(true));
    std::fs::write(&file, set("k2")).expect("writable");
    assert_eq!(has_key(&keys, "k2").await, Ok(true));
}
