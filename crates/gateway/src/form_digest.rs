//! A digest of what a form holds, whatever boundary separates its parts.

use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// The digest. Clones know the result, once there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FormDigest {
    whole: Sha256,
    part: Option<Sha256>,
    result: Arc<OnceLock<[u8; 32]>>,
}

impl FormDigest {
    /// A part begins.
    pub(crate) fn open(&mut self, name: &str, file_name: &str) {
        self.close();
        for text in [name, file_name] {
            self.whole.update((text.len() as u64).to_be_bytes());
            self.whole.update(text);
        }
        self.part = Some(Sha256::new());
    }

    /// Its content goes on.
    pub(crate) fn piece(&mut self, bytes: &[u8]) {
        if let Some(part) = &mut self.part {
            part.update(bytes);
        }
    }

    /// The form is at its end.
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.close();
        *self.result.get_or_init(|| std::mem::take(&mut self.whole).finalize().into())
    }

    /// The result, if the form was read to its end.
    pub(crate) fn result(&self) -> Option<[u8; 32]> {
        self.result.get().copied()
    }

    fn close(&mut self) {
        if let Some(part) = self.part.take() {
            self.whole.update(part.finalize());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(parts: &[(&str, &str, &[&str])]) -> [u8; 32] {
        let mut digest = FormDigest::default();
        let known = digest.clone();
        for (name, file, pieces) in parts {
            digest.open(name, file);
            pieces.iter().for_each(|piece| digest.piece(piece.as_bytes()));
        }
        assert_eq!(known.result(), None);
        let result = digest.finish();
        assert_eq!(known.result(), Some(result));
        result
    }

    #[test]
    fn a_form_is_its_names_and_contents_and_not_how_they_arrived() {
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
