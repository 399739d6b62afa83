//! What a model reads: prompts, passages, and estimates of their tokens. Pure functions.

pub mod assemble;
pub mod nonce;
pub mod passages;
pub mod tokens;
