//! Readings of plant systems: as citations on every surface, and as charts.

use crate::support::*;
use domain::approval::ToolInvocation;
use domain::command::{AskAssistant, Branches, ExportConversation, InvokeTool, SendMessage};
use domain::conversation::{Citation, CitedSeries, Message, MessageRole, MessageStatus, ReadingCitation, Transcript};
use domain::ids::{ConversationId, MessageId};
use domain::plant::{Aggregate, SeriesPeriod};
use domain::role::{Classification, Role};
use domain::run::{AssistantRun, RunEvent};
use serde_json::{Value, json};

const CHART: &str = "/v1/readings/chart?tag=PIT-1001&from=2026-11-30T00:00:00Z&to=2026-11-30T08:00:00Z&aggregate=avg";

fn run() -> Vec<RunEvent> {
    vec![
        started_event(),
        RunEvent::Delta { text: "It is 4.6 bar [2]; close V-1 [1].".into() },
        RunEvent::Cited(reading_citation()),
        RunEvent::Cited(citation()),
        finished_event(),
    ]
}

/// A citation of a history.
fn series_citation() -> Citation {
    let period = SeriesPeriod { from: fixed_time(), to: fixed_time() };
    let series = Some(CitedSeries { period, aggregate: Aggregate::Avg });
    Citation::Reading(ReadingCitation { series, ..reading_citation().reading().expect("a reading").clone() })
}

#[tokio::test]
async fn a_citation_of_a_reading_has_the_documented_fields() {
    let mut gate = gate_for(Role::User);
    gate.on::<SendMessage>(|_, _| Ok(event_stream(run())));
    let path = "/v1/conversations/00000000-0000-0000-0000-00000000f003/chat";
    let reply = send(&router(gate, settings()), json_request("POST", path, r#"{"message":"?","stream":false}"#)).await;
    let citations = reply.json()["citations"].clone();
    assert_eq!(
        citations[0],
        json!({
            "n": 2, "kind": "reading", "tag": "PIT-1001", "value": 4.6, "unit": "bar", "quality": "good",
            "at": "2026-01-01T00:00:00.123456Z", "source": "simulator:demo", "stale": false, "chart": null,
        })
    );
    assert_eq!((&citations[1]["kind"], &citations[1]["n"]), (&json!("document"), &json!(1)));
}

#[tokio::test]
async fn clients_of_the_openai_api_get_readings_as_annotations() {
    let mut gate = gate_for(Role::User);
    gate.on::<AskAssistant>(|_, _| {
        let conversation = ConversationId::from_uuid(uuid(3));
        Ok(AssistantRun { conversation, events: event_stream(run()), omitted_tools: 0 })
    });
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "How?" }] }).to_string();
    let reply =
        send(&router(gate, settings()), json_request("POST", "/openai/v1/chat/completions", &body)).await.json();
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], "It is 4.6 bar [1]; close V-1 [2].", "numbered in the order of the citations");
    let annotation = &message["annotations"][0]["url_citation"];
    let title = annotation["title"].as_str().expect("a title");
    assert!(title.starts_with("PIT-1001: 4.6 bar, good, 2026-01-01"), "{title}");
    assert!(annotation["url"].as_str().expect("a URL").starts_with("/v1/readings/chart?tag=PIT-1001&"), "{annotation}");
    assert_eq!((&annotation["start_index"], &annotation["end_index"]), (&json!(14), &json!(17)));
}

fn exported(branches: Branches) -> Transcript {
    let message = Message {
        id: MessageId::from_uuid(uuid(7)),
        conversation_id: ConversationId::from_uuid(uuid(3)),
        parent_id: None,
        seq: 1,
        role: MessageRole::Assistant,
        content: "It is 4.6 bar [2].".into(),
        status: MessageStatus::Complete,
        token_count: None,
        citations: vec![reading_citation(), series_citation()],
        model: None,
        classification: Classification::Internal,
        sources: domain::conversation::Sources::default(),
        withheld: false,
        degraded: false,
        summary: None,
        author: None,
        source_teams: Vec::new(),
        unsupported_statements: Vec::new(),
        created_at: fixed_time(),
    };
    let messages = if branches == Branches::All { vec![message.clone(), message] } else { vec![message] };
    Transcript { conversation: conversation(), messages }
}

