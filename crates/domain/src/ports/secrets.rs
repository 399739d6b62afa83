//! Port to the encryption of secrets that the platform must be able to read again, such as the keys of other systems.

use crate::error::{Classify, ErrorKind};
use crate::ids::TenantId;
use secrecy::SecretSlice;

/// Encrypts a tenant's secrets before they are stored, and decrypts them where they are used. What comes out of `seal`
/// may be stored and backed up; without the platform's `SECRET_KEY` it reveals nothing but the length of the secret.
pub trait SecretSealer: Send + Sync {
    /// Encrypts `secret` for one tenant and one purpose. The purpose names the kind of row, and the row itself where a
    /// tenant has several (`channel/ID`), so that a ciphertext that was copied to another row cannot be opened there.
    ///
    /// # Errors
    /// If the cryptographic library fails, such as for want of random bytes.
    fn seal(&self, tenant: TenantId, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Decrypts what [`Self::seal`] returned for the same tenant and purpose.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`] if it was sealed with another `SECRET_KEY`, for another tenant or purpose, or was
    /// changed since.
    fn open(&self, tenant: TenantId, purpose: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, SealError>;
}

/// Why a secret cannot be encrypted or decrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// The cryptographic library failed.
    #[error("a secret cannot be encrypted")]
    CannotSeal,
    /// The key, the tenant or the purpose is another one, or the bytes were changed.
    #[error(
        "a stored secret cannot be decrypted: SECRET_KEY has changed, or the row was altered; set the secret again"
    )]
    CannotOpen,
}

impl Classify for SealError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}
