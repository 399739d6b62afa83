//! The resource routes: the commands that reach the gate, and the responses.

use crate::support::*;
use async_trait::async_trait;
use axum::body::Body;
use domain::audit::{AuditRecord, Change};
use domain::budget::{BudgetAmount, Money, PeriodSpending, Spending};
use domain::command::{
    CancelRun, CreateConversation, CreateMemory, CreateTenant, CreateUser, DeleteConversation, DeleteDocument,
    DeleteMemory, GetConversation, GetDocument, ListAudit, ListConversations, ListDocuments, ListMemories,
    ListSessions, ListTenants, ListUserSessions, ListUsers, ReadAccount, ReadModelUsage, ReprocessDocument,
    RevokeSession, RevokeUserSession, SearchDocuments, UpdateConversation, UpdateMemory, UpdateTenant,
    UpdateTenantSettings, UpdateUser,
};
use domain::conversation::{Message, MessageRole, MessageStatus, TextRange, Transcript};
use domain::document::{DocumentFailure, DocumentStatus, FailureCode};
use domain::ids::{
    AuditId, ChunkId, ConversationId, DocumentId, MemoryId, MessageId, RequestId, SessionId, TenantId, UserId,
};
use domain::ledger::{GroupUsage, LedgerAggregates, UsageAggregates, UsageDimension, UsageReport};
use domain::memory::{Memory, MemoryPatch};
use domain::model_call::MicroCost;
use domain::page::{Page, PageKey};
use domain::role::{Classification, Role};
use domain::search::{Hit, Passage, Retrieval, SurroundingText};
use domain::session::Session;
use domain::tenant::Quotas;
use gateway::{Component, Readiness};
use policy::gate::MockGate;
use serde_json::json;
use std::sync::Arc;

const ID: &str = "00000000-0000-0000-0000-00000000f003";

fn page_of<T>(item: T) -> Page<T> {
    Page { items: vec![item], next: None }
}

fn unchanged<T: Clone>(value: T) -> Change<T> {
    Change { before: value.clone(), after: value }
}

