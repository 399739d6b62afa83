//! Encrypts a backup in chunks with AES-256-GCM. Each nonce contains the chunk's number and whether it is the last one,
//! so a chunk that was changed, moved, repeated or removed is detected.

use crate::config::Settings;
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use secrecy::ExposeSecret as _;
use std::io::{self, Read, Write};

/// Size of a chunk before encryption, in bytes.
const CHUNK_SIZE: usize = 1 << 20;
/// Size of the authentication tag, in bytes.
const TAG_SIZE: usize = 16;
/// Size of a backup's salt, in bytes.
pub(super) const SALT_SIZE: usize = 32;

/// The secret from which each backup's key is derived.
pub(super) struct BackupKey(Vec<u8>);

impl BackupKey {
    /// The configured key, if there is one.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>> {
        let Some(key) = &settings.backup.key else { return Ok(None) };
        let key = key.expose_secret().as_bytes();
        if key.len() < 16 {
            bail!("BACKUP_KEY is too short: it needs at least 16 bytes, preferably 32 random ones");
        }
        Ok(Some(Self(key.to_vec())))
    }

    fn derive(&self, salt: &[u8]) -> Result<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let derived = derived.expand(&[b"plant-agent-platform backup"], &AES_256_GCM).ok();
        Ok(LessSafeKey::new(UnboundKey::from(derived.context("the key cannot be derived")?)))
    }
}

fn nonce(chunk: u64, is_last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&chunk.to_be_bytes());
    bytes[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts what is written to it. [`Self::finish`] must be called, or the backup counts as truncated.
pub(super) struct EncryptingWriter<W> {
    key: LessSafeKey,
    inner: W,
    buffer: Vec<u8>,
    chunk: u64,
}

impl<W: Write> EncryptingWriter<W> {
    pub(super) fn new(inner: W, key: &BackupKey, salt: &[u8]) -> Result<Self> {
        Ok(Self { key: key.derive(salt)?, inner, buffer: Vec::with_capacity(CHUNK_SIZE), chunk: 0 })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let mut sealed = std::mem::take(&mut self.buffer);
        let nonce = nonce(self.chunk, is_last);
        let result = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed);
        result.map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        self.chunk += 1;
        self.inner.write_all(&sealed)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK_SIZE {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_SIZE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what it reads.
pub(super) struct DecryptingReader<R> {
    key: LessSafeKey,
    inner: R,
    opened: Vec<u8>,
    position: usize,
    chunk: u64,
    has_ended: bool,
}

impl<R: Read> DecryptingReader<R> {
    pub(super) fn new(inner: R, key: &BackupKey, salt: &[u8]) -> Result<Self> {
        Ok(Self { key: key.derive(salt)?, inner, opened: Vec::new(), position: 0, chunk: 0, has_ended: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(CHUNK_SIZE + TAG_SIZE);
        self.inner.by_ref().take((CHUNK_SIZE + TAG_SIZE) as u64).read_to_end(&mut sealed)?;
        // A full chunk may be the last one too, so both markers are tried.
        let markers: &[bool] = if sealed.len() < CHUNK_SIZE + TAG_SIZE { &[true] } else { &[false, true] };
        for is_last in markers {
            let mut attempt = sealed.clone();
            let nonce = nonce(self.chunk, *is_last);
            if let Ok(opened) = self.key.open_in_place(nonce, Aad::empty(), &mut attempt) {
                self.opened = opened.to_vec();
                self.position = 0;
                self.chunk += 1;
                self.has_ended = *is_last;
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the key is wrong, or the backup is damaged"))
    }
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.opened.len() {
            if self.has_ended {
                return Ok(0);
            }
            self.open_next()?;
        }
        let available = &self.opened[self.position..];
        let taken = available.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.position += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> BackupKey {
        BackupKey(text.as_bytes().to_vec())
    }

    fn encrypt(content: &[u8]) -> Vec<u8> {
        let mut writer = EncryptingWriter::new(Vec::new(), &key("a key of the tests"), &[7; SALT_SIZE]).expect("a key");
        writer.write_all(content).expect("in memory");
        writer.finish().expect("in memory")
    }

    fn decrypt(sealed: &[u8], secret: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut reader = DecryptingReader::new(sealed, &key(secret), &[7; SALT_SIZE]).expect("a key");
        reader.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn content_of_any_length_is_decrypted_unchanged() {
        for length in [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE] {
            let content: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).expect("small")).collect();
            let sealed = encrypt(&content);
            assert!(decrypt(&sealed, "a key of the tests").expect("intact") == content, "{length}");
        }
    }

    #[test]
    fn a_wrong_key_a_changed_byte_and_a_missing_end_are_refused() {
        let sealed = encrypt(&vec![5; 2 * CHUNK_SIZE + 9]);
        assert!(decrypt(&sealed, "another key of tests").is_err());
        let mut changed = sealed.clone();
        changed[CHUNK_SIZE + 100] ^= 1;
        assert!(decrypt(&changed, "a key of the tests").is_err());
        for cut in [sealed.len() - 1, 2 * (CHUNK_SIZE + TAG_SIZE), CHUNK_SIZE + TAG_SIZE, 0] {
            assert!(decrypt(&sealed[..cut], "a key of the tests").is_err(), "cut at {cut}");
        }
        let (first, rest) = sealed.split_at(CHUNK_SIZE + TAG_SIZE);
        let (second, third) = rest.split_at(CHUNK_SIZE + TAG_SIZE);
        assert!(decrypt(&[second, first, third].concat(), "a key of the tests").is_err());
    }
}
