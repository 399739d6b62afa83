//! `platform chat`: streamed answers, their sources, continued conversations, and cancellation.

use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TestApp};
use crate::support::cli::{Cli, Output};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

const QUESTION: &str = "How often is the strainer of L-201 cleaned?";

/// The newest conversation of a caller, with its messages.
async fn newest_conversation(user: &ApiClient<'_>) -> Value {
    let listed = user.get("/v1/conversations?limit=1").await.expect_json(200);
    let id = listed["data"][0]["id"].as_str().expect("a conversation").to_owned();
    user.get(&format!("/v1/conversations/{id}")).await.expect_json(200)
}

/// Reads standard output until it contains `text`; returns what was read.
async fn read_until(child: &mut Child, text: &str) -> String {
    let out = child.stdout.as_mut().expect("piped");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let result = tokio::time::timeout(Duration::from_secs(30), out.read_buf(&mut read)).await.expect("in time");
        assert_ne!(
            result.expect("readable"),
            0,
            "the output ended before {text:?}: {}",
            String::from_utf8_lossy(&read)
        );
    }
    String::from_utf8(read).expect("UTF-8")
}

/// Sends SIGINT, as Ctrl-C does on a terminal.
fn interrupt(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().is_ok_and(|status| status.success()));
}

#[tokio::test]
async fn an_answer_names_its_sources_and_its_conversation_can_be_continued() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "lena", Role::User);
    user.ingest("l-201.md", &files::note("L-201"), &[("tags", "l-notes")]).await;
    let answer = cli.run(&["chat", QUESTION, "--tag", "l-notes"]).await.expect(0);
    assert!(answer.out.contains("every 14 days") && answer.out.contains("[1]"), "{answer:#?}");
    let sources = answer.out.split_once("\n\nSources:\n").expect("sources below the answer").1;
    assert_eq!(sources.lines().next(), Some("[1] l-201.md (Note on L-201)"), "{sources}");
    let id = answer.err.trim().rsplit(' ').next().expect("the conversation's id");
    assert_eq!(newest_conversation(&user).await["id"], id);

    let document = note_document_id(&user).await;
    let follow_up_args = ["chat", "--conversation", id, "--document", &document, QUESTION];
    assert_eq!(cli.run(&follow_up_args).await.expect(0).err, "");
    let piped = cli.run_with_input(&["chat", "--continue", "--output", "json"], QUESTION).await.expect(0).json();
    assert_eq!((&piped["conversation_id"], &piped["finish_reason"]), (&json!(id), &json!("stop")));
    assert_eq!(piped["citations"][0]["doc"], "l-201.md");
    assert!(piped["content"].as_str().is_some_and(|text| text.contains("every 14 days")), "{piped}");
    assert_eq!(newest_conversation(&user).await["messages"].as_array().map(Vec::len), Some(6));

    let listed = cli.run(&["conversations", "--limit", "1"]).await.expect(0);
    assert!(listed.out.starts_with(id), "{listed:#?}");
    let shown = cli.run(&["conversations", "get", id]).await.expect(0).out;
    assert!(shown.contains(QUESTION) && shown.contains("[1] l-201.md (Note on L-201)"), "{shown}");
    cli.run(&["chat", "--conversation", "0197b2c0-7c1e-7000-8000-000000000001", "x"]).await.expect(1);
}

async fn note_document_id(user: &ApiClient<'_>) -> String {
    let listed = user.get("/v1/documents?tag=l-notes").await.expect_json(200);
    listed["data"][0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn ctrl_c_cancels_the_run_at_the_server() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("The strainer is ", "cleaned.")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (cli, user) = Cli::signed_in(&app, TENANT_A, "lena", Role::User);
    for format in ["text", "json"] {
        let mut child = cli.command(&["chat", "--output", format, QUESTION]).spawn().expect("it starts");
        if format == "text" {
            let shown = read_until(&mut child, "The strainer is ").await;
            assert!(!shown.contains('\n'), "the words are shown before the line is complete: {shown:?}");
        } else {
            wait_until_streaming(&user).await;
        }
        let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id().expect("it runs"))).expect("Linux");
        assert!(!String::from_utf8_lossy(&arguments).contains(&app.token(TENANT_A, "lena", Role::User)[..20]));
        interrupt(&child);
        let ended = Output::wait_for(child).await.expect(130);
        assert!(ended.err.contains("cancelled"), "{ended:#?}");
        let messages = newest_conversation(&user).await["messages"].clone();
        assert_eq!(messages[1]["status"], "cancelled");
        if format == "text" {
            assert_eq!(messages[1]["content"], "The strainer is ");
        }
        if format == "json" {
            assert_eq!(ended.json()["finish_reason"], "cancelled");
        }
    }
}