#[tokio::test]
async fn a_conversation_is_created_read_updated_and_deleted() {
    let mut gate = gate_for(Role::User);
    gate.on::<CreateConversation>(|_, c| {
        assert!(c.title.as_ref().is_some_and(|t| t.as_str() == "Pump") && c.metadata == json!({}));
        Ok(conversation())
    });
    gate.on::<UpdateConversation>(|_, c| {
        assert!(c.patch.title.as_deref() == Some("New") && c.patch.metadata.is_none());
        Ok(conversation())
    });
    gate.on::<DeleteConversation>(|_, _| Ok(()));
    gate.on::<GetConversation>(|_, _| {
        let message = Message {
            id: MessageId::from_uuid(uuid(7)),
            conversation_id: ConversationId::from_uuid(uuid(3)),
            parent_id: None,
            seq: 1,
            role: MessageRole::Assistant,
            content: "Close V-1 [1].".into(),
            status: MessageStatus::Complete,
            token_count: Some(4),
            citations: vec![citation()],
            model: Some("extractive".into()),
            classification: Classification::Public,
            sources: domain::conversation::Sources::default(),
            withheld: false,
            degraded: false,
            summary: None,
            author: None,
            source_teams: Vec::new(),
            unsupported_statements: vec![TextRange { start: 0, end: 4 }],
            created_at: fixed_time(),
        };
        Ok(Transcript { conversation: conversation(), messages: vec![message] })
    });
    let router = router(gate, settings());
    let created = send(&router, json_request("POST", "/v1/conversations", r#"{"title":" Pump "}"#)).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), Some(&*format!("/v1/conversations/{ID}")));
    insta::assert_snapshot!(created.text);
    let read = send(&router, get(&format!("/v1/conversations/{ID}"))).await;
    insta::assert_snapshot!(read.text);
    let path = format!("/v1/conversations/{ID}");
    assert_eq!(send(&router, json_request("PATCH", &path, r#"{"title":"New"}"#)).await.text, created.text);
    let deleted = send(&router, request("DELETE", &path, Body::empty())).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
}

#[tokio::test]
async fn a_cursor_returns_the_next_page() {
    let key = PageKey { created_at: fixed_time(), id: uuid(3) };
    let mut gate = gate_for(Role::User);
    gate.on::<ListConversations>(move |_, command| {
        let next = command.page.after.is_none().then_some(key);
        assert!(command.page.after.is_none_or(|after| after == key));
        assert_eq!(command.page.limit(), 1);
        Ok(Page { items: vec![conversation()], next })
    });
    let router = router(gate, settings());
    let first = send(&router, get("/v1/conversations?limit=1")).await.json();
    assert_eq!(first["has_more"], true);
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let last = send(&router, get(&format!("/v1/conversations?limit=1&cursor={cursor}"))).await.json();
    assert_eq!((&last["has_more"], &last["next_cursor"]), (&json!(false), &json!(null)));
    assert_eq!(last["data"][0]["id"], ID);
}

#[tokio::test]
async fn documents_are_listed_with_their_metadata() {
    let mut gate = gate_for(Role::User);
    gate.on::<ListDocuments>(|_, c| {
        assert!(c.filter.status == Some(DocumentStatus::Failed) && c.filter.tag.as_deref() == Some("a b"));
        let mut failed = document();
        failed.failure = Some(DocumentFailure { code: FailureCode::NoText, detail: "The file has no text.".into() });
        Ok(page_of(failed))
    });
    gate.on::<GetDocument>(|_, _| Ok(document()));
    gate.on::<DeleteDocument>(|_, _| Ok(()));
    gate.on::<ReprocessDocument>(|_, command| {
        let mut queued = document();
        (queued.id, queued.status) = (command.id, DocumentStatus::Pending);
        Ok(queued)
    });
    let router = router(gate, settings());
    let listed = send(&router, get("/v1/documents?status=failed&tag=a+b")).await;
    insta::assert_snapshot!(listed.text);
    assert!(!listed.text.contains("secret-key"), "the storage path is internal");
    let path = format!("/v1/documents/{ID}");
    assert_eq!(send(&router, get(&path)).await.json()["error"], json!(null));
    assert_eq!(send(&router, request("DELETE", &path, Body::empty())).await.status, 204);
    let queued = send(&router, request("POST", &format!("{path}/reprocess"), Body::empty())).await;
    assert_eq!((queued.status.as_u16(), queued.header("location")), (202, Some(path.as_str())));
    assert_eq!(queued.json(), json!({"document_id": ID, "status": "processing"}));
}

#[tokio::test]
async fn a_search_returns_passages() {
    let mut gate = gate_for(Role::User);
    gate.on::<SearchDocuments>(|_, c| {
        assert!(c.query.as_str() == "seal" && c.top_k == 5 && c.filters.tags == ["pump"]);
        {
            let passage = Passage {
                chunk_id: ChunkId::from_uuid(uuid(5)),
                document_id: DocumentId::from_uuid(uuid(4)),
                chunk_index: 0,
                file_name: "sop-12.pdf".into(),
                title: "SOP-12".into(),
                page: None,
                section: Some("4.2".into()),
                content: "Close V-1.".into(),
                classification: Classification::Internal,
            };
            Ok(Retrieval {
                hits: vec![Hit {
                    passage,
                    score: 0.5,
                    similarity: None,
                    bm25: Some(7.25),
                    rerank_score: Some(0.75),
                    surrounding_text: SurroundingText::default(),
                    explanation: None,
                }],
                confidence: 0.5,
                reranked_by: Some("reranker".into()),
                degraded: true,
                answerable: true,
            })
        }
    });
    let body = r#"{"query":"seal","filters":{"tags":["pump"]}}"#;
    let mut found = send(&router(gate, settings()), json_request("POST", "/v1/search", body)).await.json();
    assert!(found["took_ms"].is_u64());
    found["took_ms"] = json!(0);
    insta::assert_snapshot!(found);
}

fn audit_record() -> AuditRecord {
    AuditRecord {
        id: AuditId::from_uuid(uuid(9)),
        tenant_id: TenantId::from_uuid(uuid(1)),
        user_id: Some(UserId::from_uuid(uuid(2))),
        session_id: Some(SessionId::from_uuid(uuid(4))),
        conversation_id: None,
        event_type: "chat.request".into(),
        resource_type: Some("conversations".into()),
        resource_id: Some(uuid(3)),
        model: None,
        tools_used: vec![],
        request_hash: Some("00ff".into()),
        result_status: Some("pending".into()),
        latency_ms: None,
        correlation_id: uuid(9),
        request_id: RequestId::parse("r-1"),
        phase: "intent".into(),
        metadata: json!({}),
        created_at: fixed_time(),
    }
}

#[tokio::test]
async fn memories_audit_account_and_runs_have_the_documented_format() {
    let memory = || {
        Memory::explicit(MemoryId::from_uuid(uuid(8)), "Night shift.".into(), Classification::Internal, fixed_time())
    };
    let mut gate = gate_for(Role::User);
    gate.on::<CreateMemory>(move |_, _| Ok(memory()));
    gate.on::<ListMemories>(move |_, _| Ok(page_of(memory())));
    gate.on::<UpdateMemory>(move |_, c| {
        let expires_at = Some(Some(fixed_time()));
        assert_eq!(c.patch, MemoryPatch { expires_at, activate: true, ..MemoryPatch::default() });
        Ok(unchanged(memory()))
    });
    gate.on::<DeleteMemory>(|_, _| Ok(()));
    gate.on::<CancelRun>(|_, _| Ok(()));
    gate.on::<ReadAccount>(|_, _| Ok(account(Role::User)));
    gate.on::<ListAudit>(|_, c| {
        assert!(c.filter.from == Some(fixed_time()) && c.filter.event_type.as_deref() == Some("chat.request"));
        Ok(page_of(audit_record()))
    });
    let router = router(gate, settings());
    let created = send(&router, json_request("POST", "/v1/memories", r#"{"content":"Night shift."}"#)).await;
    assert_eq!(created.status, 201);
    insta::assert_snapshot!(created.text);
    assert_eq!(send(&router, get("/v1/memories?status=active")).await.json()["data"][0], created.json());
    let path = format!("/v1/memories/{ID}");
    let change = r#"{"status":"active","expires_at":"2026-01-01T00:00:00.123456Z"}"#;
    assert_eq!(send(&router, json_request("PATCH", &path, change)).await.json(), created.json());
    for (change, pointer) in [
        (r#"{"status":"suggested"}"#, "/status"),
        (r#"{"importance":1.5}"#, "/importance"),
        (r#"{"content":""}"#, "/content"),
    ] {
        let refused = send(&router, json_request("PATCH", &path, change)).await;
        assert_eq!(refused.status, 422, "{change}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{change}");
    }
    let deleted = send(&router, request("DELETE", &format!("/v1/memories/{ID}"), Body::empty())).await;
    assert_eq!(deleted.status, 204);
    let path = "/v1/audit?event_type=chat.request&from=2026-01-01T00:00:00.123456Z";
    insta::assert_snapshot!(send(&router, get(path)).await.text);
    insta::assert_snapshot!(send(&router, get("/v1/me")).await.text);
    let cancelled = send(&router, request("POST", &format!("/v1/runs/{ID}/cancel"), Body::empty())).await;
    assert_eq!(cancelled.status, 202);
    insta::assert_snapshot!(cancelled.text);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked() {
    let session = |id: u128| Session {
        id: SessionId::from_uuid(uuid(id)),
        user_id: UserId::from_uuid(uuid(2)),
        client: Some("console".into()),
        created_at: fixed_time(),
        last_seen_at: fixed_time(),
        expires_at: fixed_time(),
    };
    let mut gate = gate_for(Role::Admin);
    gate.on::<ListSessions>(move |_, _| Ok(page_of(session(4))));
    gate.on::<ListUserSessions>(move |_, c| {
        assert_eq!(c.user.to_string(), ID);
        Ok(page_of(session(5)))
    });
    gate.on::<RevokeSession>(|_, c| {
        assert_eq!(c.id.to_string(), ID);
        Ok(())
    });
    gate.on::<RevokeUserSession>(|_, c| {
        assert_eq!((c.user.to_string().as_str(), c.id.as_uuid()), (ID, uuid(5)));
        Ok(())
    });
    let router = router(gate, settings());
    insta::assert_snapshot!(send(&router, get("/v1/sessions")).await.text);
    let of_user = format!("/v1/admin/users/{ID}/sessions");
    assert_eq!(send(&router, get(&of_user)).await.json()["data"][0]["id"], uuid(5).to_string());
    for path in [format!("/v1/sessions/{ID}"), format!("{of_user}/{}", uuid(5))] {
        assert_eq!(send(&router, request("DELETE", &path, Body::empty())).await.status, 204, "{path}");
    }
}

#[tokio::test]
async fn users_and_tenants_are_administered() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<ListUsers>(|_, _| Ok(page_of(user(Role::Viewer))));
    gate.on::<CreateUser>(|_, c| {
        assert!(c.role == Role::Viewer && c.issuer.is_none() && c.display_name.is_some());
        Ok(user(Role::Viewer))
    });
    gate.on::<UpdateUser>(|_, c| {
        assert!(c.role == Some(Role::Admin) && c.is_active.is_none());
        Ok(unchanged(user(Role::Admin)))
    });
    gate.on::<ListTenants>(|_, _| Ok(page_of(caller(Role::Admin).tenant().clone())));
    gate.on::<CreateTenant>(|_, _| Ok(caller(Role::Admin).tenant().clone()));
    gate.on::<UpdateTenant>(|_, c| {
        assert!(c.is_active == Some(false) && c.name.is_none());
        Ok(unchanged(caller(Role::Admin).tenant().clone()))
    });
    let router = router(gate, settings());
    insta::assert_snapshot!(send(&router, get("/v1/admin/users")).await.text);
    let body = r#"{"external_id":"anna","email":"anna@plant-a.example","display_name":"Anna"}"#;
    assert_eq!(send(&router, json_request("POST", "/v1/admin/users", body)).await.status, 201);
    let changed = send(&router, json_request("PATCH", &format!("/v1/admin/users/{ID}"), r#"{"role":"admin"}"#)).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["role"]), (200, &json!("admin")));
    insta::assert_snapshot!(send(&router, get("/v1/admin/tenants")).await.text);
    let body = r#"{"name":"Plant A","slug":"plant-a"}"#;
    assert_eq!(send(&router, json_request("POST", "/v1/admin/tenants", body)).await.status, 201);
    let path = format!("/v1/admin/tenants/{ID}");
    assert_eq!(send(&router, json_request("PATCH", &path, r#"{"is_active":false}"#)).await.status, 200);
}

/// Two components: a required one that is up or down, and an optional one that is down.
struct TwoComponents {
    database_up: bool,
}

#[async_trait]
impl Readiness for TwoComponents {
    async fn check(&self) -> Vec<Component> {
        vec![
            Component { name: "database".into(), is_up: self.database_up, required: true, detail: None },
            Component {
                name: "model:fast".into(),
                is_up: false,
                required: false,
                detail: Some("no connection".into()),
            },
        ]
    }
}

#[tokio::test]
async fn a_required_component_that_is_down_fails_readiness_but_not_liveness() {
    for (database_up, status, word) in [(true, 200, "ready"), (false, 503, "unavailable")] {
        let router = router_with_readiness(MockGate::new(), settings(), Arc::new(TwoComponents { database_up }));
        let ready = send(&router, get("/ready")).await;
        assert_eq!((ready.status.as_u16(), ready.header("content-type")), (status, Some("application/json")));
        assert_eq!(ready.json()["status"], word);
        assert_eq!(ready.json()["components"][0]["status"], if database_up { "up" } else { "down" });
        for path in ["/health", "/v1/health"] {
            assert_eq!(send(&router, get(path)).await.json()["status"], "ok");
        }
    }
}

#[tokio::test]
async fn all_responses_have_the_security_headers() {
    let router = router(MockGate::new(), settings());
    for path in ["/health", "/nowhere", "/docs/"] {
        let reply = send(&router, get(path)).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn the_usage_report_has_budgets() {
    let aggregates = |calls, cost| UsageAggregates {
        calls,
        input_tokens: 120,
        output_tokens: 40,
        cost: MicroCost(cost),
        errors: 1,
        fallbacks: 1,
        median_duration_ms: Some(820.5),
        mean_time_to_first_token_ms: Some(310.0),
    };
    let groups = vec![
        GroupUsage { key: Some("cloud".into()), aggregates: aggregates(2, 1_250_000) },
        GroupUsage { key: None, aggregates: UsageAggregates { calls: 1, ..UsageAggregates::default() } },
    ];
    let quotas = Quotas {
        tokens_per_day: Some(1_000),
        user_cost_per_month: Money::from_units(2.5),
        soft_percent: Some(50),
        ..Quotas::default()
    };
    let reserved = BudgetAmount { tokens: 7, cost: MicroCost(500_000) };
    let spent = PeriodSpending { tokens: 500, cost: MicroCost(1_000_000), reserved };
    let report = UsageReport {
        from: fixed_time(),
        to: fixed_time(),
        group_by: UsageDimension::Backend,
        aggregates: LedgerAggregates { totals: aggregates(3, 1_250_000), groups, truncated: false },
        budgets: quotas.budgets(),
        spending: Spending { tenant: spent, user: spent },
        now: fixed_time(),
        is_tenant_wide: true,
    };
    let mut gate = gate_for(Role::Admin);
    let tenant_report = report.clone();
    let own_report = UsageReport { is_tenant_wide: false, ..report };
    gate.on::<ReadModelUsage>(move |_, command| {
        Ok(if command.from.is_some() { tenant_report.clone() } else { own_report.clone() })
    });
    let router = router(gate, settings());
    let path = "/v1/usage?from=2026-01-01&to=2026-01-31T12:00:00Z&group_by=backend";
    insta::assert_snapshot!(send(&router, get(path)).await.text);
    let own = send(&router, get("/v1/usage")).await.json();
    assert!(own["budgets"]["tenant"].is_null() && own["budgets"]["user"].is_object(), "{own}");
    for (query, pointer) in
        [("from=yesterday", "/from"), ("to=9999-12-31", "/to"), ("group_by=mood", "/group_by"), ("user=1", "/user")]
    {
        let refused = send(&router, get(&format!("/v1/usage?{query}"))).await.problem();
        assert_eq!(refused.2.as_deref(), Some(pointer), "{query}");
    }
}

#[tokio::test]
async fn invalid_quotas_are_refused() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<UpdateTenantSettings>(|_, c| {
        assert!({
            c.change.patch
                == json!({"quotas": {
                    "user_tokens_per_day": 5, "cost_per_month": 250.5, "user_cost_per_month": null, "soft_percent": 90,
                }})
        });
        Ok(unchanged(caller(Role::Admin).tenant().clone()))
    });
    let router = router(gate, settings());
    let path = format!("/v1/admin/tenants/{ID}/settings");
    let valid =
        r#"{"quotas":{"user_tokens_per_day":5,"cost_per_month":250.5,"user_cost_per_month":null,"soft_percent":90}}"#;
    assert_eq!(send(&router, json_request("PATCH", &path, valid)).await.status, 200);
    for (field, invalid) in [
        ("user_tokens_per_day", "9007199254740992"),
        ("user_tokens_per_day", "1.5"),
        ("cost_per_month", "-0.01"),
        ("cost_per_month", "1000000000.5"),
        ("user_cost_per_month", "-1"),
        ("user_cost_per_month", r#""12""#),
        ("soft_percent", "0"),
        ("soft_percent", "101"),
    ] {
        let body = format!(r#"{{"quotas":{{"{field}":{invalid}}}}}"#);
        let refused = send(&router, json_request("PATCH", &path, &body)).await.problem();
        assert_eq!((refused.0, refused.2), (422, Some(format!("/quotas/{field}"))), "{invalid}");
    }
}
