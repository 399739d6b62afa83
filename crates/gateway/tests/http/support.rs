//! Test support: a router with a mocked gate, requests, responses and sample data.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, Utc};
use domain::conversation::{Citation, Conversation, DocumentCitation, ReadingCitation};
use domain::document::{Document, DocumentStatus, Revision};
use domain::ids::{ChunkId, ConversationId, DocumentId, MessageId, RunId, TenantId, UserId};
use domain::model::{ModelTier, TierChoice};
use domain::plant::{PlantMode, Quality, TagValue};
use domain::role::{Classification, Role};
use domain::run::{EventStream, FinishReason, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use domain::scope::{Actor, TenantScope};
use domain::tenant::{Tenant, TenantSettings};
use domain::user::{Account, Entitlements, User};
use fakes::SequentialIds;
use futures::StreamExt;
use gateway::console::ConsolePorts;
use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports, Readiness};
use policy::caller::Caller;
use policy::gate::MockGate;
use serde_json::Value;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use uuid::Uuid;

/// A response with its whole body.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// Returns status, code and the pointer of the first field error. Checks the members that every problem document
    /// must have.
    pub fn problem(&self) -> (u16, String, Option<String>) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        for field in ["type", "title", "detail", "instance", "code"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
        }
        let pointer = body["errors"][0]["pointer"].as_str().map(str::to_owned);
        (self.status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned(), pointer)
    }
}

/// The default settings, without rate limits.
pub fn settings() -> GatewaySettings {
    GatewaySettings { rate_limit_enabled: false, ..GatewaySettings::default() }
}

pub fn router(gate: MockGate, settings: GatewaySettings) -> Router {
    router_with_readiness(gate, settings, Arc::new(AlwaysReady))
}

pub fn router_with_readiness(gate: MockGate, settings: GatewaySettings, readiness: Arc<dyn Readiness>) -> Router {
    let ports = Ports {
        ids: Arc::new(SequentialIds::default()),
        readiness,
        limiter: Arc::new(InProcessLimiter::default()),
        metrics: None,
        tasks: TaskTracker::new(),
        console: ConsolePorts::default(),
    };
    gateway::router(Arc::new(gate), ports, settings)
}

/// A gate that authenticates every token as a user with this role.
pub fn gate_for(role: Role) -> MockGate {
    let mut gate = MockGate::new();
    gate.on_authenticate(move |_, _| Ok(caller(role)));
    gate
}

pub async fn send(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a whole body");
    Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).expect("UTF-8") }
}

pub fn get(path: &str) -> Request<Body> {
    request("GET", path, Body::empty())
}

pub fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).header("authorization", "Bearer token").body(body).expect("a request")
}

pub fn json_request(method: &str, path: &str, body: &str) -> Request<Body> {
    let mut request = request(method, path, Body::from(body.to_owned()));
    request.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    request
}

pub fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().expect("a value"));
    request
}

/// Returns a fixed id: `uuid(3)` is `00000000-0000-0000-0000-00000000f003`.
pub fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0xf000 + n)
}

pub fn fixed_time() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_225_600_123_456).expect("a moment")
}

#[expect(clippy::disallowed_methods, reason = "a mocked gate stands in for authentication")]
pub fn caller(role: Role) -> Caller {
    let tenant = Tenant {
        id: TenantId::from_uuid(uuid(1)),
        name: "Plant A".into(),
        slug: "plant-a".into(),
        settings: TenantSettings::default(),
        settings_version: 1,
        is_active: true,
        created_at: fixed_time(),
        updated_at: fixed_time(),
    };
    let user = user(role);
    let request = domain::ids::RequestId::parse("r").expect("an id");
    let scope = TenantScope::mint(tenant.id, Actor::User(user.id), request);
    let entitlements = Entitlements {
        role,
        grants: vec![],
        clearance: Classification::Internal,
        may_request_writes: false,
        team: None,
    };
    Caller::new(scope, tenant, user, entitlements)
}