#[tokio::test]
async fn exports_name_the_readings_and_the_chart_of_a_series() {
    let mut gate = gate_for(Role::User);
    gate.on::<ExportConversation>(|_, command| Ok(exported(command.branches)));
    let router = router(gate, settings());
    let path = "/v1/conversations/00000000-0000-0000-0000-00000000f003/export?format=";
    let markdown = send(&router, get(&format!("{path}markdown"))).await.text;
    let line = "- [2] PIT-1001: 4.6 bar, good, 2026-01-01 00:00:00 UTC (simulator:demo)\n";
    assert!(markdown.contains(line), "{markdown}");
    assert!(markdown.contains(", chart: /v1/readings/chart?tag=PIT-1001&from="), "{markdown}");
    let json = send(&router, get(&format!("{path}json"))).await.json();
    assert_eq!(json["messages"][0]["citations"][0]["kind"], "reading");
    assert!(json["messages"][0]["citations"][1]["chart"].is_string(), "{json}");
}

fn history() -> Value {
    json!({
        "tag": "PIT-1001", "unit": "bar", "aggregate": "avg", "interval_s": 300, "good_share": 1.0, "samples": 3,
        "points": [
            { "at": "2026-11-30T00:00:00Z", "value": 4.5, "quality": "good" },
            { "at": "2026-11-30T00:05:00Z", "value": 4.7, "quality": "uncertain" },
        ],
        "truncated": false, "origin": "recorded", "source": "simulator:demo", "classification": "confidential",
        "limits": { "normal_low": 5.0, "normal_high": 7.0, "alarm_low": null, "alarm_high": null },
        "from": "2026-11-30T00:00:00Z", "to": "2026-11-30T08:00:00Z",
    })
}

#[tokio::test]
async fn a_chart_is_what_the_history_tool_returns_drawn() {
    let mut gate = gate_for(Role::User);
    gate.on::<InvokeTool>(|_, command| {
        assert_eq!(command.name.as_str(), "plant_history_read");
        assert_eq!((&command.arguments["tag"], &command.arguments["aggregate"]), (&json!("PIT-1001"), &json!("avg")));
        Ok(ToolInvocation::Result { result: history(), classification: Classification::Confidential })
    });
    let reply = send(&router(gate, settings()), get(CHART)).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("image/svg+xml")));
    assert_eq!(reply.header("x-classification"), Some("confidential"));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert!(
        reply.text.starts_with("<svg ") && reply.text.contains("<title id=\"title\">PIT-1001 in bar"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn an_invalid_chart_request_names_its_parameter_and_calls_no_tool() {
    let router = router(gate_for(Role::User), settings());
    for (path, pointer) in [
        ("/v1/readings/chart?tag=x&from=2026-11-30T00:00:00Z&to=2026-11-30T00:00:00Z&aggregate=avg", "/to"),
        ("/v1/readings/chart?tag=%20&from=2026-11-30T00:00:00Z&to=2026-11-30T01:00:00Z&aggregate=avg", "/tag"),
        ("/v1/readings/chart?tag=x&from=2026-11-30T00:00:00Z&to=2026-11-30T01:00:00Z&aggregate=median", "/aggregate"),
        ("/v1/readings/chart?tag=x&from=now&to=2026-11-30T01:00:00Z&aggregate=avg", "/from"),
    ] {
        let reply = send(&router, get(path)).await;
        assert_eq!(reply.status, 422, "{path}: {}", reply.text);
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{path}: {}", reply.text);
    }
}
