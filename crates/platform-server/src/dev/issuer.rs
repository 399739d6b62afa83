//! The development issuer: a key pair in a directory. Its tokens are accepted in development mode only.

use crate::config::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER};
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ports::IdGen as _;
use domain::role::Role;
use domain::time::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use policy::authn::has_high_s;
use serde_json::json;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

/// Maximum number of signing attempts until a signature has a low `s`; each succeeds with probability 1/2.
const MAX_SIGNING_ATTEMPTS: usize = 128;
/// `kid` of the issuer's only key.
const KEY_ID: &str = "development";

/// A user to sign a token for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSubject {
    /// The user's id at the issuer (`sub`).
    pub subject: String,
    /// Role that the token carries.
    pub role: Role,
    /// Name and e-mail address for the token, if known.
    pub profile: Option<Profile>,
    /// How long ago the user signed in (`auth_time`).
    pub auth_age: Duration,
}

/// Name and e-mail of a user for display.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Display name of the user.
    pub name: String,
    /// E-mail address of the user.
    pub email: String,
}

impl TokenSubject {
    /// A user without name and e-mail.
    #[must_use]
    pub fn new(subject: &str, role: Role) -> Self {
        Self { subject: subject.to_owned(), role, profile: None, auth_age: Duration::ZERO }
    }

    /// The same user, who signed in that long ago.
    #[must_use]
    pub fn signed_in_ago(self, auth_age: Duration) -> Self {
        Self { auth_age, ..self }
    }

    /// The same user with a name and an e-mail address derived from the id.
    #[must_use]
    pub fn with_default_profile(self) -> Self {
        let profile = Profile { name: self.subject.clone(), email: format!("{}@plant.example", self.subject) };
        Self { profile: Some(profile), ..self }
    }
}

/// The development issuer with its signing key.
pub struct DevelopmentIssuer {
    key: EncodingKey,
}

impl DevelopmentIssuer {
    /// Loads the issuer's key from a directory, or creates a new key there.
    ///
    /// # Errors
    /// If the key cannot be created, written or read.
    pub fn load_or_create(dir: &Path) -> Result<Self> {
        let private_key_path = dir.join("key.pk8");
        if !private_key_path.exists() {
            create_once(dir)
                .with_context(|| format!("the development issuer cannot be created in {}", dir.display()))?;
        }
        let der =
            fs::read(&private_key_path).with_context(|| format!("{} cannot be read", private_key_path.display()))?;
        Ok(Self { key: EncodingKey::from_ec_der(&der) })
    }

    /// Signs a token for a user of a tenant.
    ///
    /// # Errors
    /// If the key is damaged.
    pub fn token(&self, tenant: &str, token_subject: &TokenSubject, now: Timestamp, ttl: Duration) -> Result<String> {
        let role = match token_subject.role {
            Role::Admin => "PlatformAdmin",
            Role::User => "PlatformUser",
            Role::Viewer => "PlatformViewer",
        };
        let issued_at = now.timestamp();
        let mut claims = json!({
            "iss": DEVELOPMENT_ISSUER,
            "aud": DEVELOPMENT_AUDIENCE,
            "sub": token_subject.subject,
            "roles": [role],
            "extension_PlatformTenantId": tenant,
            "iat": issued_at,
            "auth_time": issued_at - i64::try_from(token_subject.auth_age.as_secs()).unwrap_or_default(),
            "nbf": issued_at,
            "exp": issued_at + i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX / 2),
            "jti": TimeOrderedIds.uuid(),
        });
        if let Some(profile) = &token_subject.profile {
            claims["name"] = json!(profile.name);
            claims["email"] = json!(profile.email);
        }
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        // Half of all ECDSA signatures have a high `s`, which the platform rejects.
        let sign = || jsonwebtoken::encode(&header, &claims, &self.key).context("the token cannot be signed");
        let has_low_s = |token: &Result<String>| {
            token.as_ref().map_or(true, |token| token.rsplit('.').next().is_some_and(|s| !has_high_s(s)))
        };
        let mut attempts = std::iter::repeat_with(sign).take(MAX_SIGNING_ATTEMPTS);
        attempts.find(has_low_s).context("the token cannot be signed with a low s")?
    }
}

/// Creates the key pair unless another process does so first: all processes of a platform share it.
fn create_once(dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let lock = fs::File::create(dir.with_extension("lock"))?;
    lock.lock()?;
    if dir.join("key.pk8").exists() { Ok(()) } else { create_key_pair(dir) }
}

/// Creates a key pair: the private key is readable by this OS user only, the public key is written as a JWKS (RFC
/// 7517). The private key is renamed into place last, so its presence means that the directory is complete.
fn create_key_pair(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let pkcs8_document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| anyhow::anyhow!("the key cannot be generated"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8_document.as_ref())
        .map_err(|_| anyhow::anyhow!("the generated key is not usable"))?;
    // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
    let point = pair.public_key().as_ref();
    let (x, y) = point.get(1..).and_then(|xy| xy.split_at_checked(32)).context("the generated key is not usable")?;
    let jwks = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }]});
    write_atomically(&dir.join("jwks.json"), jwks.to_string().as_bytes())?;
    write_atomically(&dir.join("key.pk8"), pkcs8_document.as_ref())
}

fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(fs::rename(&temporary, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn processes_that_start_together_have_the_same_key() {
        let temp_dir = tempfile::tempdir().expect("temp dir");
        let dir = temp_dir.path().join("issuer");
        let create = || {
            DevelopmentIssuer::load_or_create(&dir).expect("created");
            fs::read(dir.join("key.pk8")).expect("the key")
        };
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn the_key_is_created_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("temp dir");
        let dir = dir.path().join("dev issuer");
        let first = DevelopmentIssuer::load_or_create(&dir).expect("created");
        let key = fs::read(dir.join("key.pk8")).expect("written");
        assert_eq!(fs::metadata(dir.join("key.pk8")).expect("the file exists").permissions().mode() & 0o777, 0o600);
        DevelopmentIssuer::load_or_create(&dir).expect("read");
        assert_eq!(fs::read(dir.join("key.pk8")).expect("the file still exists"), key);

        let token = first
            .token("plant-a", &TokenSubject::new("ana", Role::Admin), Timestamp::UNIX_EPOCH, Duration::from_secs(60))
            .expect("signed");
        assert_eq!(token.split('.').count(), 3);
        for _ in 0..16 {
            let token_subject = TokenSubject::new("ana", Role::Admin);
            let token = first.token("plant-a", &token_subject, Timestamp::UNIX_EPOCH, Duration::from_secs(60));
            assert!(!has_high_s(token.expect("signed").rsplit('.').next().expect("a signature")));
        }
    }
}
