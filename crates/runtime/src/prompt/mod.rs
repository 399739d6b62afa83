//! Prompts: assembly, passages and token estimates. Pure functions.

pub mod assemble;
pub mod nonce;
pub mod passages;
pub mod tokens;
pub mod tool_rounds;
