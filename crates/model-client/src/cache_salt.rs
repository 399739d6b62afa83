//! Keeps tenants apart in a server's prefix cache.
//!
//! A server that keeps the beginnings of prompts answers sooner to one that begins alike: who times it learns what others
//! asked. vLLM mixes a salt of the request's into the keys of its cache (`cache_salt`); each tenant gets its own.

use domain::ids::TenantId;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Makes the tenants' salts from a key: a server cannot tell from them who asks, nor a tenant another's.
#[derive(Clone)]
pub struct CacheSalts {
    key: [u8; 32],
}

impl CacheSalts {
    /// From a key of any length that nothing else uses.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { key: mac(key, b"cache-salt") }
    }

    /// The salt of a tenant: 32 hexadecimal digits.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> String {
        hex::encode(&mac(&self.key, tenant.as_uuid().as_bytes())[..16])
    }
}

impl std::fmt::Debug for CacheSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheSalts(…)")
    }
}

fn mac(key: &[u8], content: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length (RFC 2104 §2), so the error case does not exist.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
    mac.update(content);
    mac.finalize().into_bytes().into()
}
