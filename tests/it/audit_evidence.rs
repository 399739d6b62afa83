//! The audit log as evidence for operators and auditors: verification, export, offline verification, and the detection
//! of tampering.

use crate::support::app::{A, App};
use crate::support::db::SuperuserDb;
use domain::role::Role;
use fakes::eventually;
use platform_server::audit::{self, AuditCommand};
use serde_json::{Value, json};
use std::path::PathBuf;

async fn verify(app: &App) -> Result<(), String> {
    let command = AuditCommand::Verify { export: None, checkpoints: None, public_key: Vec::new() };
    audit::run(command, &app.settings).await.map_err(|error| format!("{error:#}"))
}

async fn verify_file(app: &App, file: PathBuf) -> Result<(), String> {
    let command = AuditCommand::Verify { export: Some(file), checkpoints: None, public_key: Vec::new() };
    audit::run(command, &app.settings).await.map_err(|error| format!("{error:#}"))
}

/// Waits until every row is in its tenant's chain and every chain has a checkpoint at its head.
async fn until_proven(db: &mut SuperuserDb) {
    let open = "SELECT (SELECT count(*) FROM audit_unsealed)
                       + (SELECT count(*) FROM (SELECT tenant_id, max(seq) AS seq FROM audit_chain GROUP BY 1) AS head
                          WHERE NOT EXISTS (SELECT FROM audit_checkpoints c
                                             WHERE c.tenant_id = head.tenant_id AND c.seq = head.seq))";
    let db = tokio::sync::Mutex::new(db);
    eventually("the log is sealed and signed", || async {
        (db.lock().await.count(open, &[]).await == 0).then_some(())
    })
    .await;
}

async fn app() -> App {
    App::start(&[("PLATFORM__AUDIT__CHECKPOINT_S", "1")]).await
}

#[tokio::test]
async fn the_log_holds_and_a_changed_row_does_not() {
    let app = app().await;
    let mut db = SuperuserDb::of(&app).await;
    let user = app.as_user(A);
    user.post("/v1/conversations", &json!({ "title": "C-410" })).await.expect(201);
    app.as_nobody().get("/v1/me").await.problem(401, "invalid_token");
    until_proven(&mut db).await;
    let started = "SELECT count(*) FROM audit_logs
                   WHERE event_type = 'platform.started' AND length(metadata->>'configuration') = 64";
    assert_eq!(db.count(started, &[]).await, 1);
    assert_eq!(verify(&app).await, Ok(()));
    assert!(
        app.storage.with_file_name("audit").join("checkpoints.ndjson").is_file(),
        "checkpoints are kept outside the database"
    );

    let forged =
        "UPDATE audit_logs SET event_type = 'doc.list' WHERE event_type = 'conversation.create' AND phase = 'intent'";
    assert_eq!(db.execute(forged, &[]).await, 1);
    let error = verify(&app).await.expect_err("a row was changed");
    assert!(error.contains("the audit log was changed: 1 of"), "{error}");
    let undone =
        "UPDATE audit_logs SET event_type = 'conversation.create' WHERE event_type = 'doc.list' AND phase = 'intent'";
    db.execute(undone, &[]).await;
    assert_eq!(verify(&app).await, Ok(()));

    // Deletes the tenant's whole log, with everything in the database that would show it.
    for table in ["audit_checkpoints", "audit_chain", "audit_logs"] {
        assert!(
            db.execute(
                &format!("DELETE FROM {table} WHERE tenant_id = (SELECT id FROM tenants WHERE slug = $1)"),
                &[A]
            )
            .await
                > 0
        );
    }
    assert!(verify(&app).await.is_err(), "the checkpoints outside the database show the deletion");
}

#[tokio::test]
async fn an_export_is_verified_offline_and_only_whole() {
    let app = app().await;
    let mut db = SuperuserDb::of(&app).await;
    let admin = app.as_admin(A);
    for title in ["one", "two", "three"] {
        admin.post("/v1/conversations", &json!({ "title": title })).await.expect(201);
    }
    until_proven(&mut db).await;
    let answer = admin.get("/v1/audit/export").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")), "{answer:?}");
    let text = answer.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<&Value> = lines.iter().filter(|line| line["type"] == "event").collect();
    let places: Vec<i64> = events.iter().filter_map(|event| event["seq"].as_i64()).collect();
    assert!(places.len() >= 8 && places.iter().copied().eq(1..=places.len() as i64), "{places:?}");
    assert!(lines.iter().any(|line| line["type"] == "checkpoint"));

    let file = app.storage.join("export.ndjson");
    let verified = |text: String| {
        std::fs::write(&file, text).expect("writable");
        verify_file(&app, file.clone())
    };
    assert_eq!(verified(text.clone()).await, Ok(()));
    // The same JSON as another program would format it.
    let rewritten = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(verified(rewritten).await, Ok(()));
    assert!(verified(text.replacen("conversation.create", "conversation.delete", 1)).await.is_err());
    let without_third: String =
        text.lines().filter(|line| !line.contains("\"seq\":3,")).map(|line| format!("{line}\n")).collect();
    assert!(verified(without_third).await.is_err());

    // A resumed export is verified alone, and appended to the first part.
    let rest = admin.get("/v1/audit/export?after=4").await.text();
    assert!(
        rest.starts_with("{\"type\":\"start\"") && rest.contains("\"seq\":5,") && !rest.contains("\"seq\":3,"),
        "{rest}"
    );
    assert_eq!(verified(rest.clone()).await, Ok(()));
    let half: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    assert_eq!(verified(half + &rest).await, Ok(()));

    let siem = admin.get("/v1/audit/export?format=ocsf").await.text();
    let first: Value = serde_json::from_str(siem.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["class_uid"], &first["metadata"]["version"]), (&json!(3002), &json!("1.3.0")), "{first}");
    app.as_user(A).get("/v1/audit/export").await.problem(403, "policy_denied");
    admin.get("/v1/audit/export?after=-1").await.problem(422, "validation");
    let recorded = "SELECT count(*) FROM audit_logs WHERE event_type = 'audit.export' AND result_status = 'success'";
    assert_eq!(db.count(recorded, &[]).await, 3);
}

#[tokio::test]
async fn an_auditor_reads_operations_by_state_and_request() {
    let app = App::shared().await;
    let user = app.caller(A, "filtered", Role::User);
    let made = crate::support::caller::Answer::of(
        user.request(reqwest::Method::POST, "/v1/conversations").json(&json!({ "title": "x" })),
    )
    .await;
    assert_eq!(made.status, 201);
    let request = made.header("x-request-id").expect("an id").to_owned();
    let admin = app.as_admin(A);
    let rows = admin.get(&format!("/v1/audit?request_id={request}&event_type=conversation.create")).await.expect(200);
    let phases: Vec<_> = rows["data"].as_array().expect("rows").iter().map(|row| row["phase"].clone()).collect();
    assert_eq!(phases, [json!("outcome"), json!("intent")]);
    let operation = rows["data"][0]["correlation_id"].as_str().expect("an id").to_owned();
    let done = admin.get(&format!("/v1/audit?correlation_id={operation}&result_status=success")).await.expect(200);
    assert_eq!(done["data"].as_array().map(Vec::len), Some(1));
    admin.get("/v1/audit?result_status=sure").await.problem(422, "validation");
}
