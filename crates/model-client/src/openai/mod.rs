//! Any server that speaks OpenAI's chat completions and embeddings, and the `/rerank` beside them: LiteLLM, vLLM, Ollama, llama.cpp, Azure, OpenAI.

mod arguments;
mod chat;
mod embed;
pub(crate) mod http;
pub(crate) mod list;
mod once;
mod request;
mod rerank;
mod response;
mod sse;
mod stream;
mod think;

pub use chat::OpenAiChat;
pub use embed::OpenAiEmbedder;
pub use rerank::OpenAiReranker;
