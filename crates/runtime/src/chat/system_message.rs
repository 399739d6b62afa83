//! The system message of a turn.

use super::request::TurnRequest;
use crate::error::RuntimeError;
use crate::prompt::system::SystemPrompt;
use crate::run::agent::Agent;
use domain::agent::AgentSpec;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::role::Classification;

/// Renders the system message. The client's instructions in it count as user input.
///
/// # Errors
/// If a template cannot be rendered.
pub(super) fn system_message(
    permit: &Permit,
    agent: &Agent,
    request: &mut TurnRequest,
    specialist: Option<&AgentSpec>,
    user_classification: Classification,
) -> Result<Classified<String>, RuntimeError> {
    let client_instructions = request.instructions.take();
    let tenant = permit.tenant();
    let text = SystemPrompt {
        tenant: &tenant.name,
        plant_instructions: tenant.settings.instructions.as_deref(),
        client_instructions: client_instructions.as_deref(),
        tools: agent.tools.platform_specs(),
        has_client_tools: agent.tools.client_tool_count() > 0,
        agent: specialist,
    }
    .render()?;
    let classification = client_instructions.map_or(Classification::Public, |_| user_classification);
    Ok(Classified::new(text, classification))
}
