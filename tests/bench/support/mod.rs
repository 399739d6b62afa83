//! Code that the benchmarks share: processes, test data, the model server, load generation and the report.

pub mod documents;
pub mod embedder;
pub mod environment;
pub mod fixtures;
pub mod issuer;
pub mod load;
pub mod model_server;
pub mod options;
pub mod platform;
pub mod postgres;
pub mod process;
pub mod report;
pub mod round;
pub mod text_generator;
