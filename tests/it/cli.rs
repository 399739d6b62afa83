//! The command line `platform`: documents, searches, the audit log, exit codes and machine-readable output.

use crate::support::app::{TENANT_A, TestApp, free_port};
use crate::support::cli::{Cli, Output};
use crate::support::files;
use domain::role::Role;
use serde_json::{Value, json};
use std::path::Path;

const MISSING_ID: &str = "0197b2c0-7c1e-7000-8000-000000000001";

fn id_of(document: &Value) -> &str {
    document["id"].as_str().expect("an id")
}

#[tokio::test]
async fn documents_are_uploaded_until_they_are_ready_listed_shown_and_deleted() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "clara", Role::User);
    cli.write("k-101.md", &files::note("K-101"));
    cli.write("k-102.md", &files::note("K-102"));
    let uploaded = cli.run(&["docs", "upload", "--tag", "k-notes", "k-101.md", "k-102.md"]).await.expect(0);
    let rows: Vec<Vec<&str>> = uploaded.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        rows.iter().map(|row| (row[1], row[2])).collect::<Vec<_>>(),
        [("ready", "k-101.md"), ("ready", "k-102.md")]
    );
    assert_eq!(uploaded.err, "", "no progress bar or spinner in a pipe");
    let id = rows[0][0];
    let document = user.get(&format!("/v1/documents/{id}")).await.expect_json(200);
    assert_eq!((&document["status"], &document["tags"]), (&json!("ready"), &json!(["k-notes"])));

    let listed = cli.run(&["docs", "list", "--tag", "k-notes", "--status", "ready"]).await.expect(0);
    assert_eq!(listed.out.lines().count(), 2, "{listed:#?}");
    let page =
        cli.run(&["docs", "list", "--tag", "k-notes", "--limit", "1", "--output", "json"]).await.expect(0).json();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(1), &json!(true)));
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let next_page_args = ["docs", "list", "--tag", "k-notes", "--cursor", cursor, "--output", "json"];
    assert_eq!(id_of(&cli.run(&next_page_args).await.expect(0).json()["data"][0]), id);
    let all =
        cli.run(&["docs", "list", "--tag", "k-notes", "--limit", "1", "--all", "--output", "json"]).await.expect(0);
    assert_eq!(all.json_lines().len(), 2);

    let shown = cli.run(&["docs", "get", id]).await.expect(0);
    assert!(shown.out.contains("k-101.md") && shown.out.contains("tags:             k-notes"), "{}", shown.out);
    assert_eq!(cli.run(&["docs", "get", id, "--output", "json"]).await.expect(0).json(), document);
    let bytes = cli.run(&["docs", "get", id, "--download", "-"]).await.expect(0).out;
    assert_eq!(bytes.as_bytes(), files::note("K-101"));
    cli.run(&["docs", "get", id, "--download", "copy.md"]).await.expect(0);
    assert_eq!(files::read(&cli.home().join("copy.md")), files::note("K-101"));

    let deleted = cli.run(&["docs", "delete", id, rows[1][0]]).await.expect(0);
    assert_eq!(deleted.out.lines().count(), 2);
    cli.run(&["docs", "get", id]).await.expect(1);
    user.get(&format!("/v1/documents/{id}")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_unreadable_file_is_reported_with_its_reason_and_does_not_stop_the_others() {
    let app = TestApp::shared().await;
    let (cli, _) = Cli::signed_in(app, TENANT_A, "clara", Role::User);
    cli.write("broken.pdf", b"%PDF-1.7\nnothing of a document\n");
    cli.write("k-103.md", &files::note("K-103"));
    let output =
        cli.run(&["docs", "upload", "--output", "json", "missing.md", "broken.pdf", "k-103.md"]).await.expect(1);
    let documents = output.json_lines();
    assert_eq!(
        documents.iter().map(|document| &document["status"]).collect::<Vec<_>>(),
        ["failed", "ready"],
        "{output:#?}"
    );
    assert_eq!(documents[0]["error"]["code"], "corrupt");
    assert!(output.err.contains("missing.md") && output.err.contains("2 files"), "{}", output.err);
    let text = cli.run(&["docs", "upload", "broken.pdf"]).await.expect(1);
    let reason = documents[0]["error"]["detail"].as_str().expect("a reason");
    assert!(text.out.contains(reason), "{}", text.out);
}

#[tokio::test]
async fn a_search_shows_the_document_of_each_passage() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "clara", Role::User);
    user.ingest("k-104.md", &files::note("K-104"), &[("tags", "k-search")]).await;
    let search_args = ["search", "strainer of K-104", "--tag", "k-search", "--top-k", "1"];
    let text = cli.run(&search_args).await.expect(0);
    assert!(text.out.starts_with("1. k-104.md (Note on K-104)") && text.out.contains("every 14 days"), "{}", text.out);
    let results = cli.run(&[&search_args[..], &["--output", "json"]].concat()).await.expect(0).json();
    assert_eq!((&results["results"][0]["doc"], &results["answerable"]), (&json!("k-104.md"), &json!(true)));
    let nothing = cli.run(&["search", "strainer", "--tag", "no-such-tag"]).await.expect(0);
    assert_eq!((nothing.out.as_str(), nothing.err.trim()), ("", "nothing was found"));
}

