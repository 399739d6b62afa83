//! Keyed hashes (HMAC-SHA-256, RFC 2104) with a key that is not in the database: who reads the database cannot guess
//! what was hashed by trying.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// A key for one purpose, derived from the platform's secret.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// Derives the key for `purpose`; keys of two purposes tell nothing of each other.
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

fn mac(key: &[u8], content: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length (RFC 2104 §2), so the error case does not exist; a zero key would still be no
    // panic, and the secret's length is checked where it is read.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
    mac.update(content);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_secrets_separate_hashes() {
        let a = HashKey::derive(b"secret", "audit").hash(b"x");
        assert_eq!(a, HashKey::derive(b"secret", "audit").hash(b"x"));
        assert_eq!(a.len(), 64);
        assert_ne!(a, HashKey::derive(b"secret", "token").hash(b"x"));
        assert_ne!(a, HashKey::derive(b"other", "audit").hash(b"x"));
    }
}
