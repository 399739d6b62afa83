//! Maintenance systems that are reached over HTTP: what was approved is sent exactly, and whatever goes wrong on the
//! way there is one order.

use crate::support::app::TestApp;
use crate::support::db::SuperuserDb;
use crate::support::maintenance::{Fault, MaintenanceServer};
use crate::support::plant::{Plant, path, text};
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long a write may take, whose request is not answered within its limit of 15 seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
const SECRET: &str = "maint-user:hunter2-of-the-plant";
const SYSTEM: &str = "/v1/admin/maintenance-system";
/// What stands in the preview for the names of those who approve.
const PLACEHOLDER: &str = "(the names of those who approve)";

static APP: OnceCell<TestApp> = OnceCell::const_new();

/// The app of this file's tests, which gives up a failed write after two seconds.
async fn app() -> &'static TestApp {
    APP.get_or_init(|| TestApp::start(&[("PLATFORM__WORKER__WRITE_SETTLE_S", "2")])).await
}

fn system(kind: &str, server: &MaintenanceServer) -> Value {
    json!({ "kind": kind, "config": { "base_url": server.url }, "secret": SECRET })
}

/// Waits until the request has one of the final states after its approval.
async fn outcome(plant: &Plant<'_>, approval: &Value) -> Value {
    eventually_within(TIMEOUT, &format!("{} has ended", approval["id"]), || async {
        let current = plant.read(approval).await;
        ["executed", "failed"].contains(&current["status"].as_str()?).then_some(current)
    })
    .await
}

async fn approve_and_wait(plant: &Plant<'_>, approval: &Value) -> Value {
    plant.approve(approval).await;
    outcome(plant, approval).await
}

/// The body that approvers saw, with their names.
async fn approved_body(plant: &Plant<'_>, approval: &Value) -> Value {
    let ines = plant.caller("ines", Role::User).get("/v1/me").await.expect_json(200);
    // Without a name in the token, people are known by their id.
    assert_eq!(ines["name"], Value::Null);
    let name = text(&ines["id"]);
    let shown = approval["preview"]["body"].to_string();
    assert!(shown.contains(PLACEHOLDER), "{shown}");
    serde_json::from_str(&shown.replace(PLACEHOLDER, &name)).expect("JSON")
}

#[tokio::test]
async fn each_kind_of_system_gets_exactly_what_was_approved() {
    for (tenant, kind, credential) in [
        ("cmms-rest", "rest", ("authorization", format!("Bearer {SECRET}"))),
        ("cmms-maximo", "maximo", ("apikey", SECRET.to_owned())),
        ("cmms-sap", "sap_pm", ("authorization", basic(SECRET))),
    ] {
        let server = MaintenanceServer::start().await;
        let plant = Plant::new(app().await, tenant).await;
        let set = plant.set_system(&system(kind, &server)).await;
        assert_eq!((&set["kind"], &set["has_secret"]), (&json!(kind), &json!(true)), "{set}");
        let approval = plant.request("Replace the seal").await;
        let preview = &approval["preview"];
        assert_eq!((&preview["system"], &preview["endpoint"]["method"]), (&json!(kind), &json!("POST")), "{preview}");
        assert_eq!(preview["endpoint"]["host"], server.host, "{preview}");
        assert_eq!(server.received().len(), 0, "nobody is asked before it is approved");

        let executed = approve_and_wait(&plant, &approval).await;
        assert_eq!(executed["status"], "executed", "{executed}");
        let orders = server.orders(&approval["id"]);
        assert_eq!(orders.len(), 1, "{orders:?}");
        assert_eq!(executed["result"]["work_order_id"], orders[0]["id"], "{executed}");
        let mut sent = orders[0].clone();
        sent.as_object_mut().expect("an object").remove("id");
        assert_eq!(sent, approved_body(&plant, &approval).await);
        let long_text = sent.to_string();
        let (requester, approver) = (plant.user_id("ada", Role::Admin).await, plant.user_id("ines", Role::User).await);
        let facts = [format!("Requested by: {requester}"), format!("Approved by: {approver}"), text(&approval["id"])];
        for fact in facts {
            assert!(long_text.contains(&fact), "{fact} in {long_text}");
        }
        let post = server.received().into_iter().find(|request| request.method == "POST").expect("a POST");
        assert_eq!(post.path, preview["endpoint"]["path"].as_str().expect("a path"));
        assert_eq!(post.headers.get(credential.0).and_then(|value| value.to_str().ok()), Some(credential.1.as_str()));
        assert!(server.received()[0].query.contains(&text(&approval["id"])), "it searches before it writes");
        assert_eq!(recorded_writes(&plant, &approval).await, ["pending", "success"]);
    }
}

