//! The tool `plant_system_write`: writes to the plant's maintenance system. Its only action creates a work order.

use super::arguments;
use crate::write::{
    ApprovedCall, Attribution, MaintenanceSystem, MaintenanceSystems, OrderDraft, StoredOrder, WriteContext,
    WriteDraft, WriteError, WriteTool, name_of,
};
use async_trait::async_trait;
use domain::approval::{Approval, PolicyTerms};
use domain::ids::{ApprovalId, UserId};
use domain::ports::TenantTx;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::text::{BoundedText, ShortText};
use domain::time::{Date, Timestamp};
use domain::tool::{ToolName, ToolSpec, WriteEffect, WriteToolSpec};
use domain::work_order::WorkOrderRequest;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Version of the tool's behaviour. Approvals of another version are not executed.
const VERSION: u32 = 1;
/// Least urgent priority; 1 is the most urgent.
const LOWEST_PRIORITY: u32 = 4;

/// Writes to the tenant's maintenance system.
pub struct PlantSystemWrite {
    systems: MaintenanceSystems,
}

impl PlantSystemWrite {
    /// A tool that writes to the system that each tenant has set.
    #[must_use]
    pub fn new(systems: MaintenanceSystems) -> Self {
        Self { systems }
    }
}

/// What to write, and where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    action: Action,
    #[serde(deserialize_with = "arguments::text")]
    target: ShortText,
    data: WorkOrderData,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    CreateWorkOrder,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkOrderData {
    #[serde(deserialize_with = "arguments::text")]
    title: ShortText,
    #[serde(deserialize_with = "arguments::text")]
    description: BoundedText<4_000>,
    #[serde(deserialize_with = "arguments::number::<_, 1, LOWEST_PRIORITY>")]
    priority: u32,
    #[serde(default, deserialize_with = "optional_due")]
    due: Option<String>,
}

/// Deserializes a date or a date and time (RFC 3339) that may be missing or null.
fn optional_due<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(due) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    if due.len() <= 40 && (due.parse::<Date>().is_ok() || due.parse::<Timestamp>().is_ok()) {
        return Ok(Some(due));
    }
    Err(D::Error::custom("due must be a date such as 2026-12-24, or a date and time (RFC 3339)"))
}

impl Arguments {
    /// The order that these arguments ask for, as it is before it is created.
    fn draft(&self, approval: ApprovalId, requested_by: UserId, attribution: Attribution) -> OrderDraft {
        let (id, created_at) = (Uuid::nil().into(), Timestamp::default());
        OrderDraft { id, approval, request: self.request(), requested_by, attribution, created_at }
    }

    /// What approvers see: what the order says and, of a system that is reached over HTTP, exactly what is sent to it.
    fn preview(&self, system: &dyn MaintenanceSystem, order: &OrderDraft) -> Value {
        let mut preview = json!({
            "system": system.kind(), "action": self.action, "before": null, "after": self.request(),
        });
        if !system.endpoint().is_null() {
            preview["requested_by"] = order.attribution.requester.as_str().into();
            preview["endpoint"] = system.endpoint();
            preview["body"] = system.body(order);
        }
        preview
    }

    fn request(&self) -> WorkOrderRequest {
        let data = &self.data;
        WorkOrderRequest {
            target: self.target.as_str().to_owned(),
            title: data.title.as_str().to_owned(),
            description: data.description.as_str().to_owned(),
            priority: u8::try_from(data.priority).unwrap_or(u8::MAX),
            due: data.due.clone(),
        }
    }
}

#[async_trait]
impl WriteTool for PlantSystemWrite {
    type Arguments = Arguments;

    fn spec(&self) -> WriteToolSpec {
        let data = json!({
            "type": "object", "additionalProperties": false, "required": ["title", "description", "priority"],
            "properties": {
                "title": {"type": "string", "minLength": 1, "maxLength": 128},
                "description": {"type": "string", "minLength": 1, "maxLength": 4000},
                "priority": {"type": "integer", "minimum": 1, "maximum": LOWEST_PRIORITY,
                    "description": "1 is the most urgent."},
                "due": {"type": "string", "description": "Date, or date and time (RFC 3339)."},
            },
        });
        let properties = json!({
            "action": {"type": "string", "enum": ["create_work_order"]},
            "target": {"type": "string", "minLength": 1, "maxLength": 128,
                "description": "Tag of the equipment, or the place."},
            "data": data,
        });
        WriteToolSpec {
            tool: ToolSpec {
                name: ToolName::PlantSystemWrite.into(),
                description: "Ask for a work order in the plant's maintenance system. It is not created at once: \
                              people have to approve it. Use it only if the user asks for a work order."
                    .into(),
                required_permission: Permission::new(Resource::WorkOrders, Operation::Create),
                writes_to_plant: true,
                parameters: arguments::schema(&properties, &["action", "target", "data"]),
            },
            version: VERSION,
            effect: WriteEffect::Records,
            default_policy: Some(PolicyTerms::platform_default()),
            result_classification: Classification::Internal,
        }
    }

    fn target(&self, arguments: &Arguments) -> String {
        arguments.target.as_str().to_owned()
    }

    async fn preview(
        &self,
        tx: &mut dyn TenantTx,
        draft: &WriteDraft,
        arguments: &Arguments,
    ) -> Result<Value, WriteError> {
        let system = self.systems.current(tx, draft.tenant).await?;
        let attribution = Attribution::before_approval(name_of(tx, draft.requested_by).await?);
        Ok(arguments.preview(&*system, &arguments.draft(draft.approval, draft.requested_by, attribution)))
    }

    async fn find(&self, context: &WriteContext, approval: &Approval) -> Result<Option<Value>, WriteError> {
        let scope = &context.tenant_scope;
        let mut tx = self.systems.store().begin(scope).await?;
        let system = self.systems.current(&mut *tx, scope.tenant()).await?;
        drop(tx);
        let preview = &approval.preview;
        if preview["system"] != json!(system.kind()) || preview["endpoint"] != system.endpoint() {
            return Err(WriteError::PreviewChanged);
        }
        let reference = approval.id.to_string();
        let found = system.find(scope, &reference).await?;
        Ok(found.map(|order| result(&*system, &order, &reference)))
    }

    async fn execute(
        &self,
        context: &WriteContext,
        call: ApprovedCall<'_>,
        arguments: Arguments,
    ) -> Result<Value, WriteError> {
        let scope = &context.tenant_scope;
        let mut tx = self.systems.store().begin(scope).await?;
        let system = self.systems.current(&mut *tx, scope.tenant()).await?;
        // As it was when it was asked for: the approvers saw this name.
        let requester = call.preview()["requested_by"].as_str().unwrap_or_default().to_owned();
        let attribution = Attribution::before_approval(requester);
        let seen = arguments.draft(call.approval_id(), call.requested_by(), attribution.clone());
        if arguments.preview(&*system, &seen) != *call.preview() {
            return Err(WriteError::PreviewChanged);
        }
        let attribution = attribution.with_approvers(&mut *tx, &call.approvers()).await?;
        drop(tx);
        let order = OrderDraft { id: context.new_id.into(), attribution, created_at: context.now, ..seen };
        let stored = system.create(scope, &order).await?;
        Ok(result(&*system, &stored, &order.external_reference()))
    }
}

fn result(system: &dyn MaintenanceSystem, order: &StoredOrder, external_reference: &str) -> Value {
    json!({
        "system": system.kind(), "work_order_id": order.id, "external_reference": external_reference,
        "status": order.status,
    })
}
