//! Client for servers with OpenAI's chat completions and embeddings API and the de-facto standard `/rerank`: LiteLLM,
//! vLLM, Ollama, llama.cpp, Azure, OpenAI.

mod arguments;
mod chat;
mod embed;
pub(crate) mod http;
pub(crate) mod list;
mod request;
mod rerank;
mod response;
mod sse;
mod stream;
mod think;
mod tokenizer;
mod trace;
mod unary;

pub use chat::OpenAiChat;
pub use embed::OpenAiEmbedder;
pub use rerank::OpenAiReranker;
