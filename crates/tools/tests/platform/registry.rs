//! Tests the rules of the tool registry.

use async_trait::async_trait;
use domain::classified::Classified;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource, Role};
use domain::tool::{ToolName, ToolResult, ToolSpec};
use fakes::access::rights;
use serde::Deserialize;
use serde_json::{Value, json};
use tools::error::ToolError;
use tools::registry::{Registry, RegistryError};
use tools::tool::{Tool, ToolContext};

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
            name: ToolName::MemoryRead,
            description: "A tool.",
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
    let name = ToolName::MemoryRead;
    let closed_schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let mut registry = Registry::default();
    let refused = registry.register(TestTool { writes: true, parameters: closed_schema.clone() });
    assert_eq!(refused, Err(RegistryError::NotReadOnly { name }));
    let open_schema = json!({"type": "object", "properties": {}});
    let refused = registry.register(TestTool { writes: false, parameters: open_schema });
    assert_eq!(refused, Err(RegistryError::OpenSchema { name }));
    let mut with_tenant = closed_schema.clone();
    with_tenant["properties"]["tenant_id"] = json!({"type": "string"});
    let refused = registry.register(TestTool { writes: false, parameters: with_tenant });
    assert_eq!(refused, Err(RegistryError::ReservedArgument { name, argument: "tenant_id" }));
    assert_eq!(registry.manifest(&rights(Role::Admin, Classification::Restricted)), vec![]);
    assert_eq!(registry.register(TestTool { writes: false, parameters: closed_schema.clone() }), Ok(()));
    assert_eq!(registry.manifest(&rights(Role::Viewer, Classification::Internal)).len(), 1);
    let refused = registry.register(TestTool { writes: false, parameters: closed_schema });
    assert_eq!(refused, Err(RegistryError::DuplicateName { name }));
}
