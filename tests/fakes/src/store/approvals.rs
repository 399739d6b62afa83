//! The in-memory repositories of approvals, work orders, the maintenance system and the plant mode.

use super::{InMemoryTx, Row, State, constraint_error, page_of};
use async_trait::async_trait;
use domain::approval::{
    Approval, ApprovalDecision, ApprovalFilter, ApprovalPolicy, ApprovalReader, ApprovalRole, ApprovalStatus,
    PendingCounts, PolicyTerms, WriteAttempts,
};
use domain::ids::{ApprovalId, TenantId, UserId, WorkOrderId};
use domain::maintenance::MaintenanceSettings;
use domain::page::{Page, PageKey, PageRequest};
use domain::plant::PlantModeState;
use domain::ports::{ApprovalRepo, MaintenanceSystemRepo, PlantModeRepo, StatusTransition, StoreError, WorkOrderRepo};
use domain::time::Timestamp;
use domain::work_order::{WorkOrder, WorkOrderFilter, WorkOrderStatus};

impl State {
    /// Whether a worker has something to do for the tenant's approvals.
    pub(super) fn has_due_approvals(&self, tenant: TenantId, now: Timestamp) -> bool {
        self.due_approvals(tenant, now).next().is_some()
    }

    fn due_approvals(&self, tenant: TenantId, now: Timestamp) -> impl Iterator<Item = &Approval> {
        let allows_writes = self.plant_modes.get(&tenant).is_none_or(|state| state.mode.allows_writes());
        let is_due = move |approval: &&Approval| {
            let has_expired = approval.expires_at <= now;
            approval.is_notice_due
                || match approval.status {
                    ApprovalStatus::Pending => has_expired,
                    ApprovalStatus::Approved => has_expired || allows_writes,
                    status => status == ApprovalStatus::Executing,
                }
        };
        self.approvals.iter().filter(move |row| row.tenant == tenant).map(|row| &row.value).filter(is_due)
    }
}

impl InMemoryTx {
    async fn approval(&mut self, id: ApprovalId) -> Result<Option<&mut Approval>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.approvals;
        Ok(rows.iter_mut().find(|row| in_tenant(row) && row.value.id == id).map(|row| &mut row.value))
    }
}

#[async_trait]
impl ApprovalRepo for InMemoryTx {
    async fn insert(&mut self, approval: &Approval) -> Result<(), StoreError> {
        let tenant = self.tenant();
        if approval.status != ApprovalStatus::Pending {
            return Err(constraint_error("storing an approval", "an approval begins as pending"));
        }
        self.write().await?.approvals.push(Row { tenant, user: None, value: approval.clone() });
        Ok(())
    }

    async fn get(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        let in_tenant = self.tenant_filter();
        let find = |s: &State| s.approvals.iter().find(|r| in_tenant(r) && r.value.id == id).map(|r| r.value.clone());
        Ok(self.read(find))
    }

    async fn lock(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        Ok(self.approval(id).await?.cloned())
    }

