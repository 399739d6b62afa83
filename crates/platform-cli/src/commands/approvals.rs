//! `approvals`: lists and shows requests for writes to plant systems, decides on them and withdraws them.

use super::docs::note_next_page;
use super::{connect, sign_in};
use crate::api::{Client, Query, show_pages};
use crate::args::{ApprovalListArgs, ApprovalsCommand, DecisionArgs, GlobalOptions};
use crate::error::CliError;
use crate::terminal::{Console, Table, to_single_line};
use domain::approval::ApproverVerdict;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use uuid::Uuid;

/// Runs a command on approvals.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(options: &GlobalOptions, command: &ApprovalsCommand, console: &mut Console) -> Result<(), CliError> {
    match command {
        ApprovalsCommand::List(args) => list(&connect(options)?, args, console).await,
        ApprovalsCommand::Show { id } => {
            let approval = read(&connect(options)?, *id).await?;
            show(&approval, console)
        }
        ApprovalsCommand::Approve(args) => decide(options, ApproverVerdict::Approve, args, console).await,
        ApprovalsCommand::Reject(args) => decide(options, ApproverVerdict::Reject, args, console).await,
        ApprovalsCommand::Cancel { id, yes } => {
            let client = connect(options)?;
            let approval = read(&client, *id).await?;
            console.note(&describe(&approval));
            if !yes {
                confirm("Withdraw this request?", console)?;
            }
            let cancelled = client.post(&format!("v1/approvals/{id}/cancel"), &json!({})).await?;
            report(&cancelled, console)
        }
    }
}

async fn read(client: &Client, id: Uuid) -> Result<Value, CliError> {
    client.get(&format!("v1/approvals/{id}"), &Query::default()).await
}

async fn list(client: &Client, args: &ApprovalListArgs, console: &mut Console) -> Result<(), CliError> {
    let mut query = Query::default();
    query.add("status", args.status.as_ref());
    query.add("role", args.role.as_ref());
    let all = args.page.all;
    show_pages(client, "v1/approvals", query, &args.page, |page| {
        let mut approvals = page["data"].as_array().into_iter().flatten();
        match (console.is_json(), all) {
            (true, true) => return approvals.try_for_each(|approval| console.json(approval)),
            (true, false) => return console.json(page),
            (false, _) => {}
        }
        let mut table = Table::new(&["id", "status", "tool", "target", "requested by", "expires"]);
        for approval in approvals {
            let names = ["id", "status", "tool", "target", "requested_by", "expires_at"];
            table.push_row(names.map(|name| approval[name].as_str().unwrap_or("-").to_owned()));
        }
        console.table(&table)?;
        note_next_page(page, all, console);
        Ok(())
    })
    .await
}

fn show(approval: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(approval);
    }
    console.line(&describe(approval))
}

/// Decides on exactly what was read: the digest that is sent is that of the request which was shown, or the one that
/// the user passed.
async fn decide(
    options: &GlobalOptions,
    verdict: ApproverVerdict,
    args: &DecisionArgs,
    console: &mut Console,
) -> Result<(), CliError> {
    let client = connect(options)?;
    let approval = read(&client, args.id).await?;
    console.note(&describe(&approval));
    if args.digest.is_none() && !args.yes {
        let question = match verdict {
            ApproverVerdict::Approve => "Approve exactly this?",
            ApproverVerdict::Reject => "Reject this?",
        };
        confirm(question, console)?;
    }
    let digest = args.digest.as_deref().or(approval["digest"].as_str());
    let mut decision = json!({ "decision": verdict, "digest": digest });
    if let Some(comment) = &args.comment {
        decision["comment"] = Value::from(comment.as_str());
    }
    let path = format!("v1/approvals/{}/decision", args.id);
    let decided = match client.post(&path, &decision).await {
        Err(CliError::StepUpRequired(text)) => {
            if !sign_in::can_sign_in_again(options, args.no_browser)? {
                return Err(CliError::StepUpRequired(text));
            }
            console.note("the platform asks for a more recent sign-in");
            sign_in::sign_in_again(options, args.no_browser, console).await?;
            connect(options)?.post(&path, &decision).await?
        }
        result => result?,
    };
    report(&decided, console)
}

fn report(approval: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(approval);
    }
    let text = |name: &str| approval[name].as_str().unwrap_or("?");
    console.line(&format!("{} is {}", text("id"), text("status")))
}

/// Asks on the terminal.
///
/// # Errors
/// If the user does not agree, or there is no terminal.
pub(super) fn confirm(question: &str, console: &Console) -> Result<(), CliError> {
    if !std::io::stdin().is_terminal() {
        let text = "standard input is not a terminal: pass --yes, or the --digest that you have read";
        return Err(CliError::Usage(text.to_owned()));
    }
    console.note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| CliError::failed_locally("cannot read standard input", error))?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::Failed("not confirmed: nothing was sent".to_owned()))
}

/// What approvers agree to, line by line: who asks for what, what it will do, the exact arguments, the digest.
fn describe(approval: &Value) -> String {
    let mut lines = Vec::new();
    for name in ["id", "status", "tool", "target", "requested_by", "reason", "created_at", "expires_at", "digest"] {
        if let Some(value) = approval[name].as_str() {
            // On one line: a value must not look like another field.
            let value = to_single_line(value);
            lines.push(format!("{:13} {value}", format!("{}:", name.replace('_', " "))));
        }
    }
    let decisions = approval["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let approvals = decisions.iter().filter(|decision| decision["decision"] == "approve").count();
    lines.push(format!("{:13} {approvals} of {}", "approvals:", approval["required"]));
    for decision in decisions {
        let text = |name: &str| decision[name].as_str().unwrap_or_default();
        let comment = decision["comment"].as_str().map(|comment| format!(": {}", to_single_line(comment)));
        let comment = comment.unwrap_or_default();
        lines.push(format!("{:13} {} by {} at {}{comment}", "", text("decision"), text("by"), text("at")));
    }
    for name in ["preview", "arguments", "result", "error"] {
        if !approval[name].is_null() {
            lines.push(format!("{name}:\n{:#}", approval[name]));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_agreed_to_is_described() {
        let approval = json!({
            "id": "1", "status": "pending", "tool": "plant_system_write", "target": "P-101A", "requested_by": "2",
            "reason": null, "digest": "sha256:00", "required": 2, "result": null,
            "decisions": [{ "by": "3", "decision": "approve", "comment": "Read.", "at": "2026-12-01T00:00:00Z" }],
            "preview": { "after": { "title": "Replace the seal" } }, "arguments": { "priority": 2 },
        });
        let text = describe(&approval);
        for part in ["P-101A", "sha256:00", "1 of 2", "approve by 3", ": Read.", "\"priority\": 2", "Replace the seal"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("reason") && !text.contains("result"), "{text}");
    }
}
