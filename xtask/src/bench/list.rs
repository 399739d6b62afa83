//! The list of all benchmarks.

use super::sets;
use super::{Bench, Step};

/// All benchmarks; add an entry here for a new one.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "chat",
        description: "chat turns with a search: CPU, time to first token, requests per second and memory",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "streams",
        description: "many answers at 50 tokens per second: time to first token, token delay, CPU per token and memory",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "search",
        description: "searches in ten tenants of very different sizes: latency, CPU, and recall of the vector index",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "scale",
        description: "growth of latency with tenants, passages, conversations, messages and audit rows",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "gateway",
        description: "the OpenAI-compatible API compared with a bare proxy",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "cold",
        description: "startup time, idle memory, and the size of the program",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "ingest",
        description: "ingestion by format, compared with poppler's pdftotext; then with the embedding model",
        steps: &[Step::SideBySide],
        long_steps: &[
            Step::Example {
                package: "tools",
                name: "read_throughput",
                arguments: &["{plant}/documents/MAN-P101-feedwater-pump-manual.pdf", "2000", "{work}/volume.pdf"],
            },
            Step::Evaluate(sets::write_large_pdf_set),
        ],
    },
    Bench {
        name: "audit",
        description: "appends to the audit log compared with plain inserts of the same rows; sealing and verifying",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "auth",
        description: "the cheapest authenticated request compared with verifying the token and reading the user",
        steps: &[Step::SideBySide],
        long_steps: &[],
    },
    Bench {
        name: "embed",
        description: "both embedded models: chunks of 256 tokens and short texts per second, and a query's latency \
                      idle and under that load",
        steps: &[],
        long_steps: &[
            Step::Example {
                package: "model-client",
                name: "embed_throughput",
                arguments: &["all-minilm-l6-v2", "{model}"],
            },
            Step::Example {
                package: "model-client",
                name: "embed_throughput",
                arguments: &["use-multilingual-v3", "{multilingual}"],
            },
        ],
    },
    Bench {
        name: "logbooks",
        description: "latency of searches through the gate among 15,000 passages, and recall of the vector index",
        steps: &[],
        long_steps: &[Step::Evaluate(sets::write_logbook_set)],
    },
];
