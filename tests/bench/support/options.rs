//! Options that the benchmarks have in common.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Which side is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Side {
    /// The program `platform-server`.
    Platform,
    /// The minimal server that the platform is compared with.
    Floor,
}

impl Side {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Floor => "floor",
        }
    }
}

/// Size and length of a benchmark.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Fewer and shorter rounds, less data: shows that the benchmark runs.
    #[arg(long)]
    pub quick: bool,
    /// Measure these numbers of concurrent clients only.
    #[arg(long, value_delimiter = ',')]
    pub concurrency: Vec<usize>,
    /// Number of rounds; each measures both sides.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds that each side is measured in a round. A long time and one round suit a profiler.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Measure one side only, for a profiler; there are no ratios then.
    #[arg(long)]
    pub only: Option<Side>,
    /// Number of passages, if not the benchmark's own.
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
    /// Number of rounds.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }

    /// Time that each side is measured in a round.
    pub fn round_duration(&self, quick: f64, full: f64) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { quick } else { full }))
    }

    /// Numbers of concurrent clients.
    pub fn concurrency(&self, default: &[usize]) -> Vec<usize> {
        if self.concurrency.is_empty() { default.to_vec() } else { self.concurrency.clone() }
    }

    /// Numbers of passages.
    pub fn passages(&self, default: &[u64]) -> Vec<u64> {
        if self.passages.is_empty() { default.to_vec() } else { self.passages.clone() }
    }

    /// The sides to measure, in the order of one round.
    pub fn sides(&self) -> Vec<Side> {
        self.only.map_or_else(|| vec![Side::Floor, Side::Platform], |side| vec![side])
    }
}
