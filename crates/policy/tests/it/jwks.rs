//! Key sets over HTTP: rotation, outages, and servers that mean no good.

use crate::support::issuer::{ISSUER, Signer};
use crate::support::{World, request};
use domain::error::Classify as _;
use policy::authn::jwks::fetch::MAX_BYTES;
use policy::authn::jwks::kept::KeptKeys;
use policy::authn::jwks::pace::Pace;
use policy::authn::jwks::{Keys, NoKeys};
use policy::authn::settings::KeySource;
use serde_json::json;
use std::time::Duration;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn keys_at(server: &MockServer) -> Keys {
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().expect("a client");
    Keys::new(ISSUER, KeySource::Url(format!("{}/jwks", server.uri())), http, None, Pace::default())
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
    keys.get(kid).await.map(|found| !found.is_empty())
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
    let error = authenticator.authenticate(Some(&token), request().into()).await.expect_err("no keys");
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
        let keys = Keys::new(&server.uri(), KeySource::Discovery, reqwest::Client::new(), None, Pace::default());
        assert_eq!(has(&keys, "k1").await, expected);
    }
}

/// A pace at which a test need not wait.
fn quick() -> Pace {
    let short = Duration::from_millis(20);
    Pace { time_to_live: short * 4, refresh_after: short, unknown_key: short, retry: short, window: short }
}

fn quick_keys(server: &MockServer, kept: Option<KeptKeys>) -> Keys {
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().expect("a client");
    Keys::new(ISSUER, KeySource::Url(format!("{}/jwks", server.uri())), http, kept, quick())
}

/// Runs the background until `done`; fails where that takes long.
async fn beside_the_background<F: Future<Output = bool>>(keys: &Keys, done: impl Fn() -> F) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = keys.keep_fresh() => unreachable!("it never ends"),
        () = waiting => {}
        () = tokio::time::sleep(Duration::from_secs(10)) => panic!("it did not come to pass"),
    }
}

#[tokio::test]
async fn the_background_fetches_at_the_start_and_again_before_the_keys_are_old() {
    let server = MockServer::start().await;
    serve(&server, set_of(&["k1"])).await;
    let keys = quick_keys(&server, None);
    beside_the_background(&keys, async || fetches(&server).await >= 3).await;
    let before = fetches(&server).await;
    assert_eq!(has(&keys, "k1").await, Ok(true));
    assert_eq!(fetches(&server).await, before, "a request with a known key waits for no fetch");
}

#[tokio::test]
async fn known_keys_answer_at_once_while_the_issuer_hangs_and_a_failed_start_heals_by_itself() {
    let server = MockServer::start().await;
    let keys = quick_keys(&server, None);
    serve(&server, ResponseTemplate::new(503)).await;
    beside_the_background(&keys, async || fetches(&server).await >= 2).await;
    serve(&server, set_of(&["k1"])).await;
    beside_the_background(&keys, async || fetches(&server).await >= 1).await;
    assert_eq!(has(&keys, "k1").await, Ok(true), "healed without a request");
    serve(&server, set_of(&["k1"]).set_delay(Duration::from_secs(60))).await;
    let hanging = async || {
        let begun = std::time::Instant::now();
        assert_eq!(has(&keys, "k1").await, Ok(true));
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        fetches(&server).await >= 1
    };
    beside_the_background(&keys, hanging).await;
}

#[tokio::test]
async fn the_last_good_keys_outlast_a_restart_during_an_outage() {
    let (server, dir) = (MockServer::start().await, tempfile::tempdir().expect("a folder"));
    let cache = dir.path().join("key-cache");
    let kept = || Some(KeptKeys::new(&cache, ISSUER));
    serve(&server, set_of(&["k1"])).await;
    assert_eq!(has(&quick_keys(&server, kept()), "k1").await, Ok(true));
    assert_files_are_ours_alone(&cache);
    serve(&server, ResponseTemplate::new(503)).await;
    let restarted = quick_keys(&server, kept());
    assert_eq!(has(&restarted, "k1").await, Ok(true));
    assert_eq!(has(&restarted, "k2").await, Ok(false));
    let of_another_issuer = Keys::new(
        "https://other.test",
        KeySource::Url(format!("{}/jwks", server.uri())),
        reqwest::Client::new(),
        Some(KeptKeys::new(&cache, "https://other.test")),
        quick(),
    );
    assert_eq!(has(&of_another_issuer, "k1").await, Err(NoKeys));
}

