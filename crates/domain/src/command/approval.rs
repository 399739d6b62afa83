//! Commands on tools, approvals, their policies, work orders, the maintenance system and the plant mode.

use super::command;
use crate::approval::{
    Approval, ApprovalFilter, ApprovalPolicy, ApproverVerdict, PolicyChange, PolicyTerms, ToolInvocation,
};
use crate::audit::Change;
use crate::ids::{ApprovalId, WorkOrderId};
use crate::maintenance::{MaintenanceKind, MaintenanceOptions, MaintenanceSettings, SecretChange};
use crate::page::{Page, PageRequest};
use crate::plant::{PlantMode, PlantModeState};
use crate::text::{ApprovalComment, ShortText};
use crate::tool::ListedTool;
use crate::work_order::{WorkOrder, WorkOrderFilter};
use serde::Serialize;
use serde_json::{Value, json};

/// List the tools that the caller may call.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ListTools;
command!(ListTools: List Tools as "tool.listed" -> Vec<ListedTool>, transaction Shared);

/// Call a tool. One that writes is not executed but waits for approval.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InvokeTool {
    /// Name of the tool, which may not be known.
    pub name: ShortText,
    /// Arguments of the call: a JSON object.
    pub arguments: Value,
    /// Why the caller wants it, for the approvers.
    pub reason: Option<ApprovalComment>,
}
command! {
    InvokeTool: Create Tools as "tool.invoked" -> ToolInvocation,
    transaction Shared,
    outcome(invocation => invocation.audit_metadata())
}

/// List the approvals that the caller may know of.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListApprovals {
    /// Conditions that all must hold.
    pub filter: ApprovalFilter,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListApprovals: List Approvals as "approval.listed" -> Page<Approval>, transaction Shared);

/// Read an approval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetApproval {
    /// The approval; the caller must be its requester, one of its approvers, or an admin.
    pub id: ApprovalId,
}
command!(GetApproval: Read Approvals as "approval.read" -> Approval, target Approval(id), transaction Shared);

/// Decide on a request, as one of its approvers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DecideApproval {
    /// The approval; the caller must be one of its approvers.
    pub id: ApprovalId,
    /// One rejection rejects; approvals count towards the quorum.
    pub verdict: ApproverVerdict,
    /// Digest of what the caller read; must be that of the request.
    pub digest: String,
    /// Why, in the approver's own words.
    pub comment: Option<ApprovalComment>,
}
command! {
    DecideApproval: Update Approvals as "approval.decision" -> Approval,
    target Approval(id),
    transaction Shared,
    metadata(command => json!({ "decision": command.verdict })),
    outcome(approval => approval.audit_metadata())
}

/// Withdraw a request of the caller.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct CancelApproval {
    /// The approval; must be the caller's own request.
    pub id: ApprovalId,
}
command! {
    CancelApproval: Delete Approvals as "approval.withdrawn" -> Approval,
    target Approval(id),
    transaction Shared,
    outcome(approval => approval.audit_metadata())
}

/// Read the approval policy on a tool.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetApprovalPolicy {
    /// Name of the tool; must be one that writes.
    pub tool: ShortText,
}
command! {
    GetApprovalPolicy: Read ApprovalPolicies as "admin.approval_policy_read" -> ApprovalPolicy,
    transaction Shared
}

/// Set the approval policy on a tool, which voids its pending requests.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PutApprovalPolicy {
    /// Name of the tool; must be one that writes.
    pub tool: ShortText,
    /// The new rules.
    pub terms: PolicyTerms,
}
command! {
    PutApprovalPolicy: Update ApprovalPolicies as "admin.approval_policy_changed" -> PolicyChange,
    transaction Shared,
    outcome(change => policy_change_metadata(change))
}

fn policy_change_metadata(change: &PolicyChange) -> Value {
    let fields = |policy: &ApprovalPolicy| json!({ "version": policy.version, "terms": policy.terms });
    json!({
        "tool": change.after.tool, "before": fields(&change.before), "after": fields(&change.after),
        "voided": change.voided,
    })
}

/// List the work orders of the platform's own list.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListWorkOrders {
    /// Conditions that all must hold.
    pub filter: WorkOrderFilter,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListWorkOrders: List WorkOrders as "work_order.listed" -> Page<WorkOrder>, transaction Shared);

/// Read a work order.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetWorkOrder {
    /// The work order; must belong to the caller's tenant.
    pub id: WorkOrderId,
}
command!(GetWorkOrder: Read WorkOrders as "work_order.read" -> WorkOrder, target WorkOrder(id), transaction Shared);

/// Close a work order: the work was done.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct CloseWorkOrder {
    /// The work order; must belong to the caller's tenant, and to users who reach their own only, be asked for by them.
    pub id: WorkOrderId,
}
command! {
    CloseWorkOrder: Update WorkOrders as "work_order.closed" -> WorkOrder,
    target WorkOrder(id),
    transaction Shared
}

/// Export the work orders, newest first.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExportWorkOrders {
    /// Conditions that all must hold.
    pub filter: WorkOrderFilter,
}
impl ExportWorkOrders {
    /// Maximum number of work orders in one export.
    pub const MAX_ORDERS: usize = 10_000;
}
command! {
    ExportWorkOrders: Export WorkOrders as "work_order.exported" -> Vec<WorkOrder>,
    transaction Shared,
    outcome(orders => json!({ "count": orders.len() }))
}

/// Read the maintenance system's settings.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetMaintenanceSystem;
command! {
    GetMaintenanceSystem: Read MaintenanceSystem as "admin.maintenance_system_read" -> MaintenanceSettings,
    transaction Shared
}

/// Set the maintenance system to which approved work orders are written.
#[derive(Clone, Debug, Serialize)]
pub struct PutMaintenanceSystem {
    /// Which interface it has.
    pub kind: MaintenanceKind,
    /// How it is reached.
    pub options: MaintenanceOptions,
    /// What happens to its secret.
    #[serde(skip)]
    pub secret: SecretChange,
}
command! {
    PutMaintenanceSystem: Update MaintenanceSystem as "admin.maintenance_system_changed" -> Change<MaintenanceSettings>,
    outcome(change => MaintenanceSettings::change_metadata(&change.before, &change.after))
}

/// Read the plant mode.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetPlantMode;
command!(GetPlantMode: Read PlantMode as "admin.plant_mode_read" -> PlantModeState, transaction Shared);

/// Set the plant mode.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SetPlantMode {
    /// The new mode.
    pub mode: PlantMode,
    /// Why, in the administrator's words.
    pub reason: ApprovalComment,
}
command! {
    SetPlantMode: Update PlantMode as "admin.plant_mode_changed" -> Change<PlantModeState>,
    transaction Shared,
    outcome(change => PlantModeState::change_metadata(&change.before, &change.after))
}
