//! Options that the benchmarks have in common.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// One of the two servers that a benchmark compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Side {
    /// The program `platform-server`.
    Platform,
    /// The minimal server that the platform is compared with.
    Floor,
}

impl Side {
    /// The name of the side in progress messages and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Floor => "floor",
        }
    }
}

/// What to measure, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Run fewer and shorter rounds with less data, to check that the benchmark works.
    #[arg(long)]
    pub quick: bool,
    /// Measure only with these numbers of concurrent clients.
    #[arg(long, value_delimiter = ',')]
    pub concurrency: Vec<usize>,
    /// Number of rounds; each measures both sides.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds to measure each side in a round. For a profiler, use one long round.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Measure only one side, for example with a profiler. The report then has no ratios.
    #[arg(long)]
    pub only: Option<Side>,
    /// Numbers of passages, instead of the benchmark's default.
    #[arg(long, value_delimiter = ',')]
    pub passages: Vec<u64>,
    /// The `platform-server` program to measure.
    #[arg(long, env = "PLATFORM_BENCH_SERVER")]
    pub server: PathBuf,
    /// Directory for the logs of the measured processes.
    #[arg(long, env = "PLATFORM_BENCH_WORK", default_value = "target/bench")]
    pub work: PathBuf,
}

impl Options {
    /// Number of rounds, by default 5, or 2 with `--quick`.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }

    /// How long each side is measured in a round; the arguments are the defaults, in seconds.
    pub fn round_duration(&self, quick: f64, full: f64) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { quick } else { full }))
    }

    /// Numbers of concurrent clients, one after the other.
    pub fn concurrency(&self, default: &[usize]) -> Vec<usize> {
        if self.concurrency.is_empty() { default.to_vec() } else { self.concurrency.clone() }
    }

    /// Numbers of passages, one after the other.
    pub fn passages(&self, default: &[u64]) -> Vec<u64> {
        if self.passages.is_empty() { default.to_vec() } else { self.passages.clone() }
    }

    /// The sides to measure, in the order of one round.
    pub fn sides(&self) -> Vec<Side> {
        self.only.map_or_else(|| vec![Side::Floor, Side::Platform], |side| vec![side])
    }
}