/// The states of the audit rows about what was sent for an approval, oldest first.
async fn recorded_writes(plant: &Plant<'_>, approval: &Value) -> Vec<String> {
    let id = text(&approval["id"]);
    let rows = plant.audit(&format!("event_type=tool.invocation&resource_id={id}")).await;
    for row in &rows {
        let metadata = &row["metadata"];
        assert_eq!((&metadata["step"], &metadata["approval_id"]), (&json!("execution"), &approval["id"]), "{row}");
    }
    rows.iter().rev().map(|row| text(&row["result_status"])).collect()
}

fn basic(secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(secret))
}

/// What a fault leads to: state, number of orders, and the error's code.
type Expected = (&'static str, usize, Option<&'static str>);
const CREATED: Expected = ("executed", 1, None);
const REFUSED: Expected = ("failed", 0, Some("refused"));
const UNKNOWN: Expected = ("failed", 0, Some("outcome_unknown"));

async fn check_faults(tenant: &'static str, kind: &str, faults: &[(Fault, Expected)]) {
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(app().await, tenant).await;
    plant.set_system(&system(kind, &server)).await;
    for (fault, (status, orders, code)) in faults {
        server.set_fault(*fault);
        let approval = plant.request(&format!("{fault:?}")).await;
        let ended = approve_and_wait(&plant, &approval).await;
        assert_eq!(ended["status"], *status, "{kind}, {fault:?}: {ended}");
        assert_eq!(server.orders(&approval["id"]).len(), *orders, "{kind}, {fault:?}");
        assert_eq!(ended["error"]["code"].as_str(), *code, "{kind}, {fault:?}: {ended}");
        let error = ended["error"].to_string();
        for leak in ["hunter2", &basic(SECRET)[6..], "<"] {
            assert!(!error.contains(leak), "{kind}, {fault:?}: {error}");
        }
        if *fault == Fault::Refuse {
            assert!(error.contains("The asset /b P-101A is not known."), "the system's own words: {error}");
        }
        let events = plant.events(&approval).await;
        assert_eq!(events, ["approval.requested", "approval.decided", "approval.executed"], "{kind}, {fault:?}");
    }
}

/// Faults that every kind of system can have.
const COMMON_FAULTS: &[(Fault, Expected)] = &[
    (Fault::CreateThen500, CREATED),
    (Fault::CreateThenReset, CREATED),
    (Fault::CreateThenGarbage, CREATED),
    (Fault::CreateThenConflict, CREATED),
    (Fault::Slow, CREATED),
    (Fault::Unauthorized, REFUSED),
    (Fault::Redirect, REFUSED),
    (Fault::Refuse, REFUSED),
];

#[tokio::test]
async fn whatever_a_rest_system_does_there_is_one_order() {
    check_faults("cmms-rest-faults", "rest", COMMON_FAULTS).await;
    check_faults("cmms-rest-again", "rest", &[(Fault::Answer500, CREATED), (Fault::CreateThenHang, CREATED)]).await;
    check_faults("cmms-rest-silent", "rest", &[(Fault::Hang, CREATED)]).await;
}

#[tokio::test]
async fn whatever_maximo_does_there_is_one_order() {
    check_faults("cmms-maximo-faults", "maximo", COMMON_FAULTS).await;
    // It would create a second order from a second request, so without an answer nothing is sent again.
    check_faults("cmms-maximo-again", "maximo", &[(Fault::Answer500, CREATED), (Fault::Hang, UNKNOWN)]).await;
}

#[tokio::test]
async fn whatever_sap_does_there_is_one_notification() {
    check_faults("cmms-sap-faults", "sap_pm", COMMON_FAULTS).await;
    check_faults("cmms-sap-session", "sap_pm", &[(Fault::StaleToken, CREATED), (Fault::LostSession, CREATED)]).await;
    check_faults("cmms-sap-silent", "sap_pm", &[(Fault::Hang, UNKNOWN)]).await;
}

