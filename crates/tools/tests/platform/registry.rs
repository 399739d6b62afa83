//! Tests the rules of the tool registry.

use async_trait::async_trait;
use domain::approval::{Approval, PolicyTerms};
use domain::classified::Classified;
use domain::ports::TenantTx;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource, Role};
use domain::tool::{ToolId, ToolName, ToolResult, ToolSpec, WriteEffect, WriteToolSpec};
use fakes::access::rights;
use serde::Deserialize;
use serde_json::{Value, json};
use tools::error::ToolError;
use tools::registry::{Registry, RegistryError};
use tools::tool::{Tool, ToolContext};
use tools::write::{ApprovedCall, WriteContext, WriteDraft, WriteError, WriteTool};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

/// A tool that violates a rule, depending on its fields.
struct TestTool {
    writes: bool,
    parameters: Value,
}

#[async_trait]
impl Tool for TestTool {
    type Arguments = NoArguments;

    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: ToolName::MemoryRead.into(),
            description: "A tool.".into(),
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant: self.writes,
            parameters: self.parameters.clone(),
        }
    }

    async fn run(&self, _: ToolContext, _: NoArguments) -> Result<Classified<ToolResult>, ToolError> {
        Err(ToolError::NotFound)
    }
}

#[test]
fn a_tool_is_registered_unless_it_breaks_a_rule() {
    let name = || ToolId::from(ToolName::MemoryRead);
    let closed_schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let mut registry = Registry::default();
    let refused = registry.register(TestTool { writes: true, parameters: closed_schema.clone() });
    assert_eq!(refused, Err(RegistryError::NotReadOnly { name: name() }));
    let open_schema = json!({"type": "object", "properties": {}});
    let refused = registry.register(TestTool { writes: false, parameters: open_schema });
    assert_eq!(refused, Err(RegistryError::OpenSchema { name: name() }));
    let mut with_tenant = closed_schema.clone();
    with_tenant["properties"]["tenant_id"] = json!({"type": "string"});
    let refused = registry.register(TestTool { writes: false, parameters: with_tenant });
    assert_eq!(refused, Err(RegistryError::ReservedArgument { name: name(), argument: "tenant_id" }));
    assert_eq!(registry.manifest(&rights(Role::Admin, Classification::Restricted)), vec![]);
    assert_eq!(registry.register(TestTool { writes: false, parameters: closed_schema.clone() }), Ok(()));
    assert_eq!(registry.manifest(&rights(Role::Viewer, Classification::Internal)).len(), 1);
    let refused = registry.register(TestTool { writes: false, parameters: closed_schema });
    assert_eq!(refused, Err(RegistryError::DuplicateName { name: name() }));
}

/// A tool that writes and violates a rule, depending on its specification.
struct TestWriteTool(WriteToolSpec);

impl TestWriteTool {
    fn with(change: impl FnOnce(&mut WriteToolSpec)) -> Self {
        let mut spec = WriteToolSpec {
            tool: ToolSpec {
                name: ToolName::PlantSystemWrite.into(),
                description: "A tool.".into(),
                required_permission: Permission::new(Resource::WorkOrders, Operation::Create),
                writes_to_plant: true,
                parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            },
            version: 1,
            effect: WriteEffect::Records,
            default_policy: Some(PolicyTerms::platform_default()),
            result_classification: Classification::Internal,
        };
        change(&mut spec);
        Self(spec)
    }
}

#[async_trait]
impl WriteTool for TestWriteTool {
    type Arguments = NoArguments;

    fn spec(&self) -> WriteToolSpec {
        self.0.clone()
    }

    fn target(&self, _: &NoArguments) -> String {
        "P-101A".to_owned()
    }

    async fn preview(&self, _: &mut dyn TenantTx, _: &WriteDraft, _: &NoArguments) -> Result<Value, WriteError> {
        Ok(json!({}))
    }

    async fn find(&self, _: &WriteContext, _: &Approval) -> Result<Option<Value>, WriteError> {
        Ok(None)
    }

    async fn execute(&self, _: &WriteContext, _: ApprovedCall<'_>, _: NoArguments) -> Result<Value, WriteError> {
        Ok(json!({}))
    }
}

#[test]
fn a_write_tool_needs_an_approval_policy_and_never_controls_the_plant() {
    let name = || ToolId::from(ToolName::PlantSystemWrite);
    let mut registry = Registry::default();
    let mut register = |change: fn(&mut WriteToolSpec)| registry.register_write(TestWriteTool::with(change));
    assert_eq!(register(|spec| spec.effect = WriteEffect::Control), Err(RegistryError::ControlsPlant { name: name() }));
    assert_eq!(register(|spec| spec.default_policy = None), Err(RegistryError::NoApprovalPolicy { name: name() }));
    let nobody = |spec: &mut WriteToolSpec| {
        spec.default_policy = Some(PolicyTerms { allows_any_approver: false, ..PolicyTerms::platform_default() });
    };
    assert_eq!(register(nobody), Err(RegistryError::NoApprovalPolicy { name: name() }), "nobody could approve");
    assert_eq!(register(|spec| spec.tool.writes_to_plant = false), Err(RegistryError::NotAWriteTool { name: name() }));
    assert_eq!(
        register(|spec| spec.tool.parameters = json!({"type": "object", "properties": {}})),
        Err(RegistryError::OpenSchema { name: name() })
    );
    assert_eq!(register(|_| {}), Ok(()));
    assert_eq!(register(|_| {}), Err(RegistryError::DuplicateName { name: name() }));
    let listed = |role| registry.manifest(&rights(role, Classification::Internal)).len();
    assert_eq!((listed(Role::Viewer), listed(Role::User), listed(Role::Admin)), (0, 0, 1));
}
