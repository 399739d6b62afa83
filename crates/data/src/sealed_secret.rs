//! Secrets that the platform must be able to read again, encrypted with AES-256-GCM. The keys are derived from the
//! platform's secret by HKDF-SHA-256 (RFC 5869), one for each purpose and tenant, so that random nonces of 96 bits
//! suffice and a row that was copied to another tenant cannot be opened there.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use domain::ids::TenantId;
use domain::ports::{SealError, SecretSealer};
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

/// Version, the first byte of the stored form: version, nonce, ciphertext, tag.
const VERSION: u8 = 1;
/// Length of an AES-256 key, in bytes.
const KEY_LEN: usize = 32;

/// Encrypts and decrypts secrets with keys derived from `SECRET_KEY`.
#[derive(Clone)]
pub struct SealedSecrets(Prk);

impl SealedSecrets {
    /// Derives the key material from the platform's secret.
    #[must_use]
    pub fn new(secret_key: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"plant-agent-platform sealed secrets").extract(secret_key))
    }

    fn key(&self, tenant: TenantId, purpose: &str) -> Option<RandomizedNonceKey> {
        let tenant = tenant.as_uuid();
        // The tenant comes first because its length is fixed: no two pairs yield the same bytes.
        let info: [&[u8]; 2] = [tenant.as_bytes(), purpose.as_bytes()];
        let mut key = Zeroizing::new([0; KEY_LEN]);
        self.0.expand(&info, &AES_256_GCM).and_then(|derived| derived.fill(&mut key[..])).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key[..]).ok()
    }
}

impl SecretSealer for SealedSecrets {
    fn seal(&self, tenant: TenantId, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.key(tenant, purpose).ok_or(SealError::CannotSeal)?;
        let mut ciphertext = secret.to_vec();
        let nonce =
            key.seal_in_place_append_tag(Aad::from([VERSION]), &mut ciphertext).map_err(|_| SealError::CannotSeal)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut ciphertext);
        Ok(sealed)
    }

    fn open(&self, tenant: TenantId, purpose: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError::CannotOpen)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::CannotOpen)?;
        if version != VERSION {
            return Err(SealError::CannotOpen);
        }
        let key = self.key(tenant, purpose).ok_or(SealError::CannotOpen)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let opened = key.open_in_place(nonce, Aad::from([VERSION]), &mut buffer).map_err(|_| SealError::CannotOpen)?;
        Ok(SecretSlice::from(opened.to_vec()))
    }
}

impl std::fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecrets(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_secret_comes_back_for_its_own_tenant_purpose_and_key_alone() {
        let secrets = SealedSecrets::new(b"0123456789abcdef");
        let sealed = secrets.seal(tenant(1), "channel/1", b"api key").expect("sealed");
        let opened = secrets.open(tenant(1), "channel/1", &sealed).expect("opened");
        assert_eq!(opened.expose_secret(), b"api key");
        assert!(!sealed.windows(7).any(|bytes| bytes == b"api key"));
        let refused = [
            secrets.open(tenant(2), "channel/1", &sealed),
            secrets.open(tenant(1), "channel/2", &sealed),
            SealedSecrets::new(b"another secret key").open(tenant(1), "channel/1", &sealed),
        ];
        assert!(refused.iter().all(|result| matches!(result, Err(SealError::CannotOpen))));
    }

    #[test]
    fn the_same_secret_never_looks_the_same_and_no_changed_byte_goes_unnoticed() {
        let secrets = SealedSecrets::new(b"0123456789abcdef");
        let sealed = secrets.seal(tenant(1), "channel", b"api key").expect("sealed");
        assert_ne!(sealed, secrets.seal(tenant(1), "channel", b"api key").expect("sealed"));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(secrets.open(tenant(1), "channel", &changed).is_err(), "byte {position}");
        }
        for length in 0..sealed.len() {
            assert!(secrets.open(tenant(1), "channel", &sealed[..length]).is_err(), "{length} bytes");
        }
        let empty = secrets.seal(tenant(1), "channel", b"").expect("sealed");
        assert!(secrets.open(tenant(1), "channel", &empty).expect("opened").expose_secret().is_empty());
    }

    #[test]
    fn nothing_of_the_key_is_printed() {
        assert_eq!(format!("{:?}", SealedSecrets::new(b"0123456789abcdef")), "SealedSecrets(…)");
    }
}
