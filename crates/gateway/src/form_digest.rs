//! A digest of the names and contents of a form's parts. It does not depend on the boundary or on the sizes of chunks.

use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// Computes the digest of a form. Clones share the result, so a clone returns it once the original has finished.
#[derive(Clone, Debug, Default)]
pub(crate) struct FormDigest {
    form: Sha256,
    part: Option<Sha256>,
    result: Arc<OnceLock<[u8; 32]>>,
}

impl FormDigest {
    pub(crate) fn open_part(&mut self, name: &str, file_name: &str) {
        self.close_part();
        for text in [name, file_name] {
            self.form.update((text.len() as u64).to_be_bytes());
            self.form.update(text);
        }
        self.part = Some(Sha256::new());
    }

    /// Adds content to the current part.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(part) = &mut self.part {
            part.update(bytes);
        }
    }

    /// Ends the form and returns the result. Later calls return the same result.
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.close_part();
        *self.result.get_or_init(|| std::mem::take(&mut self.form).finalize().into())
    }

    /// Returns the result, if the form is finished.
    pub(crate) fn result(&self) -> Option<[u8; 32]> {
        self.result.get().copied()
    }

    fn close_part(&mut self) {
        if let Some(part) = self.part.take() {
            self.form.update(part.finalize());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(parts: &[(&str, &str, &[&str])]) -> [u8; 32] {
        let mut digest = FormDigest::default();
        let clone = digest.clone();
        for (name, file, chunks) in parts {
            digest.open_part(name, file);
            chunks.iter().for_each(|chunk| digest.update(chunk.as_bytes()));
        }
        assert_eq!(clone.result(), None);
        let result = digest.finish();
        assert_eq!(clone.result(), Some(result));
        result
    }

    #[test]
    fn the_digest_depends_on_names_and_contents_and_not_on_chunks() {
        let form = digest(&[("file", "a.pdf", &["12", "3"]), ("tags", "", &["x"])]);
        assert_eq!(form, digest(&[("file", "a.pdf", &["1", "", "23"]), ("tags", "", &["x"])]));
        for other in [
            digest(&[("file", "b.pdf", &["123"]), ("tags", "", &["x"])]),
            digest(&[("file", "a.pdf", &["123"]), ("tags", "", &["y"])]),
            digest(&[("file", "a.pdf", &["123x"]), ("tags", "", &[])]),
            digest(&[("file", "a.pdf", &["123"])]),
            digest(&[("filea", ".pdf", &["123"]), ("tags", "", &["x"])]),
        ] {
            assert_ne!(form, other);
        }
    }
}
