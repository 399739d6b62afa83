//! The audit log as evidence for operators and auditors: verification, export, offline verification, and the detection
//! of tampering.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use domain::role::Role;
use fakes::eventually;
use platform_server::audit::{self, AuditCommand};
use serde_json::{Value, json};
use std::path::PathBuf;

async fn verify_database(app: &TestApp) -> Result<(), String> {
    let command = AuditCommand::Verify { export: None, checkpoints: None, public_key: Vec::new() };
    audit::run(command, &app.settings).await.map_err(|error| format!("{error:#}"))
}

async fn verify_export(app: &TestApp, file: PathBuf) -> Result<(), String> {
    let command = AuditCommand::Verify { export: Some(file), checkpoints: None, public_key: Vec::new() };
    audit::run(command, &app.settings).await.map_err(|error| format!("{error:#}"))
}

/// Waits until every row is in its tenant's hash chain and every chain has a checkpoint at its head.
async fn wait_until_sealed_and_signed(db: &mut SuperuserDb) {
    let count_unsealed_or_unsigned = "SELECT (SELECT count(*) FROM audit_unsealed)
                       + (SELECT count(*) FROM (SELECT tenant_id, max(seq) AS seq FROM audit_chain GROUP BY 1) AS head
                          WHERE NOT EXISTS (SELECT FROM audit_checkpoints c
                                             WHERE c.tenant_id = head.tenant_id AND c.seq = head.seq))";
    let db = tokio::sync::Mutex::new(db);
    eventually("the log is sealed and signed", || async {
        (db.lock().await.count(count_unsealed_or_unsigned, &[]).await == 0).then_some(())
    })
    .await;
}

async fn start_app() -> TestApp {
    TestApp::start(&[("PLATFORM__AUDIT__CHECKPOINT_S", "1")]).await
}

#[tokio::test]
async fn verification_accepts_the_log_and_finds_changed_and_deleted_rows() {
    let app = start_app().await;
    let mut db = SuperuserDb::connect(&app).await;
    let user = app.as_user(TENANT_A);
    user.post("/v1/conversations", &json!({ "title": "C-410" })).await.expect_json(201);
    app.without_token().get("/v1/me").await.expect_problem(401, "invalid_token");
    wait_until_sealed_and_signed(&mut db).await;
    let count_starts = "SELECT count(*) FROM audit_logs
                   WHERE event_type = 'platform.started' AND length(metadata->>'configuration') = 64";
    assert_eq!(db.count(count_starts, &[]).await, 1);
    assert_eq!(verify_database(&app).await, Ok(()));
    assert!(
        app.storage_dir.with_file_name("audit").join("checkpoints.ndjson").is_file(),
        "checkpoints are kept outside the database"
    );

    let change_row =
        "UPDATE audit_logs SET event_type = 'doc.list' WHERE event_type = 'conversation.create' AND phase = 'intent'";
    assert_eq!(db.execute(change_row, &[]).await, 1);
    let error = verify_database(&app).await.expect_err("a row was changed");
    assert!(error.contains("the audit log was changed: 1 of"), "{error}");
    let restore_row =
        "UPDATE audit_logs SET event_type = 'conversation.create' WHERE event_type = 'doc.list' AND phase = 'intent'";
    db.execute(restore_row, &[]).await;
    assert_eq!(verify_database(&app).await, Ok(()));

    // Deletes the tenant's whole log, and everything in the database that would reveal the deletion.
    for table in ["audit_checkpoints", "audit_chain", "audit_logs"] {
        assert!(
            db.execute(
                &format!("DELETE FROM {table} WHERE tenant_id = (SELECT id FROM tenants WHERE slug = $1)"),
                &[TENANT_A]
            )
            .await
                > 0
        );
    }
    assert!(verify_database(&app).await.is_err(), "the checkpoints outside the database reveal the deletion");
}

