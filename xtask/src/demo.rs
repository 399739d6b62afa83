//! The demo at the end of `up`: seeds the sample plant, asks one question, and prints an address, a token and a command
//! to try next.

use anyhow::{Result, bail};

use crate::proc::{self, Interrupt};
use crate::progress::{StepProgress, print_status};
use crate::seed;
use crate::server::Server;
use crate::token::{self, Role, TokenRequest};

const DEMO_TOKEN_REQUEST: TokenRequest<'static> =
    TokenRequest { tenant: "demo-plant", user: "tunde", role: Role::User, ttl: "12h", auth_age: None, grant: None };
const QUESTION: &str = "What torque do the casing tie bolts of P-101A get?";

/// Seeds the sample plant, waits for its documents, asks the question, and prints address, token and next command. An
/// unanswered question is reported but is not an error.
///
/// # Errors
/// If the server rejects the plant, its documents or the token.
pub fn run(server: &Server, address: &str, token_command: &str, interrupt: &Interrupt) -> Result<()> {
    proc::run_checked(&mut seed::command(server, None)?, interrupt, "seeding the sample plant")?;
    wait_for_ingestion(server, interrupt)?;
    println!("\nQuestion: {QUESTION}\n");
    if !proc::run(&mut server.command(&["dev", "ask", "--question", QUESTION]), interrupt)?.success() {
        print_status("the question was not answered; the server's log shows the reason");
    }
    let token = token::issue(server, DEMO_TOKEN_REQUEST, interrupt)?;
    let command_line = server.command_line().display().to_string();
    println!("{}", next_steps(address, &token, Commands { command_line: &command_line, token: token_command }));
    Ok(())
}

/// Waits until the documents are ingested, and shows the progress.
fn wait_for_ingestion(server: &Server, interrupt: &Interrupt) -> Result<()> {
    let mut steps = StepProgress::new(&[("ingested", "ingesting the documents")]);
    let mut wait_command = server.command(&["dev", "wait"]);
    let status = proc::run_lines(&mut wait_command, interrupt, |line| steps.on_line(line))?;
    if !status.success() {
        bail!("the documents were not all ingested ({status})");
    }
    Ok(())
}

/// Commands as they are printed.
struct Commands<'a> {
    /// The platform's command line.
    command_line: &'a str,
    /// What prints a token, without its arguments.
    token: &'a str,
}

fn next_steps(address: &str, token: &str, commands: Commands<'_>) -> String {
    let Commands { command_line, token: token_command } = commands;
    let TokenRequest { tenant, user, ttl, .. } = DEMO_TOKEN_REQUEST;
    format!(
        "\nAddress: {address} (in a browser: the console; API documentation: {address}/docs)\n\
         Token of the user {user} of tenant {tenant}, valid for {ttl}:\n\n{token}\n\n\
         Try next:\n\n\
         curl -s {address}/v1/search -H 'Content-Type: application/json' \\\n  \
         -H 'Authorization: Bearer {token}' \\\n  \
         -d '{{\"query\": \"how long may FV-2003 stay on its bypass\"}}'\n\n\
         or, with PLATFORM_URL={address} and the token as PLATFORM_TOKEN in the environment:\n\n\
         {command_line} chat 'How long may FV-2003 stay on its bypass?'\n\n\
         A reading beside the manual:\n\n\
         {command_line} chat 'What is the discharge pressure of P-101 now, and is that normal?'\n\n\
         A write that people approve: ask for a work order as the admin ana, approve it as ines.\n\n\
         curl -s {address}/v1/tools/plant_system_write/invoke -H 'Content-Type: application/json' \\\n  \
         -H \"Authorization: Bearer $({token_command} --tenant {tenant} --user ana --role admin)\" \\\n  \
         -d '{{\"arguments\": {{\"action\": \"create_work_order\", \"target\": \"P-101A\", \"data\": {{\"title\": \
         \"Replace the seal\", \"description\": \"It leaks.\", \"priority\": 2}}}}}}'\n\
         curl -s {address}/v1/approvals?status=pending \\\n  \
         -H \"Authorization: Bearer $({token_command} --tenant {tenant} --user ines --role user)\"\n\n\
         Then POST {{\"decision\": \"approve\", \"digest\": …}} to /v1/approvals/ID/decision with a new token of ines, \
         and GET /v1/work-orders."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_demo_uses_a_user_and_a_question_of_the_sample_plant() {
        let plant = fs::read_to_string(seed::plant_dir().unwrap().join("plant.json")).unwrap();
        let plant: serde_json::Value = serde_json::from_str(&plant).unwrap();
        assert_eq!(plant["tenant"]["slug"], DEMO_TOKEN_REQUEST.tenant);
        let users = plant["users"].as_array().unwrap();
        assert!(
            users
                .iter()
                .any(|user| user["name"] == DEMO_TOKEN_REQUEST.user && user["role"] == DEMO_TOKEN_REQUEST.role.name())
        );
        let questions = fs::read_to_string(seed::plant_dir().unwrap().join("questions.json")).unwrap();
        assert!(questions.contains(QUESTION), "the question has no expected answer");
    }

    #[test]
    fn the_token_is_alone_on_its_line() {
        let commands = Commands {
            command_line: "target/release/platform",
            token: &token::command_text(Some(std::path::Path::new("/srv/plant"))),
        };
        let text = next_steps("http://127.0.0.1:8000", "ey.J.x", commands);
        assert!(text.contains("$(cargo xtask token --data-dir '/srv/plant' --tenant demo-plant --user ana"), "{text}");
        assert!(text.lines().any(|line| line == "ey.J.x"), "{text}");
        assert!(text.contains("curl -s http://127.0.0.1:8000/v1/search"));
        assert!(text.contains("\ntarget/release/platform chat "), "{text}");
        assert!(QUESTION.ends_with('?'));
    }
}
