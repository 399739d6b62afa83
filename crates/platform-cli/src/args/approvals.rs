//! The arguments of `approvals`.

use super::{PageArgs, one_of};
use clap::{Args, Subcommand};
use domain::approval::{ApprovalRole, ApprovalStatus};
use uuid::Uuid;

/// What to do with requests for writes.
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the requests that you may know of, newest first.
    List(ApprovalListArgs),
    /// Show a request: what it will do, the exact arguments, the digest and the decisions.
    Show {
        /// Id of the request.
        id: Uuid,
    },
    /// Approve a request, after showing it and asking.
    ///
    /// If the platform asks for a more recent sign-in, signs in again in a browser and repeats the decision.
    Approve(DecisionArgs),
    /// Reject a request, after showing it and asking.
    Reject(DecisionArgs),
    /// Withdraw your own request, after showing it and asking.
    Cancel {
        /// Id of the request.
        id: Uuid,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which requests to list.
#[derive(Debug, Args)]
pub struct ApprovalListArgs {
    /// Only requests with this status.
    #[arg(long, value_parser = one_of(ApprovalStatus::ALL.iter().map(|word| word.as_str())))]
    pub status: Option<String>,
    /// Only requests that you made, or that you may decide on.
    #[arg(long, value_parser = one_of(ApprovalRole::ALL.iter().map(|word| word.as_str())))]
    pub role: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

/// A decision on a request.
#[derive(Debug, Args)]
pub struct DecisionArgs {
    /// Id of the request.
    pub id: Uuid,
    /// Digest of the request as you have read it; decides without asking, and only on exactly that.
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Comment that the requester and the other approvers can read.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// If you must sign in again, print the URL to open on this machine, instead of opening a browser.
    #[arg(long)]
    pub no_browser: bool,
}