#[cfg(unix)]
fn assert_files_are_ours_alone(cache: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().expect("is there").permissions().mode() & 0o777;
    let files: Vec<_> = cache.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!((files.len(), mode(cache), mode(&files[0])), (1, 0o700, 0o600), "{files:?}");
}

#[tokio::test]
async fn a_broken_or_swapped_file_of_kept_keys_is_no_key_set() {
    let (server, dir) = (MockServer::start().await, tempfile::tempdir().expect("a folder"));
    serve(&server, set_of(&["k1"])).await;
    let kept = || Some(KeptKeys::new(dir.path(), ISSUER));
    assert_eq!(has(&quick_keys(&server, kept()), "k1").await, Ok(true));
    serve(&server, ResponseTemplate::new(503)).await;
    let file = dir.path().read_dir().expect("a folder").next().expect("one").expect("an entry").path();
    let good = std::fs::read_to_string(&file).expect("readable");
    for bad in ["", "{", &good[..good.len() / 2], &good.replace(ISSUER, "https://evil.test")] {
        std::fs::write(&file, bad).expect("writable");
        assert_eq!(has(&quick_keys(&server, kept()), "k1").await, Err(NoKeys), "{bad}");
    }
}

#[tokio::test]
async fn a_cold_start_under_a_stampede_is_one_fetch() {
    let server = MockServer::start().await;
    serve(&server, set_of(&["k1"]).set_delay(Duration::from_millis(50))).await;
    let keys = keys_at(&server);
    let found = futures::future::join_all((0..100).map(|_| has(&keys, "k1"))).await;
    assert!(found.iter().all(|found| *found == Ok(true)), "{found:?}");
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn either_of_two_keys_of_one_id_will_do() {
    let (world, server) = (World::new().await, MockServer::start().await);
    let (twin, foreign) = (Signer::new("k1"), Signer::new("k1"));
    let set = json!({ "keys": [twin.jwk(), world.signer.jwk()] });
    serve(&server, ResponseTemplate::new(200).set_body_json(set)).await;
    let authenticator = world.authenticator_of(vec![world.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    for signer in [&world.signer, &twin] {
        let token = signer.sign(&world.claims("ada", "user"));
        authenticator.authenticate(Some(&token), request().into()).await.expect("one of the issuer's keys");
    }
    let token = foreign.sign(&world.claims("ada", "user"));
    authenticator.authenticate(Some(&token), request().into()).await.expect_err("a key of somebody else's");
}

/// Who was let in with a key that is withdrawn does not stay in until the token ends.
#[tokio::test]
async fn a_token_that_was_let_in_is_refused_once_its_key_is_withdrawn() {
    let server = MockServer::start().await;
    let world = World::new().await;
    let (old, new) = (Signer::new("k1"), Signer::new("k2"));
    let set = |signer: &Signer| ResponseTemplate::new(200).set_body_json(json!({ "keys": [signer.jwk()] }));
    serve(&server, set(&old)).await;
    let authn = world.authenticator_of(vec![world.issuer(KeySource::Url(format!("{}/jwks", server.uri())))]);
    let (early, late) = (old.sign(&world.claims("ada", "user")), new.sign(&world.claims("bob", "user")));
    let enter =
        async |token: &str| authn.authenticate(Some(token), request().into()).await.map(|caller| caller.user().id);
    assert!(enter(&early).await.is_ok());
    serve(&server, set(&new)).await;
    assert!(enter(&late).await.is_ok(), "the new key is found");
    // What is known of a session is taken as read for two seconds.
    let begun = std::time::Instant::now();
    while enter(&early).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "still in with a withdrawn key");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(enter(&late).await.is_ok());
}

/// The development issuer's file may be written after the server has started.
#[tokio::test]
async fn a_key_file_that_comes_late_is_read_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("jwks.json");
    let http = reqwest::Client::new();
    let keys = Keys::new(ISSUER, KeySource::File(file.clone()), http, None, Pace::default());
    assert_eq!(has(&keys, "k1").await, Err(NoKeys));
    let set = |kid| json!({ "keys": [Signer::new(kid).jwk()] }).to_string();
    std::fs::write(&file, set("k1")).expect("writable");
    assert_eq!(has(&keys, "k1").await, Ok(true));
    std::fs::write(&file, set("k2")).expect("writable");
    assert_eq!(has(&keys, "k2").await, Ok(true));
}
