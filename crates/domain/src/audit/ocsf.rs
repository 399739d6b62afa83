//! Maps events to the Open Cybersecurity Schema Framework (OCSF 1.3) for a SIEM: sign-ins to Authentication (3002),
//! changes to users to Account Change (3001), everything else to API Activity (6003).

use super::chain::ChainedEvent;
use serde_json::{Value, json};

const OCSF_VERSION: &str = "1.3.0";

/// OCSF class, category and activity of an event type.
struct OcsfClass {
    category_uid: u32,
    class_uid: u32,
    class_name: &'static str,
    activity_id: u32,
    activity_name: &'static str,
}

/// The event as an OCSF object.
#[must_use]
pub fn to_ocsf(event: &ChainedEvent) -> Value {
    let class = ocsf_class(&event.event_type);
    let (status_id, status, severity) = ocsf_status(event.result_status.as_deref());
    let mut object = json!({
        "metadata": {
            "version": OCSF_VERSION,
            "product": { "name": "Plant agent platform", "vendor_name": "Plant agent platform" },
            "uid": event.id,
            "correlation_uid": event.correlation_id,
            "sequence": event.seq,
            "tenant_uid": event.tenant_id,
            "log_name": "audit",
            "log_provider": "platform",
        },
        "time": event.created_at.timestamp_millis(),
        "category_uid": class.category_uid,
        "class_uid": class.class_uid,
        "class_name": class.class_name,
        "activity_id": class.activity_id,
        "activity_name": class.activity_name,
        "type_uid": class.class_uid * 100 + class.activity_id,
        "severity_id": severity,
        "status_id": status_id,
        "status": status,
        "actor": { "user": { "uid": event.user_id }, "session": { "uid": event.session_id } },
        "api": { "operation": event.event_type, "request": { "uid": event.request_id } },
        "resources": [{ "uid": event.resource_id, "type": event.resource_type }],
        "duration": event.latency_ms,
        "unmapped": {
            "phase": event.phase,
            "conversation_id": event.conversation_id,
            "model": event.model,
            "tools_used": event.tools_used,
            "request_hash": event.request_hash,
            "facts": serde_json::from_str::<Value>(event.metadata.get()).unwrap_or_default(),
            "row_hash": event.row_hash,
            "chain_hash": event.chain_hash,
        },
    });
    if class.class_uid != 6003 {
        // Both classes require the affected user.
        let affected_user =
            if event.resource_type.as_deref() == Some("users") { event.resource_id } else { event.user_id };
        object["user"] = json!({ "uid": affected_user });
    }
    remove_nulls(&mut object);
    object
}

fn ocsf_class(event_type: &str) -> OcsfClass {
    let (activity, activity_name) = ocsf_activity(event_type);
    match event_type {
        "auth.login" | "auth.denied" => OcsfClass {
            category_uid: 3,
            class_uid: 3002,
            class_name: "Authentication",
            activity_id: 1,
            activity_name: "Logon",
        },
        "admin.user_created" => OcsfClass {
            category_uid: 3,
            class_uid: 3001,
            class_name: "Account Change",
            activity_id: 1,
            activity_name: "Create",
        },
        "admin.role_changed" => OcsfClass {
            category_uid: 3,
            class_uid: 3001,
            class_name: "Account Change",
            activity_id: 99,
            activity_name: "Role changed",
        },
        _ => OcsfClass {
            category_uid: 6,
            class_uid: 6003,
            class_name: "API Activity",
            activity_id: activity,
            activity_name,
        },
    }
}

/// Activity id and name (create, read, update or delete), from the last word of the event type.
fn ocsf_activity(event_type: &str) -> (u32, &'static str) {
    let verb = event_type.rsplit(['.', '_']).next().unwrap_or_default();
    match verb {
        "create" | "created" | "upload" | "issued" | "request" | "requested" | "suggested" => (1, "Create"),
        "read" | "list" | "listed" | "access" | "query" | "resume" | "export" | "simulated" => (2, "Read"),
        "update" | "changed" | "reprocess" | "ingestion" | "decided" | "response" => (3, "Update"),
        "delete" | "deleted" | "revoked" | "cancel" | "retired" => (4, "Delete"),
        _ => (99, "Other"),
    }
}

