//! A standby of the database serves searches and reads of the audit log, and nobody notices: not what was just written,
//! not a standby that is behind or gone.

use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::files;
use crate::support::standby::ReplicatedPostgres;
use data::migrate::LoginRole;
use fakes::eventually;
use serde_json::json;

async fn start_app(postgres: &ReplicatedPostgres) -> TestApp {
    let settings = postgres.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TestApp::start(&settings).await
}

/// Ingests a note and searches at once: the note must be found, however far the standby is.
async fn find_new_note(app: &TestApp, name: &str) {
    let user = app.as_user(TENANT_A);
    assert_eq!(user.ingest(name, &files::note(name), &[]).await["status"], "ready");
    let search = json!({ "query": format!("strainer of {name}"), "top_k": 50 });
    let found = user.post("/v1/search", &search).await.expect_json(200);
    assert!(found.to_string().contains(name), "{name} was ready: {found}");
}

/// Reads the audit log: the caller's last request must be in it.
async fn read_own_audit_rows(app: &TestApp) {
    let admin = app.as_admin(TENANT_A);
    let response = admin.get("/v1/conversations").await;
    assert_eq!(response.status, 200, "{response:?}");
    let request = response.header("x-request-id").expect("an id").to_owned();
    let log = admin.get("/v1/audit").await.expect_json(200);
    assert!(log.to_string().contains(&request), "the last request is in the log: {log}");
}

#[tokio::test]
async fn searches_and_audit_reads_use_the_standby_and_see_what_was_just_written() {
    let postgres = ReplicatedPostgres::start().await;
    let app = start_app(&postgres).await;
    for number in 0..4 {
        find_new_note(&app, &format!("R-90{number}.md")).await;
        assert!(postgres.standby_has_served(LoginRole::App).await, "search {number} reads at the standby");
        read_own_audit_rows(&app).await;
        assert!(postgres.standby_has_served(LoginRole::Auditor).await, "the log is read at the standby");
    }
    let search = json!({ "query": "strainer of R-900", "top_k": 50 });
    let other_tenant = app.as_user(TENANT_B).post("/v1/search", &search).await.expect_json(200);
    assert_eq!(other_tenant["results"], json!([]), "row security holds at the standby");
}

#[tokio::test]
async fn the_primary_serves_while_the_standby_is_behind_or_gone() {
    let mut postgres = ReplicatedPostgres::start().await;
    let app = start_app(&postgres).await;
    find_new_note(&app, "R-910.md").await;

    postgres.pause_replay().await;
    find_new_note(&app, "R-911.md").await;
    read_own_audit_rows(&app).await;

    postgres.resume_replay().await;
    eventually("the standby serves again", || async {
        let search = json!({ "query": "strainer of R-910", "top_k": 50 });
        app.as_user(TENANT_A).post("/v1/search", &search).await.expect_json(200);
        postgres.standby_has_served(LoginRole::App).await.then_some(())
    })
    .await;

    postgres.stop_standby();
    find_new_note(&app, "R-912.md").await;
    read_own_audit_rows(&app).await;
    assert_eq!(app.without_token().get("/ready").await.status, 200, "a standby is not required");
}