#[tokio::test]
async fn the_audit_log_is_filtered_and_read_page_by_page() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "carl", Role::User);
    for _ in 0..3 {
        cli.run(&["whoami"]).await.expect(0);
        cli.run(&["search", "audited"]).await.expect(0);
    }
    let me = user.get("/v1/me").await.expect_json(200);
    let user_id = me["id"].as_str().expect("an id");
    let audit_args = ["audit", "--user-id", user_id, "--from", "2020-01-01", "--limit", "2"];
    let page = cli.run(&[&audit_args[..], &["--output", "json"]].concat()).await.expect(0).json();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(2), &json!(true)));
    let all = cli.run(&[&audit_args[..], &["--all", "--output", "json"]].concat()).await.expect(0).json_lines();
    assert!(all.len() > 3 && all.iter().all(|row| row["user_id"] == user_id), "{all:#?}");
    let event = all[0]["event_type"].as_str().expect("an event");
    let text = cli.run(&["audit", "--event-type", event, "--result-status", "success"]).await.expect(0);
    let cells: Vec<_> = text.out.lines().next().expect("a row").split('\t').collect();
    assert_eq!((cells.len(), cells[1], cells[3]), (7, event, "success"), "{}", text.out);
    assert_eq!(cli.run(&["audit", "--from", "2999-01-01"]).await.expect(0).out, "");
}

#[tokio::test]
async fn each_kind_of_error_has_its_exit_code() {
    let app = TestApp::shared().await;
    let (cli, _) = Cli::signed_in(app, TENANT_A, "clara", Role::User);
    assert!(cli.run(&["whoami"]).await.expect(0).out.contains(" (user) of the tenant plant-a"));
    let absent = cli.run(&["docs", "get", MISSING_ID]).await.expect(1);
    assert!(absent.err.contains("not_found") && absent.out.is_empty(), "{absent:#?}");
    for invalid_args in [
        &["docs", "get", "no-id"][..],
        &[],
        &["docs", "upload"],
        &["search"],
        &["docs", "upload", "--classification", "secret", "x"],
        &["audit", "--from", "yesterday"],
        &["whoami", "--url", "http://plant.example"],
        &["whoami", "--ca-file", "missing.pem"],
        &["chat", " "],
    ] {
        cli.run(invalid_args).await.expect(2);
    }
    let stranger = Cli::signed_out(app);
    assert!(stranger.run(&["whoami"]).await.expect(3).err.contains("platform login"));
    stranger.run(&["login"]).await.expect(2);
    Cli::with_token(app, "garbage").run(&["whoami"]).await.expect(3);
    let (viewer, _) = Cli::signed_in(app, TENANT_A, "vera", Role::Viewer);
    viewer.write("note.md", &files::note("K-105"));
    let refused = viewer.run(&["docs", "upload", "note.md"]).await.expect(4);
    assert!(refused.err.starts_with("error: ") && refused.out.is_empty(), "{refused:#?}");
    let unreachable_url = format!("http://127.0.0.1:{}", free_port());
    let unreachable = cli.run(&["whoami", "--url", &unreachable_url]).await.expect(5);
    assert!(unreachable.err.contains("not reachable") && unreachable.err.contains("refused"), "{}", unreachable.err);
}