/// Status id, status and severity. Refusals and failures have a higher severity; an intent has no result yet.
fn ocsf_status(result: Option<&str>) -> (u32, &str, u32) {
    match result {
        Some("success") => (1, "success", 1),
        Some(failed @ ("error" | "denied")) => (2, failed, 3),
        Some(other) => (99, other, 1),
        None => (0, "unknown", 1),
    }
}

/// Removes nulls and empty objects: OCSF omits attributes whose value is unknown.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(remove_nulls);
            members.retain(|_, member| !member.is_null() && *member != json!({}));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(remove_nulls);
            items.retain(|item| *item != json!({}));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType;
    use super::super::chain::{AuditHash, RowFormatVersion};
    use super::super::export::ExportLine;
    use super::*;
    use crate::time::Timestamp;
    use serde_json::value::RawValue;
    use uuid::Uuid;

    fn sample_event(event_type: &str, status: &str) -> ChainedEvent {
        let hash = AuditHash::digest(b"");
        ChainedEvent {
            format_version: RowFormatVersion::WITH_SESSION,
            tenant_id: Uuid::from_u128(1),
            seq: 7,
            id: Uuid::from_u128(2),
            created_at: Timestamp::from_timestamp(1_000, 0).expect("a timestamp"),
            event_type: event_type.to_owned(),
            phase: "outcome".to_owned(),
            result_status: Some(status.to_owned()),
            user_id: Some(Uuid::from_u128(3)),
            session_id: Some(Uuid::from_u128(6)),
            conversation_id: None,
            resource_type: Some("users".to_owned()),
            resource_id: Some(Uuid::from_u128(4)),
            model: None,
            tools_used: vec![],
            request_hash: None,
            latency_ms: Some(12),
            correlation_id: Uuid::from_u128(5),
            request_id: Some("r-1".to_owned()),
            metadata: RawValue::from_string("{\"reason\": \"matrix\", \"n\": 1.50}".to_owned()).expect("JSON"),
            row_hash: hash,
            chain_hash: hash,
        }
    }

    #[test]
    fn each_event_type_has_an_ocsf_class() {
        let ids = |event_type: &str| {
            let object = to_ocsf(&sample_event(event_type, "denied"));
            (object["class_uid"].as_u64(), object["type_uid"].as_u64(), object["status_id"].as_u64())
        };
        assert_eq!(ids("auth.denied"), (Some(3002), Some(300_201), Some(2)));
        assert_eq!(ids("admin.role_changed"), (Some(3001), Some(300_199), Some(2)));
        assert_eq!(ids("doc.delete"), (Some(6003), Some(600_304), Some(2)));
        assert_eq!(ids("tool.invocation").0, Some(6003));
        for event_type in EventType::NON_COMMAND_EVENTS {
            let object = to_ocsf(&sample_event(event_type.as_str(), "success"));
            assert_eq!(object["api"]["operation"], event_type.as_str());
            assert!(!object.to_string().contains("null"), "{object}");
        }
        assert_eq!(to_ocsf(&sample_event("admin.user_created", "success"))["user"]["uid"], json!(Uuid::from_u128(4)));
    }

    #[test]
    fn an_export_line_round_trips() {
        let line = ExportLine::Event(Box::new(sample_event("doc.read", "success")));
        let text = line.to_json().expect("JSON");
        assert!(text.starts_with("{\"type\":\"event\",\"layout\":2,\"tenant_id\""), "{text}");
        let Ok(ExportLine::Event(parsed)) = ExportLine::parse(&text) else { panic!("an event") };
        assert_eq!(parsed.canonical_json(), sample_event("doc.read", "success").canonical_json());
        assert!(parsed.canonical_json().contains("\"n\": 1.50"), "{}", parsed.canonical_json());
        assert!(ExportLine::parse("{\"type\":\"other\"}").is_err() && ExportLine::parse("nonsense").is_err());
    }
}
