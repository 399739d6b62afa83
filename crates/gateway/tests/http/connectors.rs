//! The routes of connectors: what reaches the gate, and what never comes back.

use crate::support::*;
use axum::body::Body;
use domain::audit::Change;
use domain::command::{CheckConnector, CreateConnector, ImportTags, TrustCertificate, UpdateConnector};
use domain::ids::{ConnectorId, TagId};
use domain::plant::{
    Connector, ConnectorCheck, ConnectorCredential, ConnectorDetails, ConnectorKind, Recording, SealedSecret, Tag,
    TagAddress, TagLimits, TagMapping,
};
use domain::role::{Classification, Role};
use serde_json::{Value, json};

const PATH: &str = "/v1/admin/connectors/00000000-0000-0000-0000-00000000f009";

fn details() -> ConnectorDetails {
    let tag = Tag {
        id: TagId::from_uuid(uuid(10)),
        name: "PIT-1001".into(),
        mapping: TagMapping { address: TagAddress("holding:4".into()), data_type: None, scale: Some(0.1) },
        unit: Some("bar".into()),
        description: None,
        equipment: None,
        limits: TagLimits { normal_high: Some(20.8), ..TagLimits::default() },
    };
    let connector = Connector {
        id: ConnectorId::from_uuid(uuid(9)),
        name: "plc7".into(),
        kind: ConnectorKind::Modbus,
        endpoint: "modbus://10.0.0.9:502".into(),
        config: json!({ "unit_id": 1 }),
        secret: Some(SealedSecret(b"sealed".to_vec())),
        classification: Classification::Internal,
        stale_after_s: 60,
        recording: Some(Recording { interval_s: 60, keep_days: 90 }),
        is_enabled: true,
        trusted_certificate: None,
        revision: 3,
        created_at: fixed_time(),
        updated_at: fixed_time(),
    };
    ConnectorDetails { connector, tags: vec![tag] }
}

fn unchanged() -> Change<ConnectorDetails> {
    Change { before: details(), after: details() }
}

fn pointer(reply: &Reply) -> Value {
    reply.json()["errors"][0]["pointer"].clone()
}

#[tokio::test]
async fn a_new_connector_reaches_the_gate_with_defaults_and_comes_back_without_its_secret() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<CreateConnector>(|_, command| {
        let new = command.connector;
        assert_eq!((new.kind, new.endpoint.as_str()), (ConnectorKind::Modbus, "modbus://10.0.0.9:502"));
        assert_eq!((new.classification, new.stale_after_s, new.is_enabled), (Classification::Internal, 300, true));
        assert_eq!(new.secret, Some(ConnectorCredential::Token { token: "t0ken".into() }));
        assert_eq!((new.tags.len(), new.recording), (1, None));
        Ok(details())
    });
    let router = router(gate, settings());
    let body = json!({
        "name": "plc7", "kind": "modbus", "endpoint": " modbus://10.0.0.9:502 ", "secret": { "token": "t0ken" },
        "tags": [{ "tag": "PIT-1001", "address": "holding:4", "data_type": "int16", "scale": 0.1 }],
    });
    let created = send(&router, json_request("POST", "/v1/admin/connectors", &body.to_string())).await;
    assert_eq!(created.status, 201);
    assert_eq!(
        created.json(),
        json!({
            "id": uuid(9), "name": "plc7", "kind": "modbus", "endpoint": "modbus://10.0.0.9:502",
            "config": { "unit_id": 1 }, "has_secret": true, "classification": "internal", "stale_after_s": 60,
            "tags": [{
                "tag": "PIT-1001", "address": "holding:4", "unit": "bar", "description": null, "equipment": null,
                "data_type": null, "scale": 0.1,
                "limits": { "normal_low": null, "normal_high": 20.8, "alarm_low": null, "alarm_high": null },
            }],
            "record": { "interval_s": 60, "keep_days": 90 }, "enabled": true, "trusted_thumbprint": null,
            "created_at": created.json()["created_at"], "updated_at": created.json()["updated_at"],
        })
    );
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let router = router(gate_for(Role::Admin), settings());
    for (field, value, expected) in [
        ("name", json!(" "), "/name"),
        ("kind", json!("profinet"), "/kind"),
        ("secret", json!({ "username": "u" }), "/secret"),
        ("secret", json!({ "username": "u", "password": "p", "token": "t" }), "/secret"),
        ("stale_after_s", json!(0), "/stale_after_s"),
        ("record", json!({ "interval_s": 1, "keep_days": 0 }), "/record/keep_days"),
        ("tags", json!([{ "tag": "", "address": "a" }]), "/tags/0/tag"),
        (
            "tags",
            json!([{ "tag": "A", "address": "a", "limits": { "alarm_low": 2, "alarm_high": 2 } }]),
            "/tags/0/limits/alarm_high",
        ),
        ("tags", json!([{ "tag": "A", "address": "a", "data_type": "int99" }]), "/tags/0/data_type"),
    ] {
        let mut body = json!({ "name": "plc7", "kind": "modbus", "endpoint": "modbus://10.0.0.9:502" });
        body[field] = value;
        let reply = send(&router, json_request("POST", "/v1/admin/connectors", &body.to_string())).await;
        assert_eq!((reply.status.as_u16(), pointer(&reply)), (422, json!(expected)), "{body}");
    }
    let trust = json_request("POST", &format!("{PATH}/trust"), r#"{"thumbprint": "12"}"#);
    assert_eq!(pointer(&send(&router, trust).await), json!("/thumbprint"));
}