pub fn account(role: Role) -> Account {
    let caller = caller(role);
    Account {
        user: caller.user().clone(),
        entitlements: caller.entitlements().clone(),
        settings: caller.tenant().settings.clone(),
        plant_mode: PlantMode::Normal,
    }
}

pub fn user(role: Role) -> User {
    User {
        id: UserId::from_uuid(uuid(2)),
        issuer: "https://issuer.example".into(),
        external_id: "anna".into(),
        email: "anna@plant-a.example".into(),
        display_name: Some("Anna".into()),
        role,
        role_from_token: true,
        role_pinned: false,
        role_set_at: None,
        grants: vec![],
        is_active: true,
        last_login: None,
        created_at: fixed_time(),
    }
}

pub fn conversation() -> Conversation {
    Conversation {
        id: ConversationId::from_uuid(uuid(3)),
        user_id: UserId::from_uuid(uuid(2)),
        title: Some("Pump P-101".into()),
        model: Some(TierChoice::Fast),
        metadata: serde_json::json!({"unit": "U100"}),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: None,
        created_at: fixed_time(),
        updated_at: fixed_time(),
    }
}

pub fn document() -> Document {
    Document {
        id: DocumentId::from_uuid(uuid(4)),
        filename: "Prüfung.pdf".into(),
        title: "SOP-12".into(),
        mime_type: "application/pdf".into(),
        file_size_bytes: 10,
        sha256: "ab12".into(),
        storage_path: "tenant/secret-key".into(),
        doc_type: Some("procedure".into()),
        tags: vec!["valve".into()],
        classification: Classification::Internal,
        status: DocumentStatus::Ready,
        failure: None,
        progress: None,
        warnings: Vec::new(),
        revision: Revision::default(),
        superseded_by: None,
        page_count: Some(3),
        chunk_count: 7,
        metadata: serde_json::json!({}),
        uploaded_by: UserId::from_uuid(uuid(2)),
        team_id: None,
        created_at: fixed_time(),
        updated_at: fixed_time(),
    }
}

/// A reading of a plant system, with the number 2.
pub fn reading_citation() -> Citation {
    Citation::Reading(ReadingCitation {
        n: 2,
        tag: "PIT-1001".into(),
        value: TagValue::number(4.6),
        unit: Some("bar".into()),
        quality: Quality::Good,
        at: fixed_time(),
        source: "simulator:demo".into(),
        stale: false,
        classification: Classification::Internal,
        series: None,
    })
}

pub fn citation() -> Citation {
    Citation::Document(DocumentCitation {
        n: 1,
        document_id: DocumentId::from_uuid(uuid(4)),
        file_name: "sop-12.pdf".into(),
        title: "SOP-12".into(),
        page: Some(3),
        section: None,
        chunk_id: ChunkId::from_uuid(uuid(5)),
        quote: "Close V-1.\nThen wait.".into(),
        score: 0.87,
    })
}

pub fn started_event() -> RunEvent {
    RunEvent::Started {
        run_id: RunId::from_uuid(uuid(6)),
        message_id: MessageId::from_uuid(uuid(7)),
        model: ModelTier::Fast,
        escalation: None,
        privacy_warnings: Vec::new(),
    }
}

pub fn finished_event() -> RunEvent {
    RunEvent::Finished(RunSummary {
        fallback: false,
        finish_reason: FinishReason::Stop,
        usage: TokenUsage { input_tokens: 12, output_tokens: 4 },
        model: "extractive".into(),
        degraded: false,
        omitted_count: 0,
        message_id: MessageId::from_uuid(uuid(7)),
        unsupported_statements: Vec::new(),
    })
}

pub fn event_stream(events: Vec<RunEvent>) -> EventStream {
    let numbered = (1..).zip(events).map(|(seq, event)| NumberedEvent { seq, event });
    futures::stream::iter(numbered.collect::<Vec<_>>()).boxed()
}
