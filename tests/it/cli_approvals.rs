//! `platform approvals`: people decide at the command line, on what they have read.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::cli::{Cli, Output};
use crate::support::provider::{AUDIENCE, OidcProvider};
use domain::role::Role;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const INVOKE: &str = "/v1/tools/plant_system_write/invoke";

/// Asks for a work order as the admin of this tenant; returns the request.
async fn request(app: &TestApp, tenant: &str, title: &str) -> Value {
    let admin = app.caller(tenant, "founder", Role::Admin);
    let data = json!({ "title": title, "description": "It leaks.", "priority": 2 });
    let arguments = json!({ "action": "create_work_order", "target": "P-101A", "data": data });
    let pending = admin.post(INVOKE, &json!({ "arguments": arguments })).await.expect_json(202);
    let id = pending["approval_id"].as_str().expect("an id").to_owned();
    admin.get(&format!("/v1/approvals/{id}")).await.expect_json(200)
}

async fn appoint(app: &TestApp, tenant: &str, user_id: &Value) {
    let path = format!("/v1/admin/users/{}", user_id.as_str().expect("an id"));
    let admin = app.caller(tenant, "founder", Role::Admin);
    admin.patch(&path, &json!({ "grants": ["approver"] })).await.expect_json(200);
}

fn field<'a>(document: &'a Value, name: &str) -> &'a str {
    document[name].as_str().unwrap_or_else(|| panic!("no {name}: {document}"))
}

#[tokio::test]
async fn a_request_is_read_and_approved_by_its_digest() {
    let (app, tenant) = (TestApp::shared().await, "cli-approvals");
    app.create_tenant(tenant).await;
    let approver = app.caller(tenant, "ines", Role::User);
    appoint(app, tenant, &approver.get("/v1/me").await.expect_json(200)["id"]).await;
    let approval = request(app, tenant, "Replace the seal").await;
    let id = field(&approval, "id");
    // Signed in after the request.
    let cli = Cli::with_token(app, &app.token(tenant, "ines", Role::User));

    let listed = cli.run(&["approvals", "list", "--role", "approver", "--status", "pending"]).await.expect(0);
    assert!(listed.out.starts_with(&format!("{id}\tpending\tplant_system_write\tP-101A")), "{}", listed.out);
    let shown = cli.run(&["approvals", "show", id]).await.expect(0);
    for part in ["Replace the seal", "\"priority\": 2", field(&approval, "digest"), "0 of 1"] {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    assert_eq!(cli.run(&["approvals", "show", id, "--output", "json"]).await.expect(0).json(), approval);

    // Without a terminal nobody can be asked.
    let unasked = cli.run(&["approvals", "approve", id]).await.expect(2);
    assert!(unasked.err.contains("--yes") && unasked.err.contains("Replace the seal"), "{}", unasked.err);
    let other = format!("sha256:{}", "0".repeat(64));
    let mismatch = cli.run(&["approvals", "approve", id, "--digest", &other]).await.expect(1);
    assert!(mismatch.err.contains("digest_mismatch"), "{}", mismatch.err);
    let digest = field(&approval, "digest");
    let approve = ["approvals", "approve", id, "--digest", digest, "--comment", "Read.", "--output", "json"];
    let approved = cli.run(&approve).await.expect(0).json();
    assert_eq!((&approved["status"], &approved["decisions"][0]["comment"]), (&json!("approved"), &json!("Read.")));
    cli.run(&["approvals", "approve", id, "--yes"]).await.expect(1);
}

#[tokio::test]
async fn a_request_is_rejected_or_withdrawn_and_refusals_have_their_exit_codes() {
    let (app, tenant) = (TestApp::shared().await, "cli-decisions");
    app.create_tenant(tenant).await;
    let (stranger, _) = Cli::signed_in(app, tenant, "uma", Role::User);
    let (first, second) = (request(app, tenant, "One").await, request(app, tenant, "Two").await);
    let ines = app.caller(tenant, "ines", Role::User).get("/v1/me").await.expect_json(200);
    appoint(app, tenant, &ines["id"]).await;
    let cli = Cli::with_token(app, &app.token(tenant, "ines", Role::User));
    let rejected = cli.run(&["approvals", "reject", field(&first, "id"), "--yes"]).await.expect(0);
    assert_eq!(rejected.out.trim(), format!("{} is rejected", field(&first, "id")));
    stranger.run(&["approvals", "approve", field(&second, "id"), "--yes"]).await.expect(1);
    let (requester, _) = Cli::signed_in(app, tenant, "founder", Role::Admin);
    let own = requester.run(&["approvals", "approve", field(&second, "id"), "--yes"]).await.expect(4);
    assert!(own.err.contains("self_approval"), "{}", own.err);
    requester.run(&["approvals", "cancel", field(&second, "id")]).await.expect(2);
    let cancelled = requester.run(&["approvals", "cancel", field(&second, "id"), "--yes"]).await.expect(0);
    assert!(cancelled.out.contains("is cancelled"), "{}", cancelled.out);
    // A token from the environment cannot be renewed.
    let third = request(app, tenant, "Three").await;
    let old = app.token_signed_in_ago(tenant, "ines", Role::User, Duration::from_secs(3_600));
    let refused = Cli::with_token(app, &old).run(&["approvals", "approve", field(&third, "id"), "--yes"]).await;
    assert!(refused.expect(3).err.contains("step_up_required"));
}

#[tokio::test]
async fn whoever_signed_in_before_the_request_signs_in_again_and_decides() {
    let provider = OidcProvider::start().await;
    let app = TestApp::start(&[("OIDC_ISSUER", &provider.issuer), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let cli = Cli::signed_out(&app);
    let scope = "openid offline_access platform.ask";
    let issuer = ["--issuer", &provider.issuer, "--client-id", "plant-cli", "--scope", scope];
    let login = [&["login", "--no-browser"][..], &issuer].concat();
    sign_in(cli.command(&login), &provider).await.expect(0);
    let me = cli.run(&["whoami", "--output", "json"]).await.expect(0).json();
    appoint(&app, TENANT_A, &me["id"]).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let approval = request(&app, TENANT_A, "Replace the seal").await;
    let id = field(&approval, "id");
    let refused = cli.run(&["approvals", "approve", id, "--yes"]).await.expect(3);
    assert!(refused.err.contains("step_up_required"), "{}", refused.err);
    let approve = cli.command(&["approvals", "approve", id, "--yes", "--no-browser"]);
    let approved = sign_in(approve, &provider).await.expect(0);
    assert_eq!(approved.out.trim(), format!("{id} is approved"), "{approved:#?}");
}

/// Runs a command that prints a URL to sign in at, and signs in as alice.
async fn sign_in(mut command: tokio::process::Command, provider: &OidcProvider) -> Output {
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("readable").expect("it ended early");
        if line.starts_with("http") && line.contains("code_challenge=") {
            break line;
        }
    };
    let page = provider.visit(address.trim(), "alice", "").await;
    assert!(page.contains("close this window"), "{page}");
    Output::wait_for(child).await
}
