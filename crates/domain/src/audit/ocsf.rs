//! Maps events to the Open Cybersecurity Schema Framework (OCSF 1.3) for a SIEM: sign-ins to Authentication (3002),
//! changes of users to Account Change (3001), everything else to API Activity (6003).

use super::sealed::SealedEvent;
use serde_json::{Value, json};

const VERSION: &str = "1.3.0";

/// OCSF class, category and activity of an event type.
struct OcsfClass {
    category: u32,
    class: u32,
    class_name: &'static str,
    activity: u32,
    activity_name: &'static str,
}

/// The event as an OCSF object.
#[must_use]
pub fn event(event: &SealedEvent) -> Value {
    let class = class(&event.event_type);
    let (status_id, status, severity) = status(event.result_status.as_deref());
    let mut object = json!({
        "metadata": {
            "version": VERSION,
            "product": { "name": "Plant agent platform", "vendor_name": "Plant agent platform" },
            "uid": event.id,
            "correlation_uid": event.correlation_id,
            "sequence": event.seq,
            "tenant_uid": event.tenant_id,
            "log_name": "audit",
            "log_provider": "platform",
        },
        "time": event.created_at.timestamp_millis(),
        "category_uid": class.category,
        "class_uid": class.class,
        "class_name": class.class_name,
        "activity_id": class.activity,
        "activity_name": class.activity_name,
        "type_uid": class.class * 100 + class.activity,
        "severity_id": severity,
        "status_id": status_id,
        "status": status,
        "actor": { "user": { "uid": event.user_id } },
        "api": { "operation": event.event_type, "request": { "uid": event.request_id } },
        "resources": [{ "uid": event.resource_id, "type": event.resource_type }],
        "duration": event.latency_ms,
        "unmapped": {
            "phase": event.phase,
            "session_id": event.session_id,
            "model": event.model,
            "tools_used": event.tools_used,
            "request_hash": event.request_hash,
            "facts": serde_json::from_str::<Value>(event.metadata.get()).unwrap_or_default(),
            "row_hash": event.row_hash,
            "chain_hash": event.chain_hash,
        },
    });
    if class.class != 6003 {
        // Both classes require the affected user.
        let about = if event.resource_type.as_deref() == Some("users") { event.resource_id } else { event.user_id };
        object["user"] = json!({ "uid": about });
    }
    without_nulls(&mut object);
    object
}

fn class(event_type: &str) -> OcsfClass {
    let (activity, activity_name) = activity(event_type);
    match event_type {
        "auth.login" | "auth.denied" => {
            OcsfClass { category: 3, class: 3002, class_name: "Authentication", activity: 1, activity_name: "Logon" }
        }
        "admin.user_created" => {
            OcsfClass { category: 3, class: 3001, class_name: "Account Change", activity: 1, activity_name: "Create" }
        }
        "admin.role_changed" => OcsfClass {
            category: 3,
            class: 3001,
            class_name: "Account Change",
            activity: 99,
            activity_name: "Role changed",
        },
        _ => OcsfClass { category: 6, class: 6003, class_name: "API Activity", activity, activity_name },
    }
}

/// Activity id and name (create, read, update or delete), from the last word of the event type.
fn activity(event_type: &str) -> (u32, &'static str) {
    let verb = event_type.rsplit(['.', '_']).next().unwrap_or_default();
    match verb {
        "create" | "created" | "upload" | "issued" | "request" | "requested" => (1, "Create"),
        "read" | "list" | "listed" | "access" | "query" | "resume" | "export" | "simulated" => (2, "Read"),
        "update" | "changed" | "reprocess" | "ingestion" | "decided" | "response" => (3, "Update"),
        "delete" | "deleted" | "revoked" | "cancel" | "retired" => (4, "Delete"),
        _ => (99, "Other"),
    }
}

/// Status id, status and severity. Refusals and failures have a higher severity; an intent has no result yet.
fn status(result: Option<&str>) -> (u32, &str, u32) {
    match result {
        Some("success") => (1, "success", 1),
        Some(failed @ ("error" | "denied")) => (2, failed, 3),
        Some(other) => (99, other, 1),
        None => (0, "unknown", 1),
    }
}

/// OCSF omits attributes whose value is unknown.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(without_nulls);
            members.retain(|_, member| !member.is_null() && *member != json!({}));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(without_nulls);
            items.retain(|item| *item != json!({}));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType;
    use super::super::lines::Line;
    use super::super::sealed::ChainHash;
    use super::*;
    use crate::time::Timestamp;
    use serde_json::value::RawValue;
    use uuid::Uuid;

    fn sample(event_type: &str, status: &str) -> SealedEvent {
        let hash = ChainHash::of(b"");
        SealedEvent {
            tenant_id: Uuid::from_u128(1),
            seq: 7,
            id: Uuid::from_u128(2),
            created_at: Timestamp::from_timestamp(1_000, 0).expect("a timestamp"),
            event_type: event_type.to_owned(),
            phase: "outcome".to_owned(),
            result_status: Some(status.to_owned()),
            user_id: Some(Uuid::from_u128(3)),
            session_id: None,
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
    fn classes_follow_the_event_and_every_type_has_one() {
        let ids = |kind: &str| {
            let object = event(&sample(kind, "denied"));
            (object["class_uid"].as_u64(), object["type_uid"].as_u64(), object["status_id"].as_u64())
        };
        assert_eq!(ids("auth.denied"), (Some(3002), Some(300_201), Some(2)));
        assert_eq!(ids("admin.role_changed"), (Some(3001), Some(300_199), Some(2)));
        assert_eq!(ids("doc.delete"), (Some(6003), Some(600_304), Some(2)));
        assert_eq!(ids("tool.invocation").0, Some(6003));
        for kind in EventType::WITHOUT_COMMAND {
            let object = event(&sample(kind.as_str(), "success"));
            assert_eq!(object["api"]["operation"], kind.as_str());
            assert!(!object.to_string().contains("null"), "{object}");
        }
        assert_eq!(event(&sample("admin.user_created", "success"))["user"]["uid"], json!(Uuid::from_u128(4)));
    }

    #[test]
    fn a_line_round_trips() {
        let line = Line::Event(Box::new(sample("doc.read", "success")));
        let text = line.to_json().expect("JSON");
        assert!(text.starts_with("{\"type\":\"event\",\"tenant_id\""), "{text}");
        let Ok(Line::Event(read)) = Line::parse(&text) else { panic!("an event") };
        assert_eq!(read.canonical(), sample("doc.read", "success").canonical());
        assert!(read.canonical().contains("\"n\": 1.50"), "{}", read.canonical());
        assert!(Line::parse("{\"type\":\"other\"}").is_err() && Line::parse("nonsense").is_err());
    }
}
