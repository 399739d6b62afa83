//! An issuer for tests: signs arbitrary tokens with a generated ES256 key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "api://platform";

pub struct Signer {
    kid: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    pub fn new(kid: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("key generation");
        Self { kid, key }
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    /// Header of a valid token.
    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.kid})
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// Signs claims with an arbitrary header.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs arbitrary texts, even if they are not JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signing_input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signing_input.as_bytes()).expect("a signature");
        let token = format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let other_form = malleate_signature(&token);
        if s_of(&token) <= s_of(&other_form) { token } else { other_form }
    }
}

/// The order of P-256 (SEC 2 §2.4.2).
const CURVE_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn signature_of(token: &str) -> Vec<u8> {
    let (_, signature) = token.rsplit_once('.').expect("a token");
    URL_SAFE_NO_PAD.decode(signature).expect("base64")
}

fn s_of(token: &str) -> Vec<u8> {
    signature_of(token)[32..].to_vec()
}

/// Replaces the signature with its malleated form: `s` becomes `n - s`, where `n` is the order of the curve.
pub fn malleate_signature(token: &str) -> String {
    let mut signature = signature_of(token);
    let mut borrow = 0;
    for (digit, order) in signature[32..].iter_mut().zip(CURVE_ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).expect("a byte");
    }
    let (signing_input, _) = token.rsplit_once('.').expect("a token");
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
