//! A token issuer that stands in for a plant's identity provider: discovery document, key set and signed tokens.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ports::Clock as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use platform_server::system::SystemClock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The audience of the issued tokens.
pub const AUDIENCE: &str = "api://plant-agent-platform";
const KEY_ID: &str = "rsa-1";

/// A token issuer. Dropping it stops its HTTP server.
pub struct Issuer {
    /// Issuer identifier, which is also its URL; the value for `OIDC_ISSUER`.
    pub url: String,
    key: EncodingKey,
    /// Modulus of the public key, which `sign_with_public_key_as_hmac` uses as HMAC secret.
    modulus: Vec<u8>,
    fetches: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Issuer {
    /// Starts an issuer with a new key.
    pub async fn start() -> Self {
        let key_pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public_key = key_pair.public_key();
        let modulus = public_key.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public_key.exponent().big_endian_without_leading_zero();
        let keys = json!({ "keys": [{
            "kty": "RSA", "use": "sig", "kid": KEY_ID,
            "n": URL_SAFE_NO_PAD.encode(&modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        }]});
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/realms/plant", listener.local_addr().expect("an address"));
        let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetches);
        let app = Router::new()
            .route("/realms/plant/.well-known/openid-configuration", get(|| async { Json(discovery) }))
            .route(
                "/realms/plant/keys",
                get(|| async move {
                    counter.fetch_add(1, Ordering::Relaxed);
                    Json(keys)
                }),
            );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, key: encoding_key(&key_pair), modulus, fetches, _tasks: tasks }
    }

    /// How often the keys were fetched.
    pub fn key_fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    /// Valid claims with these changes; null removes a claim.
    pub fn claims(&self, tenant: &str, changes: &Value) -> Value {
        let now = SystemClock.now().timestamp();
        let mut claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "6f1d-oidc-user", "name": "Olga", "roles": ["PlatformUser"],
            "extension_PlatformTenantId": tenant, "iat": now, "nbf": now, "exp": now + 600,
        });
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().map(|claims| claims.remove(name))),
                _ => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// Signs claims with the issuer's key.
    pub fn sign(&self, claims: &Value) -> String {
        encode_token(&Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) }, claims, &self.key)
    }

    /// Signs claims with another key, under a key id that the issuer does not have.
    pub fn sign_with_unknown_key(&self, claims: &Value) -> String {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let header = Header { kid: Some("rsa-2".to_owned()), ..Header::new(Algorithm::RS256) };
        encode_token(&header, claims, &encoding_key(&pair))
    }

    /// Signs claims with another key, under the issuer's key id.
    pub fn sign_with_another_key(&self, claims: &Value) -> String {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        encode_token(
            &Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) },
            claims,
            &encoding_key(&pair),
        )
    }

    /// Signs claims with the public key as HMAC secret (algorithm confusion).
    pub fn sign_with_public_key_as_hmac(&self, claims: &Value) -> String {
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::HS256) };
        encode_token(&header, claims, &EncodingKey::from_secret(&self.modulus))
    }

    /// A token with these claims and without a signature.
    pub fn unsigned(&self, claims: &Value) -> String {
        let header = json!({ "alg": "none", "typ": "JWT", "kid": KEY_ID });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(claims))
    }
}

fn encoding_key(pair: &KeyPair) -> EncodingKey {
    let pkcs8 = pair.as_der().expect("PKCS #8");
    // `from_rsa_der` expects the RSA key of RFC 8017 A.1.2; `from_rsa_pem` extracts it from the PKCS #8 document.
    let lines = base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n");
    EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a PEM key")
}

fn encode_token(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("signed")
}
