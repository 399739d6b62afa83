//! Commands on what is used.

use super::command;
use crate::ledger::{UsageGroup, UsageReport};
use crate::time::Timestamp;
use serde::Serialize;

/// Read what calls to models came to: admins and auditors their tenant's, others their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ReadCalls {
    /// From this moment on; from the beginning of the month of `to` unless given.
    pub from: Option<Timestamp>,
    /// Before this moment; until now unless given.
    pub to: Option<Timestamp>,
    /// By what they are put together.
    pub group_by: UsageGroup,
}
command!(ReadCalls: Read Usage as "usage.read" -> UsageReport);
