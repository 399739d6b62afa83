//! Keyed hashes (HMAC-SHA-256, RFC 2104). The key is not stored in the database, so that nobody who reads the database
//! can find the hashed values by hashing guesses.

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use aws_lc_rs::hmac;

/// A key for one purpose, derived from the platform's secret.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// Derives the key for `purpose`. A key reveals nothing about the keys of other purposes.
    #[must_use]
    pub fn derive(secret: &[u8], purpose: &str) -> Self {
        Self(mac(secret, purpose.as_bytes()))
    }

    /// The keyed hash of `content`, lower-case hex.
    #[must_use]
    pub fn hash(&self, content: &[u8]) -> String {
        hex::encode(mac(&self.0, content))
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(…)")
    }
}

fn mac(key: &[u8], content: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content);
    // Cannot fail: the untruncated tag of HMAC-SHA-256 has exactly this length (RFC 2104).
    tag.as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_secrets_separate_hashes() {
        let hash = HashKey::derive(b"secret", "audit").hash(b"x");
        assert_eq!(hash, HashKey::derive(b"secret", "audit").hash(b"x"));
        assert_eq!(hash.len(), 64);
        assert_ne!(hash, HashKey::derive(b"secret", "token").hash(b"x"));
        assert_ne!(hash, HashKey::derive(b"other", "audit").hash(b"x"));
    }
}