    async fn list(
        &mut self,
        filter: &ApprovalFilter,
        reader: ApprovalReader,
        page: &PageRequest,
    ) -> Result<Page<Approval>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<Approval>| {
            let approval = &row.value;
            in_tenant(row)
                && filter.status.is_none_or(|status| approval.status == status)
                && match filter.role {
                    Some(ApprovalRole::Requester) => approval.requested_by == reader.user,
                    Some(ApprovalRole::Approver) => approval.is_approver(reader),
                    None => approval.is_visible_to(reader),
                }
        };
        let rows = self.read(|s| s.approvals.iter().filter(is_wanted).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Approval| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn insert_decision(&mut self, id: ApprovalId, decision: &ApprovalDecision) -> Result<bool, StoreError> {
        let Some(approval) = self.approval(id).await? else { return Ok(false) };
        if approval.requested_by == decision.by {
            return Err(constraint_error("storing a decision", "requesters do not decide on their own requests"));
        }
        let is_first = approval.decisions.iter().all(|earlier| earlier.by != decision.by);
        if is_first {
            approval.decisions.push(decision.clone());
        }
        Ok(is_first)
    }

    async fn transition(
        &mut self,
        id: ApprovalId,
        transition: &StatusTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(approval) = self.approval(id).await? else { return Ok(false) };
        if approval.status != transition.from {
            return Ok(false);
        }
        if !transition.from.may_become(transition.to) {
            return Err(constraint_error("changing the state of an approval", "the transition is not in the table"));
        }
        approval.status = transition.to;
        approval.result.clone_from(&transition.result);
        approval.error.clone_from(&transition.error);
        approval.is_notice_due = transition.notify && approval.conversation.is_some();
        approval.updated_at = now;
        Ok(true)
    }

    async fn escalate(&mut self, id: ApprovalId, expires_at: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let Some(approval) = self.approval(id).await? else { return Ok(false) };
        if approval.status != ApprovalStatus::Pending || approval.is_escalated {
            return Ok(false);
        }
        approval.is_escalated = true;
        (approval.expires_at, approval.updated_at) = (expires_at, now);
        Ok(true)
    }

    async fn count_write_attempt(&mut self, id: ApprovalId, earlier: u32) -> Result<bool, StoreError> {
        let is_executing =
            self.approval(id).await?.is_some_and(|approval| approval.status == ApprovalStatus::Executing);
        if !is_executing {
            return Ok(false);
        }
        let attempts = self.write().await?.write_attempts.entry(id).or_default();
        if attempts.begun != earlier {
            return Ok(false);
        }
        attempts.begun += 1;
        Ok(true)
    }

    async fn count_write_answer(&mut self, id: ApprovalId, begun: u32) -> Result<bool, StoreError> {
        let is_executing =
            self.approval(id).await?.is_some_and(|approval| approval.status == ApprovalStatus::Executing);
        let attempts = self.write().await?.write_attempts.entry(id).or_default();
        let is_first = is_executing && attempts.begun == begun && attempts.has_unanswered();
        attempts.answered += u32::from(is_first);
        Ok(is_first)
    }

    async fn write_attempts(&mut self, id: ApprovalId) -> Result<WriteAttempts, StoreError> {
        Ok(self.read(|s| s.write_attempts.get(&id).copied().unwrap_or_default()))
    }

    async fn clear_notice(&mut self, id: ApprovalId) -> Result<bool, StoreError> {
        let approval = self.approval(id).await?;
        Ok(approval.is_some_and(|approval| std::mem::take(&mut approval.is_notice_due)))
    }

    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ApprovalId>, StoreError> {
        let tenant = self.tenant();
        let take = |s: &State| {
            let mut due: Vec<&Approval> = s.due_approvals(tenant, now).collect();
            let is = |approval: &Approval, status: ApprovalStatus| approval.status == status;
            due.sort_by_key(|a| {
                (is(a, ApprovalStatus::Executing), is(a, ApprovalStatus::Approved), a.created_at, a.id)
            });
            due.iter().map(|approval| approval.id).take(limit as usize).collect()
        };
        Ok(self.read(take))
    }

    async fn lock_and_count_pending(&mut self, requester: UserId) -> Result<PendingCounts, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &self.write().await?.approvals;
        let is_pending = |row: &&Row<Approval>| in_tenant(row) && row.value.status == ApprovalStatus::Pending;
        let mut counts = PendingCounts::default();
        for row in rows.iter().filter(is_pending) {
            counts.tenant += 1;
            counts.requester += u64::from(row.value.requested_by == requester);
        }
        Ok(counts)
    }

