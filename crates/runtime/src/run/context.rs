//! What every step of a run needs.

use super::definition::Run;
use super::log::RunLog;
use super::ports::RunPorts;
use super::reserve::BudgetReserver;

/// A run under way: its definition, its events, and the ports that its steps call.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    pub run: &'a Run,
    pub log: &'a RunLog,
    pub ports: &'a RunPorts,
    pub budgets: &'a BudgetReserver,
}
