//! Malleability of ECDSA signatures. If (`r`, `s`) is a valid signature, so is (`r`, `n - s`), where `n` is the order
//! of the curve. So anyone can derive a second valid token from a token, without the key. Accepting only the lower `s`
//! prevents this.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Half of the order of P-256 (SEC 2 §2.4.2), rounded down: the highest value of a low `s`.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Whether an ES256 signature (RFC 7518 §3.4: `r` and `s`, 32 bytes each, base64url) has the higher of the two valid
/// `s`. Returns `false` if `signature` is not an ES256 signature.
#[must_use]
pub fn has_high_s(signature: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    bytes.len() == 64 && bytes[32..] > HALF_ORDER[..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_order_is_the_highest_low_s() {
        let signature = |s: [u8; 32]| URL_SAFE_NO_PAD.encode([[0xff; 32], s].concat());
        let mut above = HALF_ORDER;
        above[31] += 1;
        assert!(!has_high_s(&signature(HALF_ORDER)));
        assert!(has_high_s(&signature(above)));
        assert!(has_high_s(&signature([0xff; 32])));
        assert!(!has_high_s(&signature([0; 32])));
        assert!(!has_high_s("") && !has_high_s("c2ln") && !has_high_s("ä"));
    }
}