#[tokio::test]
async fn an_export_is_verified_offline_and_a_changed_or_incomplete_one_is_refused() {
    let app = start_app().await;
    let mut db = SuperuserDb::connect(&app).await;
    let admin = app.as_admin(TENANT_A);
    for title in ["one", "two", "three"] {
        admin.post("/v1/conversations", &json!({ "title": title })).await.expect_json(201);
    }
    wait_until_sealed_and_signed(&mut db).await;
    let export = admin.get("/v1/audit/export").await;
    assert_eq!((export.status, export.header("content-type")), (200, Some("application/x-ndjson")), "{export:?}");
    let text = export.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<&Value> = lines.iter().filter(|line| line["type"] == "event").collect();
    let sequence_numbers: Vec<i64> = events.iter().filter_map(|event| event["seq"].as_i64()).collect();
    assert!(
        sequence_numbers.len() >= 8 && sequence_numbers.iter().copied().eq(1..=sequence_numbers.len() as i64),
        "{sequence_numbers:?}"
    );
    assert!(lines.iter().any(|line| line["type"] == "checkpoint"));

    let file = app.storage_dir.join("export.ndjson");
    let verify_text = |text: String| {
        std::fs::write(&file, text).expect("writable");
        verify_export(&app, file.clone())
    };
    assert_eq!(verify_text(text.clone()).await, Ok(()));
    // The same JSON, with another format of the lines.
    let rewritten = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(verify_text(rewritten).await, Ok(()));
    assert!(verify_text(text.replacen("conversation.create", "conversation.delete", 1)).await.is_err());
    let without_third: String =
        text.lines().filter(|line| !line.contains("\"seq\":3,")).map(|line| format!("{line}\n")).collect();
    assert!(verify_text(without_third).await.is_err());

    // A resumed export can be verified alone, and after it is appended to the first part.
    let resumed_export = admin.get("/v1/audit/export?after=4").await.text();
    assert!(
        resumed_export.starts_with("{\"type\":\"start\"")
            && resumed_export.contains("\"seq\":5,")
            && !resumed_export.contains("\"seq\":3,"),
        "{resumed_export}"
    );
    assert_eq!(verify_text(resumed_export.clone()).await, Ok(()));
    let first_part: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify_text(first_part + &resumed_export).await, Ok(()));

    let ocsf_export = admin.get("/v1/audit/export?format=ocsf").await.text();
    let first: Value = serde_json::from_str(ocsf_export.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["class_uid"], &first["metadata"]["version"]), (&json!(3002), &json!("1.3.0")), "{first}");
    app.as_user(TENANT_A).get("/v1/audit/export").await.expect_problem(403, "policy_denied");
    admin.get("/v1/audit/export?after=-1").await.expect_problem(422, "validation");
    let count_exports =
        "SELECT count(*) FROM audit_logs WHERE event_type = 'audit.export' AND result_status = 'success'";
    assert_eq!(db.count(count_exports, &[]).await, 3);
}

#[tokio::test]
async fn audit_rows_are_filtered_by_status_and_request() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "filtered", Role::User);
    let response = crate::support::api_client::ApiResponse::send(
        user.request(reqwest::Method::POST, "/v1/conversations").json(&json!({ "title": "x" })),
    )
    .await;
    assert_eq!(response.status, 201);
    let request_id = response.header("x-request-id").expect("an id").to_owned();
    let admin = app.as_admin(TENANT_A);
    let rows =
        admin.get(&format!("/v1/audit?request_id={request_id}&event_type=conversation.create")).await.expect_json(200);
    let phases: Vec<_> = rows["data"].as_array().expect("rows").iter().map(|row| row["phase"].clone()).collect();
    assert_eq!(phases, [json!("outcome"), json!("intent")]);
    let correlation_id = rows["data"][0]["correlation_id"].as_str().expect("an id").to_owned();
    let succeeded =
        admin.get(&format!("/v1/audit?correlation_id={correlation_id}&result_status=success")).await.expect_json(200);
    assert_eq!(succeeded["data"].as_array().map(Vec::len), Some(1));
    admin.get("/v1/audit?result_status=sure").await.expect_problem(422, "validation");
}
