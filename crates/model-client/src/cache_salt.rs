//! Isolates tenants in a server's prefix cache.
//!
//! A server with a prefix cache answers faster if a prompt starts like an earlier one, so response times reveal what
//! other tenants asked (a timing side channel). vLLM mixes a salt from the request (`cache_salt`) into its cache keys,
//! so every tenant gets its own salt.

use aws_lc_rs::hmac;
use domain::ids::TenantId;

/// Derives a salt for each tenant from a secret key. A salt reveals neither the tenant nor other salts.
#[derive(Clone)]
pub struct CacheSalts {
    key: hmac::Key,
}

impl CacheSalts {
    /// Derives the salts from a secret `key` of any length. The key must not be used for anything else.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"cache-salt");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// Returns the tenant's salt, 32 hexadecimal digits.
    #[must_use]
    pub fn for_tenant(&self, tenant: TenantId) -> String {
        hex::encode(&hmac::sign(&self.key, tenant.as_uuid().as_bytes()).as_ref()[..16])
    }
}

impl std::fmt::Debug for CacheSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheSalts(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// A changed derivation would empty every server's prefix cache at the next start.
    #[test]
    fn a_salt_is_the_same_in_every_version() {
        let salt = CacheSalts::new(b"key").for_tenant(TenantId::from_uuid(Uuid::from_u128(1)));
        assert_eq!(salt, "f579a105c337404573afc19e9aa8adbf");
    }
}