#[tokio::test]
async fn an_outcome_that_no_search_settles_is_unknown_and_never_tried_again() {
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(app().await, "cmms-unknown").await;
    plant.set_system(&system("rest", &server)).await;
    let approval = plant.request("Unknown").await;
    server.set_fault(Fault::Hang);
    plant.approve(&approval).await;
    eventually_within(TIMEOUT, "the order is being sent", || async { (server.open_requests() == 1).then_some(()) })
        .await;
    server.set_searches_fail(true);
    let failed = outcome(&plant, &approval).await;
    assert_eq!(failed["error"]["code"], "outcome_unknown", "{failed}");
    server.set_searches_fail(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(plant.read(&approval).await["status"], "failed");
    let writes = server.received().into_iter().filter(|request| request.method == "POST").count();
    assert_eq!(writes, 1, "nobody writes again what may exist");
}

/// The next worker finds nothing at first, because the system is still at work.
#[tokio::test]
async fn a_worker_that_was_killed_while_it_wrote_is_followed_by_one_that_waits_for_the_order() {
    let app = TestApp::start(&[("SERVICE_TYPE", "api")]).await;
    for (tenant, kind) in [("cmms-killed", "rest"), ("cmms-killed-maximo", "maximo"), ("cmms-killed-sap", "sap_pm")] {
        let server = MaintenanceServer::start().await;
        let plant = Plant::new(&app, tenant).await;
        plant.set_system(&system(kind, &server)).await;
        let settings = [("PLATFORM__WORKER__LEASE_S", "2")];
        let killed = KilledWrite { plant: &plant, server: &server, fault: Fault::CreateLate };
        let approval = killed.run(&settings).await;
        assert_eq!(server.orders(&approval["id"]).len(), 0);
        assert_eq!(recorded_writes(&plant, &approval).await, ["pending"], "what is sent is recorded before");
        let _next_worker = app.start_worker_process(&settings).await;
        let executed = outcome(&plant, &approval).await;
        assert_eq!(executed["status"], "executed", "{kind}: {executed}");
        assert_eq!(server.orders(&approval["id"]).len(), 1, "{kind}");
        assert_eq!(sent_writes(&server), 1, "{kind}: nobody writes again what is under way");
    }
}

/// A write during which the only worker is killed.
struct KilledWrite<'a> {
    plant: &'a Plant<'a>,
    server: &'a MaintenanceServer,
    fault: Fault,
}

impl KilledWrite<'_> {
    /// Returns the approval, of which the request was sent and not answered.
    async fn run(&self, settings: &[(&str, &str)]) -> Value {
        let Self { plant, server, fault } = self;
        let approval = plant.request("Killed").await;
        server.set_fault(*fault);
        let mut worker = plant.app.start_worker_process(settings).await;
        plant.approve(&approval).await;
        eventually_within(TIMEOUT, "the order is being sent", || async { (server.open_requests() == 1).then_some(()) })
            .await;
        worker.kill();
        approval
    }
}

/// Number of requests that create an order.
fn sent_writes(server: &MaintenanceServer) -> usize {
    server.received().into_iter().filter(|request| request.method == "POST").count()
}

