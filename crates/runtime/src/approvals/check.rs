//! The check immediately before an execution: everything that was true when it was approved must still be true.

use domain::approval::{Approval, ApprovalReader, ApproverVerdict, ExecutionError};
use domain::ids::UserId;
use domain::ports::{AccessRules, StoreError, TenantTx};
use domain::rights::{Permission, Rights};
use domain::role::{Operation, Resource};
use domain::tool::WriteToolSpec;
use std::collections::BTreeSet;

/// Checks requester, approvers, policy, content and tool again, with the users' current rights. The inner error says
/// why the write may no longer be executed.
///
/// # Errors
/// If the database fails.
pub async fn check_again(
    tx: &mut dyn TenantTx,
    rules: &dyn AccessRules,
    spec: Option<&WriteToolSpec>,
    approval: &Approval,
) -> Result<Result<(), ExecutionError>, StoreError> {
    let failed = |code: &str, detail: &str| Ok(Err(ExecutionError::new(code, detail)));
    let Some(spec) = spec.filter(|spec| spec.version == approval.tool_version) else {
        return failed("tool_changed", "Not executed: the tool is not the one that was approved.");
    };
    if !approval.content().digest().is_ok_and(|digest| digest == approval.digest) {
        return failed("digest_mismatch", "Not executed: the request is not what was approved.");
    }
    let policy_version = tx.approvals().policy(&approval.tool).await?.map_or(0, |policy| policy.version);
    if policy_version != approval.policy_version {
        return failed("policy_changed", "Not executed: the approval policy was changed.");
    }
    let requester_rights = current_rights(tx, rules, approval.requested_by).await?;
    if !requester_rights.is_some_and(|rights| rights.allows(spec.tool.required_permission)) {
        return failed("requester_not_allowed", "Not executed: the requester may not call the tool any more.");
    }
    let mut approvers = BTreeSet::new();
    for decision in approval.decisions.iter().filter(|decision| decision.verdict == ApproverVerdict::Approve) {
        let Some(rights) = current_rights(tx, rules, decision.by).await? else { continue };
        let covers = |operation| rights.covers_tenant(Permission::new(Resource::Approvals, operation));
        let reader =
            ApprovalReader { user: decision.by, can_decide_all: covers(Operation::Update), can_read_all: false };
        if approval.is_approver(reader) {
            approvers.insert(decision.by);
        }
    }
    if (approvers.len() as u64) < u64::from(approval.terms.quorum) {
        return failed("approver_not_allowed", "Not executed: an approver may not approve it any more.");
    }
    Ok(Ok(()))
}

/// The user's current rights; `None` if the user is deactivated or does not exist.
async fn current_rights(
    tx: &mut dyn TenantTx,
    rules: &dyn AccessRules,
    user: UserId,
) -> Result<Option<Rights>, StoreError> {
    let membership = tx.users().membership(user).await?;
    Ok(rules.current_rights(membership.as_ref()).ok())
}
