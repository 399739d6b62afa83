//! `goals`: creates, lists and shows goals, approves their plans, stops them and tries steps again.

use super::approvals::confirm;
use super::docs::note_next_page;
use crate::api::{Client, Query, show_pages};
use crate::args::{GoalsArgs, GoalsCommand, PageArgs};
use crate::error::CliError;
use crate::terminal::{Console, Table, to_single_line};
use serde_json::{Value, json};
use uuid::Uuid;

/// Number of characters of an objective that a list shows.
const MAX_LISTED_CHARS: usize = 60;

/// Runs a command on goals; without one, lists them.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, args: &GoalsArgs, console: &mut Console) -> Result<(), CliError> {
    match &args.command {
        None => list(client, &args.page, console).await,
        Some(GoalsCommand::List { page }) => list(client, page, console).await,
        Some(GoalsCommand::Show { id }) => show(&read(client, *id).await?, console),
        Some(GoalsCommand::Create { objective, approval }) => {
            let mut goal = json!({ "objective": objective });
            if let Some(approval) = approval {
                goal["approval"] = Value::from(approval.as_str());
            }
            report(&client.post("v1/goals", &goal).await?, console)
        }
        Some(GoalsCommand::Approve { id, yes }) => approve(client, *id, *yes, console).await,
        Some(GoalsCommand::Cancel { id }) => {
            report(&client.post(&format!("v1/goals/{id}/cancel"), &json!({})).await?, console)
        }
        Some(GoalsCommand::Retry { id, step }) => {
            // The step's id is a part of the path, so it must not lead to another one.
            if !domain::goal::is_step_id(step) {
                return Err(CliError::Usage("the id of a step has letters, digits, `_`, `-` and `.` only".to_owned()));
            }
            report(&client.post(&format!("v1/goals/{id}/steps/{step}/retry"), &json!({})).await?, console)
        }
    }
}

async fn read(client: &Client, id: Uuid) -> Result<Value, CliError> {
    client.get(&format!("v1/goals/{id}"), &Query::default()).await
}

async fn list(client: &Client, args: &PageArgs, console: &mut Console) -> Result<(), CliError> {
    let all = args.all;
    show_pages(client, "v1/goals", Query::default(), args, |page| {
        let mut goals = page["data"].as_array().into_iter().flatten();
        match (console.is_json(), all) {
            (true, true) => return goals.try_for_each(|goal| console.json(goal)),
            (true, false) => return console.json(page),
            (false, _) => {}
        }
        let mut table = Table::new(&["id", "status", "created", "objective"]);
        for goal in goals {
            let text = |name: &str| goal[name].as_str().unwrap_or("-").to_owned();
            let objective = to_single_line(&text("objective")).chars().take(MAX_LISTED_CHARS).collect();
            table.push_row([text("id"), text("status"), text("created_at"), objective]);
        }
        console.table(&table)?;
        note_next_page(page, all, console);
        Ok(())
    })
    .await
}

fn show(goal: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(goal);
    }
    console.line(&describe(goal))
}

/// Approves exactly the version that was shown.
async fn approve(client: &Client, id: Uuid, yes: bool, console: &mut Console) -> Result<(), CliError> {
    let goal = read(client, id).await?;
    console.note(&describe(&goal));
    if !yes {
        confirm("Execute this plan?", console)?;
    }
    let version = json!({ "version": goal["plan"]["version"].as_u64().unwrap_or_default() });
    report(&client.post(&format!("v1/goals/{id}/approve"), &version).await?, console)
}

fn report(goal: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(goal);
    }
    let text = |name: &str| goal[name].as_str().unwrap_or("?");
    console.line(&format!("{} is {}", text("id"), text("status")))
}

/// The goal with its plan, line by line.
fn describe(goal: &Value) -> String {
    let text = |value: &Value| value.as_str().map(to_single_line).unwrap_or_default();
    let mut lines = vec![
        format!("goal:      {}", text(&goal["id"])),
        format!("status:    {}", text(&goal["status"])),
        format!("objective: {}", text(&goal["objective"])),
    ];
    if let Some(code) = goal["error"]["code"].as_str() {
        lines.push(format!("error:     {code}: {}", text(&goal["error"]["detail"])));
    }
    if goal["plan"].is_object() {
        lines.push(format!("plan:      version {}", goal["plan"]["version"]));
    }
    for step in goal["plan"]["steps"].as_array().into_iter().flatten() {
        let after: Vec<_> = step["depends_on"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
        lines.push(format!(
            "  {} [{}] {} ({}{after})",
            text(&step["id"]),
            text(&step["status"]),
            text(&step["title"]),
            text(&step["agent"])
        ));
        lines.push(format!("    {}", text(&step["instruction"])));
        if let Some(code) = step["error"]["code"].as_str() {
            lines.push(format!("    {code}: {}", text(&step["error"]["detail"])));
        }
    }
    if let Some(result) = goal["result"].as_str() {
        lines.push(format!("result:\n{result}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_described_with_its_steps_and_their_errors() {
        let goal = json!({
            "id": "1", "status": "failed", "objective": "Compare\nthe limits.", "result": null,
            "error": { "code": "tool_not_used", "detail": "The step b failed." },
            "plan": { "version": 2, "steps": [
                { "id": "a", "title": "Find", "agent": "document_analyst", "instruction": "Find it.", "depends_on": [],
                  "status": "succeeded" },
                { "id": "b", "title": "Add", "agent": "calculator", "instruction": "1 + 1", "depends_on": ["a"],
                  "status": "failed", "error": { "code": "tool_not_used", "detail": "No tool." } },
            ] },
        });
        let text = describe(&goal);
        for part in
            ["version 2", "a [succeeded] Find", "calculator, after a", "tool_not_used: No tool.", "step b failed"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("Compare\nthe"), "{text}");
    }
}