/// Whether the system got the request is not known, and no search tells.
#[tokio::test]
async fn what_a_killed_worker_may_have_sent_is_only_sent_again_where_it_creates_one_order() {
    let app = TestApp::start(&[("SERVICE_TYPE", "api")]).await;
    let settings = [("PLATFORM__WORKER__LEASE_S", "2"), ("PLATFORM__WORKER__WRITE_SETTLE_S", "1")];
    for (tenant, kind, (status, orders, code), writes) in [
        ("cmms-lost", "rest", CREATED, 2),
        ("cmms-lost-maximo", "maximo", UNKNOWN, 1),
        ("cmms-lost-sap", "sap_pm", UNKNOWN, 1),
    ] {
        let server = MaintenanceServer::start().await;
        let plant = Plant::new(&app, tenant).await;
        plant.set_system(&system(kind, &server)).await;
        let killed = KilledWrite { plant: &plant, server: &server, fault: Fault::Hang };
        let approval = killed.run(&settings).await;
        let _next_worker = app.start_worker_process(&settings).await;
        let ended = outcome(&plant, &approval).await;
        assert_eq!(
            (ended["status"].as_str(), ended["error"]["code"].as_str()),
            (Some(status), code),
            "{kind}: {ended}"
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!((server.orders(&approval["id"]).len(), sent_writes(&server)), (orders, writes), "{kind}");
    }
}

/// Bounded by the lease and the second in which somebody looks for due work, not by the interval of a poll.
#[tokio::test]
async fn what_a_killed_worker_left_is_taken_forward_when_its_lease_ends() {
    const LEASE: Duration = Duration::from_secs(4);
    let app = TestApp::start(&[("SERVICE_TYPE", "api")]).await;
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(&app, "cmms-lease").await;
    plant.set_system(&system("rest", &server)).await;
    let approval = plant.request("Left over").await;
    server.set_fault(Fault::CreateThenHang);
    let settings = [("PLATFORM__WORKER__LEASE_S", "4")];
    let mut worker = app.start_worker_process(&settings).await;
    plant.approve(&approval).await;
    eventually_within(TIMEOUT, "the order was created", || async {
        (!server.orders(&approval["id"]).is_empty()).then_some(())
    })
    .await;
    let _next_worker = app.start_worker_process(&settings).await;
    worker.kill();
    let killed_at = Instant::now();
    assert_eq!(outcome(&plant, &approval).await["status"], "executed");
    let elapsed = killed_at.elapsed();
    assert!(elapsed < LEASE + Duration::from_millis(3_500), "{elapsed:?}");
    assert_eq!(server.orders(&approval["id"]).len(), 1);
}

#[tokio::test]
async fn a_system_that_is_away_gets_the_order_when_it_is_back() {
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(app().await, "cmms-away").await;
    plant.set_system(&system("rest", &server)).await;
    let approval = plant.request("Later").await;
    server.set_searches_fail(true);
    plant.approve(&approval).await;
    eventually_within(TIMEOUT, "it was searched", || async { (!server.received().is_empty()).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(plant.read(&approval).await["status"], "executing", "nothing was sent, so nothing is unknown");
    server.set_searches_fail(false);
    assert_eq!(outcome(&plant, &approval).await["status"], "executed");
    assert_eq!(server.orders(&approval["id"]).len(), 1);
}

#[tokio::test]
async fn what_was_approved_for_one_system_is_not_sent_to_another() {
    let (seen, other) = (MaintenanceServer::start().await, MaintenanceServer::start().await);
    let plant = Plant::new(app().await, "cmms-moved").await;
    plant.set_system(&system("rest", &seen)).await;
    let approval = plant.request("For the first system").await;
    plant.set_system(&system("rest", &other)).await;
    let failed = approve_and_wait(&plant, &approval).await;
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("preview_changed")),
        "{failed}"
    );
    assert_eq!((seen.orders(&approval["id"]).len(), other.orders(&approval["id"]).len()), (0, 0));
    assert_eq!(other.received().len(), 0, "not even a search goes there");
}

#[tokio::test]
async fn a_change_of_the_plant_mode_stops_a_write_that_is_under_way() {
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(app().await, "cmms-mode").await;
    plant.set_system(&system("rest", &server)).await;
    let approval = plant.request("Stopped").await;
    server.set_fault(Fault::Hang);
    plant.approve(&approval).await;
    eventually_within(TIMEOUT, "the order is being sent", || async { (server.open_requests() == 1).then_some(()) })
        .await;
    plant.set_mode("off").await;
    let start = Instant::now();
    eventually_within(TIMEOUT, "the request was given up", || async { (server.open_requests() == 0).then_some(()) })
        .await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let failed = outcome(&plant, &approval).await;
    assert_eq!(failed["error"]["code"], "plant_mode", "{failed}");
    assert_eq!(server.orders(&approval["id"]).len(), 0);

    plant.set_mode("normal").await;
    let approval = plant.request("Stopped too late").await;
    server.set_fault(Fault::CreateThenHang);
    plant.approve(&approval).await;
    eventually_within(TIMEOUT, "the order was created", || async {
        (!server.orders(&approval["id"]).is_empty()).then_some(())
    })
    .await;
    plant.set_mode("read_only").await;
    assert_eq!(outcome(&plant, &approval).await["status"], "executed", "a search tells what came of it");
    assert_eq!(server.orders(&approval["id"]).len(), 1);
}

#[tokio::test]
async fn a_secret_is_never_shown_and_goes_with_its_address() {
    let (first, second) = (MaintenanceServer::start().await, MaintenanceServer::start().await);
    let plant = Plant::new(app().await, "cmms-secret").await;
    let founder = plant.founder();
    assert_eq!(founder.get(SYSTEM).await.expect_json(200)["kind"], "builtin");
    plant.set_system(&system("rest", &first)).await;
    let without = |server: &MaintenanceServer| json!({ "kind": "rest", "config": { "base_url": server.url } });
    assert_eq!(plant.set_system(&without(&first)).await["has_secret"], true, "it stays with its address");
    let approval = plant.request("With a secret").await;
    approve_and_wait(&plant, &approval).await;
    assert!(first.received().iter().all(|request| request.headers.contains_key("authorization")));

    let mut db = SuperuserDb::connect(app().await).await;
    for query in [
        "SELECT count(*) FROM audit_logs WHERE to_jsonb(audit_logs)::text LIKE '%hunter2%'",
        "SELECT count(*) FROM approvals WHERE to_jsonb(approvals)::text LIKE '%hunter2%'",
        "SELECT count(*) FROM maintenance_systems WHERE options::text LIKE '%hunter2%'
             OR position('hunter2'::bytea IN sealed_secret) > 0",
    ] {
        assert_eq!(db.count(query, &[]).await, 0, "{query}");
    }
    let tenant = plant.user_id("founder", Role::Admin).await;
    let sealed = "SELECT count(*) FROM maintenance_systems m JOIN users u ON u.tenant_id = m.tenant_id
                  WHERE u.id = $1::uuid AND octet_length(m.sealed_secret) > 29";
    assert_eq!(db.count(sealed, &[&tenant]).await, 1, "control: it is stored");
    assert!(!founder.get(SYSTEM).await.text().contains("hunter2"));
    let changes = plant.audit("event_type=admin.maintenance_system_changed").await;
    let outcome_row = changes.iter().find(|row| row["metadata"]["after"]["has_secret"] == true);
    assert!(outcome_row.is_some(), "the change is recorded: {changes:?}");

    assert_eq!(plant.set_system(&without(&second)).await["has_secret"], false, "it is dropped with its address");
    let approval = plant.request("Without a secret").await;
    approve_and_wait(&plant, &approval).await;
    assert_eq!(second.orders(&approval["id"]).len(), 1);
    assert!(second.received().iter().all(|request| !request.headers.contains_key("authorization")));
    let removed = json!({ "kind": "rest", "config": { "base_url": second.url }, "secret": null });
    plant.set_system(&system("rest", &second)).await;
    assert_eq!(plant.set_system(&removed).await["has_secret"], false);
    plant.caller("uma", Role::User).get(SYSTEM).await.expect_problem(403, "policy_denied");
}

#[tokio::test]
async fn no_secret_and_no_order_is_in_the_log() {
    let app = TestApp::start(&[("SERVICE_TYPE", "api"), ("PLATFORM__WORKER__WRITE_SETTLE_S", "1")]).await;
    let server = MaintenanceServer::start().await;
    let plant = Plant::new(&app, "cmms-log").await;
    plant.set_system(&system("sap_pm", &server)).await;
    let log = tempfile::NamedTempFile::new().expect("a file");
    let output = || Stdio::from(File::options().append(true).open(log.path()).expect("the file"));
    let mut worker = app.command(&["worker"]);
    let worker = worker.env("LOG_LEVEL", "debug").stdout(output()).stderr(output()).spawn();
    let mut worker = worker.expect("platform-server is built beside the command line");
    for (title, fault) in
        [("Refused-order", Some(Fault::Unauthorized)), ("Created-order", None), ("Echoed-order", Some(Fault::Echo500))]
    {
        if let Some(fault) = fault {
            server.set_fault(fault);
        }
        let approval = plant.request(title).await;
        approve_and_wait(&plant, &approval).await;
    }
    worker.kill().expect("it runs");
    worker.wait().expect("it ends");
    let text = fs::read_to_string(log.path()).expect("UTF-8");
    assert!(text.contains("job ended"), "control: the log is there: {text}");
    assert!(
        text.contains("an approved write could not be executed: unavailable"),
        "control: it was tried again: {text}"
    );
    for secret in ["hunter2", "Refused-order", "Created-order", "Echoed-order", "It leaks.", &basic(SECRET)[6..]] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_system_must_have_an_address_that_may_be_reached_and_the_options_of_its_kind() {
    let plant = Plant::new(app().await, "cmms-invalid").await;
    let founder = plant.founder();
    let rest = |base_url: &str| json!({ "kind": "rest", "config": { "base_url": base_url } });
    for refused in [
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://10.0.0.7/api",
        "https://user:password@cmms.example/",
        "ftp://cmms.example/",
        "https://cmms.example/api?key=1",
        "cmms",
        "",
    ] {
        let problem = founder.put(SYSTEM, &rest(refused)).await.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], "/config/base_url", "{refused}: {problem}");
    }
    let condition = "a=\"b\" or c";
    let maximo = json!({ "base_url": "http://127.0.0.1:1", "reference_field": condition });
    let maximo = json!({ "kind": "maximo", "config": maximo });
    for (body, pointer) in [
        (json!({ "kind": "rest", "config": {} }), "/config/base_url"),
        (json!({ "kind": "builtin", "config": { "base_url": "http://127.0.0.1:1" } }), "/config/base_url"),
        (json!({ "kind": "builtin", "config": {}, "secret": "secret" }), "/secret"),
        (json!({ "kind": "rest", "config": { "base_url": "http://127.0.0.1:1", "site": "A" } }), "/config/site"),
        (maximo, "/config/reference_field"),
    ] {
        let problem = founder.put(SYSTEM, &body).await.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    assert_eq!(founder.get(SYSTEM).await.expect_json(200)["kind"], "builtin", "nothing was set");
    founder.put(SYSTEM, &rest("http://127.0.0.1:1/api/")).await.expect_json(200);
}

#[tokio::test]
async fn work_orders_are_filtered_closed_and_exported() {
    let plant = Plant::new(app().await, "cmms-orders").await;
    let formula = "=HYPERLINK(\"http://evil.example\")";
    let approval = plant.request(formula).await;
    let executed = approve_and_wait(&plant, &approval).await;
    let order = format!("/v1/work-orders/{}", text(&executed["result"]["work_order_id"]));
    let close = format!("{order}/close");

    plant.caller("uma", Role::User).post(&close, &json!({})).await.expect_problem(403, "policy_denied");
    plant.caller("vera", Role::Viewer).post(&close, &json!({})).await.expect_problem(403, "policy_denied");
    let missing = "/v1/work-orders/00000000-0000-7000-8000-00000000dead/close";
    plant.founder().post(missing, &json!({})).await.expect_problem(404, "not_found");
    let open = plant.requester().get("/v1/work-orders?status=open").await.expect_json(200);
    assert_eq!(open["data"].as_array().map(Vec::len), Some(1), "{open}");

    let ines = plant.caller("ines", Role::User);
    let closed = ines.post(&close, &json!({})).await.expect_json(200);
    assert_eq!((&closed["status"], closed["closed_at"].is_string()), (&json!("closed"), true), "{closed}");
    assert_eq!(closed["closed_by"], json!(plant.user_id("ines", Role::User).await));
    plant.founder().post(&close, &json!({})).await.expect_problem(409, "conflict");
    assert_eq!(plant.requester().get(&order).await.expect_json(200), closed);
    assert_eq!(plant.requester().get("/v1/work-orders?status=open").await.expect_json(200)["data"], json!([]));
    let rows = plant.audit("event_type=work_order.closed").await;
    assert!(rows.iter().any(|row| row["resource_id"] == closed["id"]), "{rows:?}");

    let file = ines.get("/v1/work-orders/export?status=closed").await;
    assert_eq!(file.status, 200);
    assert!(file.header("content-type").is_some_and(|value| value.starts_with("text/csv")));
    assert!(file.header("content-disposition").is_some_and(|value| value.contains("work-orders.csv")));
    let lines: Vec<String> = file.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("\"id\",\"external_reference\""), "{lines:?}");
    assert!(lines[1].contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\""), "{lines:?}");
    let empty = ines.get("/v1/work-orders/export?status=open").await.text();
    assert_eq!(empty.lines().count(), 1, "{empty}");
    plant.requester().get(&path(&approval)).await.expect_json(200);
}
