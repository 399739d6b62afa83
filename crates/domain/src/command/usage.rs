//! The command that reads the ledger of model calls.

use super::command;
use crate::ledger::{UsageGroup, UsageReport};
use crate::time::Timestamp;
use serde::Serialize;

/// Sum up model calls: those of the tenant for admins and auditors, one's own for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ReadCalls {
    /// Start, inclusive; `None` takes the beginning of the month (UTC) of `to`.
    pub from: Option<Timestamp>,
    /// End, exclusive; `None` takes the present.
    pub to: Option<Timestamp>,
    /// Key of the groups in the report.
    pub group_by: UsageGroup,
}
command!(ReadCalls: Read Usage as "usage.read" -> UsageReport);