    async fn lock_pending(&mut self, tool: &str) -> Result<Vec<ApprovalId>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &self.write().await?.approvals;
        let is_pending = |row: &&Row<Approval>| {
            in_tenant(row) && row.value.tool == tool && row.value.status == ApprovalStatus::Pending
        };
        Ok(rows.iter().filter(is_pending).map(|row| row.value.id).collect())
    }

    async fn policy(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<ApprovalPolicy>| in_tenant(row) && row.value.tool == tool;
        Ok(self.read(|s| s.approval_policies.iter().find(is_wanted).map(|row| row.value.clone())))
    }

    async fn policy_to_change(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError> {
        self.policy(tool).await
    }

    async fn put_policy(
        &mut self,
        tool: &str,
        terms: &PolicyTerms,
        _by: Option<UserId>,
        now: Timestamp,
    ) -> Result<ApprovalPolicy, StoreError> {
        let (tenant, in_tenant) = (self.tenant(), self.tenant_filter());
        let rows = &mut self.write().await?.approval_policies;
        let earlier = rows.iter().position(|row| in_tenant(row) && row.value.tool == tool);
        let version = earlier.map_or(0, |index| rows.swap_remove(index).value.version) + 1;
        let value = ApprovalPolicy { tool: tool.to_owned(), version, terms: terms.clone(), updated_at: Some(now) };
        rows.push(Row { tenant, user: None, value: value.clone() });
        Ok(value)
    }
}

#[async_trait]
impl WorkOrderRepo for InMemoryTx {
    async fn insert(&mut self, order: &WorkOrder) -> Result<WorkOrder, StoreError> {
        let (tenant, in_tenant) = (self.tenant(), self.tenant_filter());
        let rows = &mut self.write().await?.work_orders;
        let has_reference =
            |row: &&Row<WorkOrder>| in_tenant(row) && row.value.external_reference == order.external_reference;
        if let Some(earlier) = rows.iter().find(has_reference) {
            return Ok(earlier.value.clone());
        }
        rows.push(Row { tenant, user: None, value: order.clone() });
        Ok(order.clone())
    }

    async fn get(&mut self, id: WorkOrderId) -> Result<Option<WorkOrder>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<WorkOrder>| in_tenant(row) && row.value.id == id;
        Ok(self.read(|s| s.work_orders.iter().find(is_wanted).map(|row| row.value.clone())))
    }

    async fn by_external_reference(&mut self, reference: &str) -> Result<Option<WorkOrder>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<WorkOrder>| in_tenant(row) && row.value.external_reference == reference;
        Ok(self.read(|s| s.work_orders.iter().find(is_wanted).map(|row| row.value.clone())))
    }

    async fn list(&mut self, filter: &WorkOrderFilter, page: &PageRequest) -> Result<Page<WorkOrder>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<WorkOrder>| {
            let reference = filter.external_reference.as_ref();
            in_tenant(row)
                && reference.is_none_or(|reference| row.value.external_reference == *reference)
                && filter.status.is_none_or(|status| row.value.status == status)
        };
        let rows = self.read(|s| s.work_orders.iter().filter(is_wanted).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &WorkOrder| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn close(&mut self, id: WorkOrderId, by: UserId, now: Timestamp) -> Result<Option<WorkOrder>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.work_orders;
        let is_open = |row: &&mut Row<WorkOrder>| {
            row.value.id == id && row.value.status == WorkOrderStatus::Open && in_tenant(row)
        };
        let Some(row) = rows.iter_mut().find(is_open) else { return Ok(None) };
        row.value.status = WorkOrderStatus::Closed;
        (row.value.closed_by, row.value.closed_at) = (Some(by), Some(now));
        Ok(Some(row.value.clone()))
    }
}

#[async_trait]
impl MaintenanceSystemRepo for InMemoryTx {
    async fn get(&mut self) -> Result<MaintenanceSettings, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| s.maintenance_systems.get(&tenant).cloned().unwrap_or_else(MaintenanceSettings::builtin)))
    }

    async fn put(&mut self, settings: &MaintenanceSettings, _by: Option<UserId>) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.maintenance_systems.insert(tenant, settings.clone());
        Ok(())
    }
}

#[async_trait]
impl PlantModeRepo for InMemoryTx {
    async fn get(&mut self) -> Result<PlantModeState, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| s.plant_modes.get(&tenant).cloned().unwrap_or_else(PlantModeState::initial)))
    }

    async fn set(&mut self, state: &PlantModeState, _by: Option<UserId>) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.plant_modes.insert(tenant, state.clone());
        Ok(())
    }
}
