//! PEM (RFC 7468): certificates and keys as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Maximum length of a line of PEM, in characters.
const LINE_LENGTH: usize = 64;

/// One block of a PEM text.
pub struct PemBlock {
    /// The label, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded content, DER.
    pub der: Vec<u8>,
}

/// The blocks of a text. Anything that is not PEM is ignored.
pub fn blocks(text: &str) -> Vec<PemBlock> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) {
            open = Some((label.to_owned(), String::new()));
        } else if line.starts_with(END) {
            if let Some((label, body)) = open.take()
                && let Ok(der) = STANDARD.decode(body)
            {
                found.push(PemBlock { label, der });
            }
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    found
}

/// A block as text.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in body.as_bytes().chunks(LINE_LENGTH) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + END + label + DASHES + "\n"
}

/// SHA-256 in 64 lower-case hexadecimal digits.
pub fn thumbprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// The first DER element of several, such as the server's own certificate in a chain.
pub fn first_element(chain: &[u8]) -> &[u8] {
    chain.get(..element_length(chain)).unwrap_or(chain)
}

/// Length of the DER element at the start, header included; the whole length if it is malformed.
fn element_length(bytes: &[u8]) -> usize {
    let long_form = |count: usize| {
        let length = bytes.get(2..2 + count)?.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        Some(2 + count + length)
    };
    match bytes.get(1) {
        Some(short @ 0..=0x7f) => 2 + usize::from(*short),
        Some(long @ 0x81..=0x84) => long_form(usize::from(long & 0x7f)).unwrap_or(bytes.len()),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_again() {
        let der: Vec<u8> = (0..=200).collect();
        let text = format!("a comment\n{}{}", encode("CERTIFICATE", &der), encode("PRIVATE KEY", b"key"));
        let found = blocks(&text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].label.as_str(), &found[0].der), ("CERTIFICATE", &der));
        assert_eq!(found[1].der, b"key");
    }

    #[test]
    fn broken_blocks_are_left_out() {
        assert!(blocks("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----").is_empty());
        assert!(blocks("-----BEGIN CERTIFICATE-----\nAAAA").is_empty());
    }

    #[test]
    fn the_first_of_a_chain() {
        let mut chain = vec![0x30, 0x81, 0x80];
        chain.extend([7; 0x80]);
        let length = chain.len();
        chain.extend([0x30, 1, 9]);
        assert_eq!(first_element(&chain).len(), length);
        assert_eq!(first_element(&[0x30, 2, 1, 2, 3]), [0x30, 2, 1, 2]);
        for malformed in [&[][..], &[0x30], &[0x30, 0x84, 1], &[0x30, 0x90, 1], &[0x30, 0x7f, 1]] {
            assert_eq!(first_element(malformed), malformed);
        }
    }
}
