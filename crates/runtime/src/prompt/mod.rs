//! Prompts: templates, assembly, passages and token counts. Pure functions.

pub mod assemble;
pub mod nonce;
pub mod passages;
pub(crate) mod planner;
pub mod readings;
pub(crate) mod step_task;
pub mod system;
pub mod templates;
pub mod tokens;
pub mod tool_rounds;