#[tokio::test]
async fn help_and_messages_never_contain_the_token() {
    let app = TestApp::shared().await;
    let secret = "a-secret-token-of-nobody";
    let cli = Cli::with_token(app, secret);
    let commands = [
        &["--help"][..],
        &["login", "--help"],
        &["chat", "--help"],
        &["docs", "upload", "--help"],
        &["whoami"],
        &["search", "x"],
        &["nonsense"],
        &["man"],
        &["completions", "bash"],
        &["whoami", "--url", "http://127.0.0.1:1"],
    ];
    for command in commands {
        let Output { out, err, .. } = cli.run(command).await;
        assert!(!out.contains(secret) && !err.contains(secret), "{command:?}: {out}{err}");
    }
    let broken = Cli::with_token(app, "a secret of two words");
    let refused = broken.run(&["whoami"]).await.expect(2);
    assert!(!refused.err.contains("secret"), "{}", refused.err);
}

#[tokio::test]
async fn the_help_lists_every_command() {
    let app = TestApp::shared().await;
    let cli = Cli::signed_out(app);
    let help = cli.run(&["--help"]).await.expect(0).out;
    for word in [
        "login",
        "logout",
        "whoami",
        "chat",
        "search",
        "docs",
        "approvals",
        "teams",
        "goals",
        "audit",
        "completions",
        "PLATFORM_TOKEN",
        "130",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[tokio::test]
async fn the_manual_and_the_completions_are_complete() {
    let app = TestApp::shared().await;
    let cli = Cli::signed_out(app);
    let page = cli.run(&["man"]).await.expect(0).out;
    assert!(page.contains(".TH platform 1") && page.contains("Exit codes"), "{page}");
    cli.run(&["man", "--dir", "pages"]).await.expect(0);
    let pages = std::fs::read_dir(cli.home().join("pages")).expect("a directory").count();
    assert_eq!(pages, 44, "one page for each command");
    for shell in ["bash", "zsh", "fish"] {
        let script = cli.run(&["completions", shell]).await.expect(0).out;
        assert!(script.contains("upload") && script.contains("audit"), "{shell}");
    }
    let mut bash = cli.program(Path::new("bash"));
    let script = "eval \"$(platform completions bash)\" && complete -p platform";
    let checked = Output::wait_for(bash.args(["-c", script]).spawn().expect("bash")).await.expect(0);
    assert!(checked.out.contains("platform"), "{checked:#?}");
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    let app = TestApp::shared().await;
    let cli = Cli::signed_out(app);
    cli.write("note.md", &files::note("C-410"));
    cli.write("note-2.md", &files::note("C-411"));
    // A fake `cargo` prints a token of the platform under test. The commands run unchanged, except for the URL.
    let token = app.token(TENANT_A, "reader", Role::User);
    cli.write("cargo", format!("#!/bin/sh\necho {token}\n").as_bytes());
    let commands = files::readme_commands("## On the command line").replace("http://127.0.0.1:8000", &app.base_url);
    let script = format!("set -eux\nchmod +x cargo\nPATH=$PWD:$PATH\nunset PLATFORM_URL\n{commands}");
    let mut shell = cli.program(Path::new("bash"));
    let ran = Output::wait_for(shell.args(["-o", "pipefail", "-c", &script]).spawn().expect("bash")).await.expect(0);
    for text in [" (user) of the tenant plant-a", "Sources:\n[1] ", "\tready\tnote.md", "deleted "] {
        assert!(ran.out.contains(text), "{text}: {ran:#?}");
    }
    let was_run = |command: &str| ran.err.contains(&format!("+ platform {command}"));
    for command in ["login", "logout", "whoami", "chat", "conversations", "search", "docs upload", "docs get", "audit"]
    {
        assert!(was_run(command), "the README must have an example of {command}: {}", ran.err);
    }
}