#[tokio::test]
async fn a_change_tells_missing_from_null_and_a_check_says_what_it_found() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<UpdateConnector>(|_, command| {
        assert_eq!((command.patch.secret, command.patch.recording), (Some(None), None));
        assert_eq!((command.patch.endpoint, command.patch.is_enabled), (None, Some(false)));
        Ok(unchanged())
    });
    gate.on::<TrustCertificate>(|_, command| {
        assert_eq!(command.thumbprint.0, "ab".repeat(32));
        Ok(unchanged())
    });
    gate.on::<CheckConnector>(|_, _| {
        let detail = "connection refused".to_owned();
        Ok(ConnectorCheck { ok: false, detail, untrusted_certificate: None })
    });
    let router = router(gate, settings());
    let change = json_request("PATCH", PATH, r#"{"secret": null, "enabled": false}"#);
    assert_eq!(send(&router, change).await.status, 200);
    let thumbprint = json!({ "thumbprint": "AB".repeat(32) }).to_string();
    assert_eq!(send(&router, json_request("POST", &format!("{PATH}/trust"), &thumbprint)).await.status, 200);
    let check = send(&router, json_request("POST", &format!("{PATH}/check"), "{}")).await;
    assert_eq!(check.json(), json!({ "ok": false, "detail": "connection refused", "untrusted_thumbprint": null }));
}

#[tokio::test]
async fn an_import_takes_csv_and_nothing_else() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<ImportTags>(|_, command| {
        assert_eq!(command.tags.len(), 2);
        assert_eq!(command.tags[1].limits.normal_high, Some(20.8));
        Ok(unchanged())
    });
    let router = router(gate, settings());
    let import = |content_type: &'static str, body: &'static str| {
        let request = request("POST", &format!("{PATH}/tags/import"), Body::from(body));
        with_header(request, "content-type", content_type)
    };
    let csv = "tag,address,normal_high\nA,holding:1,\nB,holding:2,20.8\n";
    let imported = send(&router, import("text/csv; charset=utf-8", csv)).await;
    assert_eq!(imported.json(), json!({ "imported": 2, "tags": 1 }));
    let wrong = send(&router, import("text/csv", "tag,address,scale\nA,holding:1,x\n")).await;
    assert_eq!((wrong.status.as_u16(), pointer(&wrong)), (422, json!("/lines/2/scale")));
    assert_eq!(send(&router, import("application/json", "{}")).await.status, 415);
}
