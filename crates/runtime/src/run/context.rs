//! The context that every step of a run receives.

use super::budget_reservation::BudgetReserver;
use super::definition::Run;
use super::event_log::RunLog;
use super::ports::RunPorts;

/// A run in progress: its definition, its event log, and the ports that its steps use.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    pub run: &'a Run,
    pub log: &'a RunLog,
    pub ports: &'a RunPorts,
    pub budgets: &'a BudgetReserver,
}
