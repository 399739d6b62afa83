//! Ed25519 signatures (RFC 8032) of checkpoints and purge records: only the holder of the private key can sign, anyone
//! with the public key can verify.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use domain::audit::chain::{AuditHash, Checkpoint, PurgeRecord, decode_hex};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The platform's private signing key.
#[derive(Clone)]
pub struct SigningKey {
    key_pair: Arc<Ed25519KeyPair>,
    id: String,
}

/// The text or the seed is not an Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an Ed25519 key is 32 bytes, written as 64 hexadecimal digits")]
pub struct InvalidKey;

impl SigningKey {
    /// Derives the key from a 32-byte seed.
    ///
    /// # Errors
    /// If the cryptographic library rejects the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key_pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
        let id = key_id(key_pair.public_key().as_ref());
        Ok(Self { key_pair: Arc::new(key_pair), id })
    }

    /// The public key in hex. An auditor needs it to verify signatures independently of the platform.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.key_pair.public_key().as_ref())
    }

    /// Creates a checkpoint: a signed statement that at time `signed_at`, the tenant's chain had this hash at entry
    /// `seq`.
    #[must_use]
    pub fn sign_checkpoint(
        &self,
        tenant_id: Uuid,
        seq: i64,
        chain_hash: AuditHash,
        signed_at: Timestamp,
    ) -> Checkpoint {
        let (key_id, signature) = (self.id.clone(), String::new());
        let unsigned_checkpoint = Checkpoint { tenant_id, seq, chain_hash, signed_at, key_id, signature };
        let signature = self.sign(&unsigned_checkpoint.message());
        Checkpoint { signature, ..unsigned_checkpoint }
    }

    /// Signs a purge record. Replaces the key id and the signature of `unsigned`.
    #[must_use]
    pub fn sign_purge_record(&self, unsigned: PurgeRecord) -> PurgeRecord {
        let signature = self.sign(&unsigned.message());
        PurgeRecord { signature, key_id: self.id.clone(), ..unsigned }
    }

    fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.key_pair.sign(message).as_ref())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

/// The public keys whose signatures are accepted, by key id.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys(BTreeMap<String, Vec<u8>>);

/// The result of verifying a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// The signature was made with the key that it names, and that key is trusted.
    Valid,
    /// The signature names a key that is not among the trusted keys.
    UnknownKey,
    /// The signature names a trusted key but was not made with it, or the signed data was changed.
    Invalid,
}

impl TrustedKeys {
    /// Creates the set from public keys in hex.
    ///
    /// # Errors
    /// If one of them is not 32 bytes in hex.
    pub fn new<'a>(public_keys: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidKey> {
        let key = |text: &str| {
            let bytes = decode_hex(text.trim()).filter(|bytes| bytes.len() == 32).ok_or(InvalidKey)?;
            Ok((key_id(&bytes), bytes))
        };
        public_keys.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn verify_checkpoint(&self, checkpoint: &Checkpoint) -> Verification {
        self.verify(&checkpoint.key_id, &checkpoint.message(), &checkpoint.signature)
    }

    pub(super) fn verify_purge_record(&self, record: &PurgeRecord) -> Verification {
        self.verify(&record.key_id, &record.message(), &record.signature)
    }

    fn verify(&self, id: &str, message: &[u8], signature: &str) -> Verification {
        let Some(key) = self.0.get(id) else { return Verification::UnknownKey };
        let signature = decode_hex(signature).unwrap_or_default();
        match UnparsedPublicKey::new(&ED25519, key).verify(message, &signature) {
            Ok(()) => Verification::Valid,
            Err(_) => Verification::Invalid,
        }
    }
}

/// The key id: the first 16 hexadecimal digits of the SHA-256 of the public key.
fn key_id(public_key: &[u8]) -> String {
    let mut id = AuditHash::digest(public_key).to_string();
    id.truncate(16);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_any_signed_field_invalidates_the_signature() {
        let key = SigningKey::from_seed(&[7; 32]).expect("a seed");
        let trusted_keys = TrustedKeys::new([key.public_key().as_str()]).expect("a key");
        let signed_at = Timestamp::from_timestamp(1_000, 0).expect("a moment");
        let checkpoint = key.sign_checkpoint(Uuid::from_u128(1), 5, AuditHash::digest(b"x"), signed_at);
        assert_eq!(trusted_keys.verify_checkpoint(&checkpoint), Verification::Valid);
        for modified_checkpoint in [
            Checkpoint { seq: 6, ..checkpoint.clone() },
            Checkpoint { tenant_id: Uuid::from_u128(2), ..checkpoint.clone() },
            Checkpoint { chain_hash: AuditHash::digest(b"y"), ..checkpoint.clone() },
            Checkpoint { signed_at: Timestamp::from_timestamp(1_001, 0).expect("a moment"), ..checkpoint.clone() },
            Checkpoint { signature: "00".repeat(64), ..checkpoint.clone() },
            Checkpoint { signature: "no hex".to_owned(), ..checkpoint.clone() },
        ] {
            assert_eq!(
                trusted_keys.verify_checkpoint(&modified_checkpoint),
                Verification::Invalid,
                "{modified_checkpoint:?}"
            );
        }
        let other_key = SigningKey::from_seed(&[8; 32]).expect("a seed");
        let unknown_checkpoint = other_key.sign_checkpoint(Uuid::from_u128(1), 5, AuditHash::digest(b"x"), signed_at);
        assert_eq!(trusted_keys.verify_checkpoint(&unknown_checkpoint), Verification::UnknownKey);
        assert!(TrustedKeys::new(["00ff"]).is_err());
    }
}
