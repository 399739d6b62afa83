//! Options that the benchmarks have in common.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// One of the two implementations that a benchmark compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Implementation {
    /// The platform: `platform-server`, or its code called directly.
    Platform,
    /// The minimal implementation that the platform is compared with; its cost is the lower bound.
    Floor,
}

impl Implementation {
    /// The name of the implementation in progress messages and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Floor => "floor",
        }
    }
}

/// How long each implementation is measured in a round, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct RoundSeconds {
    /// Length with the option `--quick`.
    pub quick: f64,
    /// Length without the option `--quick`.
    pub full: f64,
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
    /// Number of rounds; each measures both implementations.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds to measure each implementation in a round. For a profiler, use one long round.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Measure only one implementation, for example with a profiler. The report then has no ratios.
    #[arg(long)]
    pub only: Option<Implementation>,
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

    /// How long each implementation is measured in a round. `default` applies unless `--seconds` is given.
    pub fn round_duration(&self, default: RoundSeconds) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { default.quick } else { default.full }))
    }

    /// Numbers of concurrent clients, one after the other.
    pub fn concurrency(&self, default: &[usize]) -> Vec<usize> {
        if self.concurrency.is_empty() { default.to_vec() } else { self.concurrency.clone() }
    }

    /// Numbers of passages, one after the other.
    pub fn passages(&self, default: &[u64]) -> Vec<u64> {
        if self.passages.is_empty() { default.to_vec() } else { self.passages.clone() }
    }

    /// The implementations to measure, in the order of one round.
    pub fn implementations(&self) -> Vec<Implementation> {
        self.only.map_or_else(
            || vec![Implementation::Floor, Implementation::Platform],
            |implementation| vec![implementation],
        )
    }
}
