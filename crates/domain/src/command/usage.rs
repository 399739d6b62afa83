//! The command that reads the ledger of model calls.

use super::command;
use crate::ledger::{UsageDimension, UsageReport};
use crate::time::Timestamp;
use serde::Serialize;

/// Sum up model calls: the tenant's for admins and auditors, their own for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ReadModelUsage {
    /// Start, inclusive; `None` uses the beginning of the month (UTC) of `to`.
    pub from: Option<Timestamp>,
    /// End, exclusive; `None` uses the current time.
    pub to: Option<Timestamp>,
    /// Dimension by which the calls are grouped.
    pub group_by: UsageDimension,
}
command!(ReadModelUsage: Read Usage as "usage.read" -> UsageReport);
