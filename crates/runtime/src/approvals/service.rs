//! Use cases of tools and approvals, apart from decisions and policies, which have their own files.

use super::audit_events::ApprovalEvent;
use super::error::ApprovalError;
use super::request::{ApprovalRequester, RefusedWrite, Requester, WriteRequest, to_field_error};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::approval::{Approval, ApprovalReader, ApprovalStatus, ToolInvocation};
use domain::audit::EventType;
use domain::authorized::{Authorized, Permit};
use domain::command::{CancelApproval, GetApproval, InvokeTool, ListApprovals, ListTools};
use domain::ledger::CallOrigin;
use domain::page::Page;
use domain::ports::{Clock, IdGen, StatusTransition, Store};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::text::BoundedText;
use domain::tool::{ListedTool, ToolCall};
use std::sync::Arc;
use tools::error::ToolError;
use tools::gateway::ToolGateway;
use tools::render;

/// The audit log's name of a call that was made over the API rather than by a model.
const CALL_ID: &str = "invoke";

pub(super) const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the approval" };
pub(super) const TOOL_NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the tool" };

/// Dependencies of [`ApprovalService`].
#[derive(Clone)]
pub struct ApprovalPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// Gateway for tool calls.
    pub tools: Arc<dyn ToolGateway>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
}

/// Use cases of tools and approvals.
pub struct ApprovalService {
    pub(super) ports: ApprovalPorts,
    requester: ApprovalRequester,
}

impl ApprovalService {
    /// Creates the service.
    #[must_use]
    pub fn new(ports: ApprovalPorts) -> Self {
        let ApprovalPorts { tools, clock, ids, .. } = ports.clone();
        Self { ports, requester: ApprovalRequester { tools, clock, ids } }
    }
}

/// The caller as a reader of approvals.
///
/// # Errors
/// If the caller is not a user: no approvals are visible to it.
pub(super) fn reader(permit: &Permit) -> Result<ApprovalReader, RuntimeError> {
    let covers = |operation| permit.rights().covers_tenant(Permission::new(Resource::Approvals, operation));
    Ok(ApprovalReader {
        user: permit.scope().user().ok_or(NOT_FOUND)?,
        can_decide_all: covers(Operation::Update),
        can_read_all: covers(Operation::Read),
    })
}

#[async_trait]
impl UseCase<ListTools> for ApprovalService {
    async fn execute(&self, command: Authorized<ListTools>) -> Result<Vec<ListedTool>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let manifest = self.ports.tools.manifest(&mut *tx, command.permit().rights()).await?;
        tx.defer_commit();
        Ok(manifest.into_iter().map(|spec| ListedTool { requires_approval: spec.writes_to_plant, spec }).collect())
    }
}

#[async_trait]
impl UseCase<InvokeTool> for ApprovalService {
    async fn execute(&self, command: Authorized<InvokeTool>) -> Result<ToolInvocation, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, InvokeTool { name, arguments, reason }) = command.into_parts();
        let found = self.ports.tools.write_tool(&mut *tx, name.as_str()).await?;
        if let Some(spec) = found.filter(|spec| !spec.is_hidden_from(permit.rights().clearance())) {
            let (user, rights, credential) = (permit.scope().user(), permit.rights(), permit.credential());
            let reason = reason.map(BoundedText::into_string);
            let request = WriteRequest { arguments, reason, conversation: None };
            let requester = Requester { tenant: permit.scope().tenant(), user, rights, credential };
            let requested = self.requester.request(&mut *tx, requester, &spec, request).await;
            if let Err(RuntimeError::Tool(ToolError::Denied { reason })) = &requested {
                let refusal = RefusedWrite { spec: &spec, reason: reason.as_str(), conversation: None };
                refusal.record(&mut *tx, &*self.ports.ids, self.ports.clock.now()).await?;
                tx.commit().await?;
                return Err(ToolError::Denied { reason: *reason }.into());
            }
            let approval = requested?;
            tx.defer_commit();
            return Ok(ToolInvocation::Pending(Box::new(approval)));
        }
        // The tool uses its own transactions, so the intent is committed first.
        tx.commit().await?;
        let (call_id, origin) = (CALL_ID.to_owned(), CallOrigin::default());
        let call = ToolCall {
            call_id,
            name: name.into_string(),
            arguments,
            arguments_classification: Classification::Public,
            origin,
        };
        let result = self.ports.tools.invoke(&permit, call).await.map_err(to_field_error)?;
        let classification = result.classification();
        Ok(ToolInvocation::Result { result: render::to_json(result.content()), classification })
    }
}

#[async_trait]
impl UseCase<ListApprovals> for ApprovalService {
    async fn execute(&self, command: Authorized<ListApprovals>) -> Result<Page<Approval>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let ListApprovals { filter, page } = command.command();
        let page = tx.approvals().list(filter, reader(command.permit())?, page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<GetApproval> for ApprovalService {
    async fn execute(&self, command: Authorized<GetApproval>) -> Result<Approval, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let reader = reader(command.permit())?;
        let approval = tx.approvals().get(command.command().id).await?;
        let approval = approval.filter(|approval| approval.is_visible_to(reader)).ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(approval)
    }
}

#[async_trait]
impl UseCase<CancelApproval> for ApprovalService {
    async fn execute(&self, command: Authorized<CancelApproval>) -> Result<Approval, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let reader = reader(command.permit())?;
        let approval = tx.approvals().lock(command.command().id).await?;
        let now = self.ports.clock.now();
        let mut approval = approval.filter(|approval| approval.is_visible_to(reader)).ok_or(NOT_FOUND)?;
        if approval.requested_by != reader.user {
            return Err(ApprovalError::NotRequester.into());
        }
        // The requester already knows, so no notice is due.
        let cancel = StatusTransition {
            notify: false,
            ..StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled)
        };
        if !tx.approvals().transition(approval.id, &cancel, now).await? {
            return Err(ApprovalError::AlreadyDecided.into());
        }
        (approval.status, approval.updated_at) = (ApprovalStatus::Cancelled, now);
        let event = ApprovalEvent::new(EventType::APPROVAL_CANCELLED, &approval);
        event.record(&mut *tx, &*self.ports.ids, now).await?;
        tx.defer_commit();
        Ok(approval)
    }
}
