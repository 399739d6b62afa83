//! The README's examples for the HTTP API, run by a shell against the platform. `cli.rs` runs those of the command
//! line.

use crate::support::api_client::{ApiClient, answer_text, complete_events};
use crate::support::app::{TENANT_A, TestApp};
use crate::support::cli::{Cli, Output};
use crate::support::files;
use domain::role::Role;
use serde_json::{Value, json};
use std::path::Path;

/// A shell that runs examples, each with the variables that the first paragraph sets.
struct Shell {
    cli: Cli,
    setup: String,
}

impl Shell {
    /// Runs the commands and returns what they print.
    async fn run(&self, commands: &str) -> String {
        let script = format!("set -eux\nPATH=$PWD:$PATH\n{}\n{commands}", self.setup);
        let shell = self.cli.program(Path::new("bash")).args(["-o", "pipefail", "-c", &script]).spawn();
        Output::wait_for(shell.expect("bash")).await.expect(0).out
    }

    /// Runs commands that print one JSON document.
    async fn run_json(&self, commands: &str) -> Value {
        let out = self.run(commands).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

/// The names of the documents that a search finds.
fn found_documents(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().expect("results");
    results.iter().filter_map(|result| result["doc"].as_str()).collect()
}

/// Sends the search of the README, also for replaced documents.
async fn search_superseded(user: &ApiClient<'_>) -> Value {
    let body = json!({ "query": "oil of C-410", "filters": { "include_superseded": true } });
    user.post("/v1/search", &body).await.expect_json(200)
}

#[tokio::test]
async fn every_http_example_of_the_readme_works() {
    let app = TestApp::start(&[]).await;
    let user = app.caller(TENANT_A, "reader", Role::User);
    let cli = Cli::signed_out(&app);
    let note = |months: u32| format!("# Oil of C-410\n\nThe oil of C-410 is changed every {months} months.\n");
    cli.write("note.md", note(6).as_bytes());
    cli.write("note-2.md", note(4).as_bytes());
    // A fake `cargo` prints a token of the platform under test. The commands run unchanged, except for the URL.
    let token = app.token(TENANT_A, "reader", Role::User);
    cli.write("cargo", format!("#!/bin/sh\n[ \"$1 $2\" = 'xtask token' ] && echo {token}\n").as_bytes());
    let commands = files::readme_commands("## Your own document");
    assert!(commands.contains("http://127.0.0.1:8000"), "{commands}");
    let commands = commands.replace("http://127.0.0.1:8000", &app.base_url);
    let paragraphs: Vec<&str> = commands.split("\n\n").collect();
    let [setup, upload, list, revise, search, chat] = paragraphs.as_slice() else {
        panic!("the README has other examples than those that this test checks: {paragraphs:#?}")
    };
    let shell = Shell { cli, setup: format!("chmod +x cargo\n{setup}") };

    let uploaded = shell.run_json(upload).await;
    assert_eq!(uploaded["status"], "processing", "{uploaded}");
    let old_id = uploaded["document_id"].as_str().expect("an id");
    user.wait_until_ingested(old_id).await;
    let listed = shell.run_json(list).await;
    let document = &listed["data"][0];
    assert_eq!((&document["id"], &document["status"]), (&json!(old_id), &json!("ready")), "{listed}");
    assert_eq!((&document["tags"], &document["error"]), (&json!(["compressor"]), &Value::Null), "{listed}");

    let revised = shell.run_json(revise).await;
    let new_id = revised["document_id"].as_str().expect("an id");
    let new_document = user.wait_until_ingested(new_id).await;
    assert_eq!((&new_document["revision"], &new_document["supersedes"]), (&json!("B"), &json!(old_id)));
    let found = shell.run_json(search).await;
    assert_eq!(found_documents(&found), ["note-2.md"], "{found}");
    for field in ["doc", "page", "section", "content"] {
        assert!(found["results"][0].get(field).is_some(), "{field}: {found}");
    }
    let both = search_superseded(&user).await;
    let mut names = found_documents(&both);
    names.sort_unstable();
    assert_eq!(names, ["note-2.md", "note.md"], "{both}");

    let events = complete_events(shell.run(chat).await.as_bytes());
    assert_eq!(events.first().map(|event| event.name.as_str()), Some("run.started"), "{events:?}");
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("run.finished"), "{events:?}");
    let answer = answer_text(&events);
    assert!(answer.contains("every 4 months") && answer.contains("[1]"), "{answer}");
    let without_stream = shell.run_json(&chat.replace("{\"message\"", "{\"stream\": false, \"message\"")).await;
    assert!(without_stream["content"].as_str().is_some_and(|text| text.contains("every 4 months")), "{without_stream}");
}
