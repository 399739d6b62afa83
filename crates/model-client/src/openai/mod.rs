//! Any server that speaks OpenAI's chat completions and embeddings, and the `/rerank` beside them: LiteLLM, vLLM, Ollama, llama.cpp, Azure, OpenAI.

mod chat;
mod embed;
mod http;
mod request;
mod rerank;
mod response;
mod sse;
mod stream;
mod think;

pub use chat::OpenAiChat;
pub use embed::OpenAiEmbedder;
pub use rerank::OpenAiReranker;
