//! Connectors over HTTP: what may be configured, that secrets stay in, and the simulated plant of the whole platform.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::TestApp;
use crate::support::db::SuperuserDb;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};

const CONNECTORS: &str = "/v1/admin/connectors";

async fn admin(tenant: &'static str) -> ApiClient<'static> {
    let app = TestApp::shared().await;
    app.create_tenant(tenant).await;
    app.caller(tenant, "founder", Role::Admin)
}

fn path(connector: &Value) -> String {
    format!("{CONNECTORS}/{}", connector["id"].as_str().expect("an id"))
}

async fn import(admin: &ApiClient<'_>, connector: &Value, csv: &'static str) -> ApiResponse {
    let request = admin.request(Method::POST, &format!("{}/tags/import", path(connector)));
    ApiResponse::send(request.header("content-type", "text/csv; charset=utf-8").body(csv)).await
}

fn connector(kind: &str, endpoint: &str, config: &Value) -> Value {
    let name = format!("{kind} {endpoint} {config}");
    json!({ "name": name, "kind": kind, "endpoint": endpoint, "config": config })
}

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().expect("errors").iter().map(|e| e["pointer"].as_str().expect("a pointer")).collect()
}

#[tokio::test]
async fn a_connector_is_created_changed_and_deleted_and_its_secret_never_comes_out() {
    let admin = admin("plant-crud").await;
    let new = json!({
        "name": "plc7", "kind": "opcua", "endpoint": "opc.tcp://127.0.0.1:9",
        "config": { "security_policy": "Basic256Sha256" },
        "secret": { "username": "reader", "password": "hunter-two" }, "classification": "confidential",
        "stale_after_s": 60, "record": { "interval_s": 60, "keep_days": 90 },
        "tags": [{ "tag": "PIT-1001", "address": "ns=2;s=PIT-1001", "unit": "bar", "scale": 0.1,
                   "limits": { "normal_low": 19.5, "normal_high": 20.8 } }],
    });
    let created = admin.post(CONNECTORS, &new).await.expect_json(201);
    assert_eq!((&created["kind"], &created["endpoint"]), (&json!("opcua"), &new["endpoint"]));
    assert_eq!((&created["has_secret"], &created["enabled"]), (&json!(true), &json!(true)));
    assert_eq!((&created["record"], &created["classification"]), (&new["record"], &json!("confidential")));
    assert_eq!(created["tags"][0]["limits"]["normal_high"], json!(20.8), "{created}");
    let read = admin.get(&path(&created)).await.expect_json(200);
    assert_eq!(read, created);
    let listed = admin.get(CONNECTORS).await.expect_json(200);
    assert_eq!(listed["data"], json!([created]));
    admin.post(CONNECTORS, &new).await.expect_problem(409, "conflict");

    // The same endpoint keeps the secret, another one drops it.
    let same = json!({ "endpoint": new["endpoint"], "stale_after_s": 90 });
    let changed = admin.patch(&path(&created), &same).await.expect_json(200);
    assert_eq!((&changed["has_secret"], &changed["stale_after_s"]), (&json!(true), &json!(90)));
    let thumbprint = "AB:".repeat(31) + "AB";
    let trust = json!({ "thumbprint": thumbprint });
    let trusted = admin.post(&format!("{}/trust", path(&created)), &trust).await.expect_json(200);
    assert_eq!(trusted["trusted_thumbprint"], json!("ab".repeat(32)));
    let elsewhere = json!({ "endpoint": "opc.tcp://127.0.0.1:10" });
    let moved = admin.patch(&path(&created), &elsewhere).await.expect_json(200);
    assert_eq!((&moved["has_secret"], &moved["trusted_thumbprint"]), (&json!(false), &Value::Null));
    let tags = json!({ "tags": [{ "tag": "PIT-1002", "address": "ns=2;s=PIT-1002" }], "record": null });
    let retagged = admin.patch(&path(&created), &tags).await.expect_json(200);
    assert_eq!((&retagged["tags"][0]["tag"], &retagged["record"]), (&json!("PIT-1002"), &Value::Null));

    // Neither the answers nor the database hold the password; the audit log holds neither it nor the address.
    let audit = admin.get("/v1/audit?limit=200").await.text();
    assert!(audit.contains("connector.created") && audit.contains("connector.changed"), "{audit}");
    for text in [created.to_string(), moved.to_string(), listed.to_string(), audit] {
        assert!(!text.contains("hunter-two"), "{text}");
    }
    assert_eq!(admin.delete(&path(&created)).await.status, 204);
    admin.get(&path(&created)).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_cannot_be_connected_safely_is_refused_by_its_field() {
    let admin = admin("plant-refused").await;
    let insecure = json!({ "allow_insecure": true });
    for (kind, endpoint, config, pointer) in [
        ("opcua", "opc.tcp://127.0.0.1:4840", json!({ "security_policy": "None" }), "/config/security_policy"),
        ("opcua", "opc.tcp://127.0.0.1:4840", json!({ "security_mode": "None" }), "/config/security_mode"),
        ("mqtt", "mqtt://127.0.0.1:1883", json!({}), "/endpoint"),
        ("mqtt", "mqtt://192.0.2.7:1883", insecure.clone(), "/endpoint"),
        ("pi_web_api", "http://192.0.2.7/piwebapi", insecure.clone(), "/endpoint"),
        ("pi_web_api", "https://user:secret@pi.example/piwebapi", json!({}), "/endpoint"),
        ("simulator", "opc.tcp://127.0.0.1", json!({}), "/endpoint"),
    ] {
        let problem = admin.post(CONNECTORS, &connector(kind, endpoint, &config)).await;
        let problem = problem.expect_problem(422, "validation");
        assert_eq!(pointers(&problem), [pointer], "{kind} {endpoint}: {problem}");
    }
    for (kind, endpoint, config) in [
        ("opcua", "opc.tcp://127.0.0.1:4840", json!({ "security_policy": "None", "allow_insecure": true })),
        ("mqtt", "mqtt://127.0.0.1:1883", insecure.clone()),
        ("mqtt", "mqtts://broker.example:8883", json!({})),
        ("modbus", "modbus://192.0.2.9:502", json!({ "unit_id": 1 })),
    ] {
        admin.post(CONNECTORS, &connector(kind, endpoint, &config)).await.expect_json(201);
    }
    for (field, value, pointer) in [
        ("secret", json!({ "username": "u" }), "/secret"),
        ("secret", json!({ "token": "t", "username": "u", "password": "p" }), "/secret"),
        ("stale_after_s", json!(0), "/stale_after_s"),
        ("record", json!({ "interval_s": 0, "keep_days": 1 }), "/record/interval_s"),
        ("tags", json!([{ "tag": "A", "address": "holding:70000" }]), "/tags/0/address"),
        ("tags", json!([{ "tag": "A", "address": "coil:1" }, { "tag": "A", "address": "coil:2" }]), "/tags/1/tag"),
        (
            "tags",
            json!([{ "tag": "A", "address": "coil:1", "limits": { "normal_low": 2, "normal_high": 1 } }]),
            "/tags/0/limits/normal_high",
        ),
    ] {
        let mut body = connector("modbus", "modbus://192.0.2.9:502", &json!({}));
        body[field] = value;
        let problem = admin.post(CONNECTORS, &body).await.expect_problem(422, "validation");
        assert_eq!(pointers(&problem), [pointer], "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_simulated_plant_brings_its_own_tags_and_answers() {
    let admin = admin("plant-simulated").await;
    let created = admin.post(CONNECTORS, &json!({ "name": "sim", "kind": "simulator" })).await.expect_json(201);
    assert_eq!(created["endpoint"], Value::Null);
    let names: Vec<&str> = created["tags"].as_array().expect("tags").iter().filter_map(|t| t["tag"].as_str()).collect();
    assert!(names.contains(&"PIT-1001") && names.len() > 10, "{names:?}");
    let check = admin.post(&format!("{}/check", path(&created)), &json!({})).await.expect_json(200);
    assert_eq!(check["ok"], json!(true), "{check}");
    let browsed = admin.get(&format!("{}/browse?limit=3", path(&created))).await.expect_json(200);
    assert_eq!((browsed["supported"].clone(), browsed["tags"].as_array().map(Vec::len)), (json!(true), Some(3)));
    let second = admin.post(CONNECTORS, &json!({ "name": "sim2", "kind": "simulator" })).await.expect_json(201);
    assert!(second["tags"].to_string().contains("sim2.PIT-1001"), "{second}");

    // A source that is not there is said in words, not by a failed request.
    let dead = json!({ "name": "dead", "kind": "modbus", "endpoint": "modbus://127.0.0.1:9" });
    let dead = admin.post(CONNECTORS, &dead).await.expect_json(201);
    let check = admin.post(&format!("{}/check", path(&dead)), &json!({})).await.expect_json(200);
    assert_eq!(check["ok"], json!(false), "{check}");
    assert!(check["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{check}");

    // In the plant mode `off` nothing is connected.
    let off = json!({ "mode": "off", "reason": "A test" });
    admin.put("/v1/admin/plant-mode", &off).await.expect_json(200);
    let check = admin.post(&format!("{}/check", path(&created)), &json!({})).await.expect_json(200);
    assert_eq!(check["ok"], json!(false), "{check}");
    assert!(check["detail"].as_str().is_some_and(|detail| detail.contains("plant mode")), "{check}");
    admin.get(&format!("{}/browse", path(&created))).await.expect_problem(503, "plant_mode");
}

#[tokio::test]
async fn a_catalogue_is_imported_as_a_whole_or_not_at_all() {
    let admin = admin("plant-import").await;
    let new = json!({ "name": "plc", "kind": "modbus", "endpoint": "modbus://127.0.0.1:502",
                      "tags": [{ "tag": "OLD", "address": "coil:1" }] });
    let connector = admin.post(CONNECTORS, &new).await.expect_json(201);
    let wrong = "tag,address,scale,data_type\nA,holding:1,0.1,int16\nB,holding:2,much,int16\n,holding:3,,\nC,40001,,\n";
    let problem = import(&admin, &connector, wrong).await.expect_problem(422, "validation");
    assert_eq!(pointers(&problem), ["/lines/3/scale", "/lines/4/tag"], "{problem}");
    assert!(problem["errors"][0]["detail"].as_str().is_some_and(|text| text.starts_with("line 3")), "{problem}");
    let wrong_address = "tag,address\nA,holding:1\nC,40001\n";
    let problem = import(&admin, &connector, wrong_address).await.expect_problem(422, "validation");
    assert_eq!(pointers(&problem), ["/lines/3/address"], "{problem}");
    assert_eq!(admin.get(&path(&connector)).await.expect_json(200)["tags"].as_array().map(Vec::len), Some(1));

    let right = "tag;address;unit;normal_high\nOLD;coil:2;;\nA;holding:1;bar;20.8\n";
    let imported = import(&admin, &connector, right).await.expect_json(200);
    assert_eq!(imported, json!({ "imported": 2, "tags": 2 }));
    let tags = admin.get(&path(&connector)).await.expect_json(200)["tags"].clone();
    assert_eq!((&tags[0]["tag"], &tags[0]["limits"]["normal_high"]), (&json!("A"), &json!(20.8)));
    assert_eq!((&tags[1]["tag"], &tags[1]["address"]), (&json!("OLD"), &json!("coil:2")));
    let request = admin.request(Method::POST, &format!("{}/tags/import", path(&connector)));
    ApiResponse::send(request.json(&json!({}))).await.expect_problem(415, "unsupported_media");
}

#[tokio::test]
async fn a_secret_is_encrypted_in_the_database() {
    let app = TestApp::shared().await;
    let admin = admin("plant-sealed").await;
    let new = json!({ "name": "pi", "kind": "pi_web_api", "endpoint": "https://pi.example/piwebapi",
                      "secret": { "token": "very-secret-token" } });
    let created = admin.post(CONNECTORS, &new).await.expect_json(201);
    let id = created["id"].as_str().expect("an id").to_owned();
    // Succeeds only if the row has a secret in which the token cannot be read.
    let statement = "UPDATE connectors SET stale_after_s = CASE
                         WHEN length(sealed_secret) > 20
                              AND position('very-secret-token'::bytea IN sealed_secret) = 0 THEN 777 ELSE 1 END
                     WHERE id = $1::uuid";
    SuperuserDb::connect(app).await.execute(statement, &[&id]).await;
    assert_eq!(admin.get(&path(&created)).await.expect_json(200)["stale_after_s"], json!(777));
}
