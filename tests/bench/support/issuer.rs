//! An issuer of RS256 tokens that stands in for a plant's identity provider.

use anyhow::Result;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::ports::Clock as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use platform_server::system::SystemClock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The audience of the issued tokens.
pub const AUDIENCE: &str = "api://plant-agent-platform";
const KEY_ID: &str = "rsa-1";
/// Lifetime of a token in seconds.
const TOKEN_LIFETIME_S: i64 = 12 * 3_600;

/// A token issuer with an HTTP server for its keys. Dropping it stops the server.
pub struct Issuer {
    /// URL of the issuer, and the `iss` claim of its tokens.
    pub url: String,
    /// Modulus of its public key, base64url.
    pub modulus: String,
    /// Exponent of its public key, base64url.
    pub exponent: String,
    key: EncodingKey,
    _tasks: JoinSet<()>,
}

impl Issuer {
    /// Starts an issuer with a new key.
    pub async fn start() -> Result<Self> {
        let key_pair = KeyPair::generate(KeySize::Rsa2048)?;
        let public_key = key_pair.public_key();
        let modulus = URL_SAFE_NO_PAD.encode(public_key.modulus().big_endian_without_leading_zero());
        let exponent = URL_SAFE_NO_PAD.encode(public_key.exponent().big_endian_without_leading_zero());
        let keys = json!({ "keys": [{ "kty": "RSA", "use": "sig", "kid": KEY_ID, "n": modulus, "e": exponent }] });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/realms/plant", listener.local_addr()?);
        let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let app = Router::new()
            .route("/realms/plant/.well-known/openid-configuration", get(|| async { Json(discovery) }))
            .route("/realms/plant/keys", get(|| async { Json(keys) }));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _stopped = axum::serve(listener, app).await;
        });
        let der = key_pair.as_der()?;
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        Ok(Self { url, modulus, exponent, key: EncodingKey::from_rsa_pem(pem.as_bytes())?, _tasks: tasks })
    }

    /// Issues a token for a user of a tenant.
    pub fn token(&self, tenant: &str, subject: &str) -> Result<String> {
        self.token_with_role(tenant, subject, "PlatformUser")
    }

    /// Issues a token for an administrator of a tenant.
    pub fn admin_token(&self, tenant: &str, subject: &str) -> Result<String> {
        self.token_with_role(tenant, subject, "PlatformAdmin")
    }

    fn token_with_role(&self, tenant: &str, subject: &str, role: &str) -> Result<String> {
        let now = SystemClock.now().timestamp();
        let claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "name": subject, "roles": [role],
            "extension_PlatformTenantId": tenant, "iat": now, "nbf": now, "exp": now + TOKEN_LIFETIME_S,
        });
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}