/// Waits until the answer to the first question of the newest conversation is being written.
async fn wait_until_streaming(user: &ApiClient<'_>) {
    eventually_within(Duration::from_secs(30), "an answer is being written", || async {
        let listed = user.get("/v1/conversations?limit=1").await.expect_json(200);
        let id = listed["data"][0]["id"].as_str()?.to_owned();
        let conversation = user.get(&format!("/v1/conversations/{id}")).await.expect_json(200);
        (conversation["messages"][1]["status"] == "streaming").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_closed_output_pipe_ends_the_run_without_an_error() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("first ", "second")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (cli, user) = Cli::signed_in(&app, TENANT_A, "lena", Role::User);
    let script = "{ platform chat \"$0\"; echo \"code $?\" >&2; } | { head -c 5; exec <&-; echo; echo gone; }";
    let mut shell = cli.program(Path::new("sh"));
    let mut child = shell.args(["-c", script, QUESTION]).spawn().expect("sh");
    read_until(&mut child, "gone").await;
    model.resume_one_reply();
    let ended = Output::wait_for(child).await.expect(0);
    assert_eq!(ended.err, "code 0\n");
    let status = newest_conversation(&user).await["messages"][1]["status"].clone();
    assert!(status == "cancelled" || status == "complete", "{status}");
}

#[tokio::test]
async fn an_interrupted_answer_is_shown_and_followed_by_an_error() {
    let model = ModelServer::start_with_default(Reply::Interrupt("The strainer is")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (cli, _) = Cli::signed_in(&app, TENANT_A, "lena", Role::User);
    let broken = cli.run(&["chat", QUESTION]).await.expect(1);
    assert_eq!(broken.out, "The strainer is\n");
    assert!(broken.err.contains("error: "), "{broken:#?}");
}

#[tokio::test]
async fn a_document_cannot_control_the_terminal() {
    let model = ModelServer::start_with_default(Reply::Text(vec!["red \u{1b}[31m", "bell \u{7}", "end"])).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (cli, _) = Cli::signed_in(&app, TENANT_A, "lena", Role::User);
    let answer = cli.run(&["chat", "--retrieval", "never", QUESTION]).await.expect(0);
    assert_eq!(answer.out, "red \u{fffd}[31mbell \u{fffd}end\n");
    assert!(!answer.err.contains('\u{1b}'), "no colors in a pipe: {:?}", answer.err);
}

/// A Python script that runs `platform chat` on a pseudo-terminal, asks a question, ends the chat with Ctrl-D or
/// Ctrl-C, and prints what was shown.
const TERMINAL_SCRIPT: &str = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('platform', ['platform', 'chat', '--tag', 'l-terminal'])
shown, seen = b'', 0
def read_until(text):
    global shown, seen
    while (found := shown.find(text, seen)) < 0:
        shown += os.read(terminal, 4096)
    seen = found + len(text)
read_until(b'> ')
os.write(terminal, sys.argv[1].encode() + b'\\r')
read_until(b'Sources:')
read_until(b'> ')
os.write(terminal, b'\\x04' if sys.argv[2] == 'end' else b'\\x03')
try:
    while chunk := os.read(terminal, 4096):
        shown += chunk
except OSError:
    pass
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[tokio::test]
async fn chat_is_interactive_on_a_terminal() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "lino", Role::User);
    user.ingest("l-202.md", &files::note("L-202"), &[("tags", "l-terminal")]).await;
    let question = "How often is the strainer of L-202 cleaned?";
    for (ending, code) in [("end", 0), ("interrupt", 130)] {
        let mut python = cli.program(Path::new("python3"));
        python.args(["-c", TERMINAL_SCRIPT, question, ending]).env("TERM", "xterm").stdin(Stdio::null());
        let ended =
            tokio::time::timeout(Duration::from_secs(60), Output::wait_for(python.spawn().expect("python3"))).await;
        let ended = ended.expect("it ends in time").expect(code);
        assert!(ended.out.contains("every 14 days") && ended.out.contains("l-202.md"), "{ended:#?}");
        assert!(ended.out.contains("\u{1b}[1mSources:"), "bold on a terminal: {ended:#?}");
        assert!(ended.out.contains("platform chat --conversation"), "{ended:#?}");
    }
    let mut python = cli.program(Path::new("python3"));
    python.args(["-c", TERMINAL_SCRIPT, question, "end"]).env("TERM", "xterm").env("NO_COLOR", "1");
    let plain = Output::wait_for(python.spawn().expect("python3")).await.expect(0);
    assert!(!plain.out.contains("\u{1b}[1m") && plain.out.contains("Sources:"), "{plain:#?}");
}
