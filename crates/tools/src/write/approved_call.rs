//! Proof that a call was approved, which a tool needs to write.

use domain::approval::{Approval, ApprovalStatus, ApproverVerdict};
use domain::ids::{ApprovalId, UserId};
use serde_json::Value;

/// Proof that this exact call was approved and that a worker is executing it. A tool that writes can be executed only
/// with one, and only the tool gateway makes one: it checks the state of the approval and its digest. Code outside this
/// crate that tries does not compile:
///
/// ```compile_fail,E0451
/// use domain::approval::Approval;
/// use tools::write::ApprovedCall;
///
/// fn forge(approval: &Approval) -> ApprovedCall<'_> {
///     ApprovedCall { approval }
/// }
/// ```
///
/// ```compile_fail,E0624
/// use domain::approval::Approval;
/// use tools::write::ApprovedCall;
///
/// fn forge(approval: &Approval) -> Option<ApprovedCall<'_>> {
///     ApprovedCall::for_execution(approval)
/// }
/// ```
///
/// Reading one is possible everywhere:
///
/// ```
/// use domain::ids::ApprovalId;
/// use tools::write::ApprovedCall;
///
/// fn reference(call: &ApprovedCall<'_>) -> ApprovalId {
///     call.approval_id()
/// }
/// ```
#[derive(Debug)]
pub struct ApprovedCall<'a> {
    approval: &'a Approval,
}

impl<'a> ApprovedCall<'a> {
    /// The proof for an approval that is being executed and whose content is what the approvers agreed to; otherwise
    /// `None`.
    pub(crate) fn for_execution(approval: &'a Approval) -> Option<Self> {
        let is_unchanged = approval.content().digest().is_ok_and(|digest| digest == approval.digest);
        (approval.status == ApprovalStatus::Executing && is_unchanged).then_some(Self { approval })
    }

    /// The approval. Also the external reference under which a plant system stores what the call creates.
    #[must_use]
    pub fn approval_id(&self) -> ApprovalId {
        self.approval.id
    }

    /// What the approvers saw.
    #[must_use]
    pub fn preview(&self) -> &Value {
        &self.approval.preview
    }

    /// The users who approved it, in the order of their decisions.
    #[must_use]
    pub fn approvers(&self) -> Vec<UserId> {
        let decisions = self.approval.decisions.iter();
        decisions.filter(|decision| decision.verdict == ApproverVerdict::Approve).map(|decision| decision.by).collect()
    }

    /// The user who asked for the write.
    #[must_use]
    pub fn requested_by(&self) -> UserId {
        self.approval.requested_by
    }
}
