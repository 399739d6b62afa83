//! One trace from the reverse proxy's header over gateway, tools and database to the model server, as a collector
//! receives it. The server runs as a process of its own, since the exporter belongs to the whole process.

use crate::support::api_client::{multipart_body, multipart_content_type};
use crate::support::app::{ServerProcess, TENANT_A, TestApp};
use crate::support::collector::TraceCollector;
use crate::support::model::{ModelServer, Reply};
use crate::support::plant::{Plant, decide};
use domain::role::Role;
use fakes::eventually_within;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PROXY_SPAN_ID: &str = "00f067aa0ba902b7";
const UPLOAD_ROUTE: &str = "POST /v1/documents/upload";
const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);

const QUESTION: &str = "Which gasket fits the zirconium flange of Z-4711?";
const NOTE: &str = "# Flange Z-4711\n\nThe zirconium flange of Z-4711 takes a vermiculite gasket.\n";
/// Words of the question, of the document, its name and the answer, none of which may be in a span.
const CONTENT_WORDS: &[&str] = &["zirconium", "gasket", "vermiculite", "z-4711", "marigold"];

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    format!("{:?}", found.and_then(|attribute| attribute.value.as_ref()))
}

/// Expects that `span` is not part of the trace of `origin`, and links to it and to nothing else.
fn expect_link(span: &Span, origin: &Span) {
    let [link] = span.links.as_slice() else { panic!("expected one link: {span:?}") };
    assert_eq!((&link.trace_id, &link.span_id), (&origin.trace_id, &origin.span_id), "{span:?}");
    assert_ne!(span.trace_id, origin.trace_id);
}

fn traceparent(trace_id: &str, flags: &str) -> String {
    format!("00-{trace_id}-{PROXY_SPAN_ID}-{flags}")
}

/// Platform, model server and collector. The process under test runs the jobs; the other one serves requests only.
struct TracedPlatform {
    app: TestApp,
    model: ModelServer,
    collector: TraceCollector,
}

impl TracedPlatform {
    async fn start() -> Self {
        let model = ModelServer::start_with_default(Reply::Text(vec!["A marigold one."])).await;
        let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url), ("SERVICE_TYPE", "api")]).await;
        Self { app, model, collector: TraceCollector::start().await }
    }

    async fn start_process(&self, behind_proxy: &str) -> ServerProcess {
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.url.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("PLATFORM__SERVER__BEHIND_PROXY", behind_proxy),
        ];
        self.app.start_worker_process(&settings).await
    }

    /// Waits until the received spans are complete, and returns all of them. They come in batches, in the order in
    /// which they end.
    async fn wait_for_spans(&self, description: &str, are_complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        eventually_within(EXPORT_TIMEOUT, description, || async {
            let spans = self.collector.spans();
            are_complete(&spans).then_some(spans)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_turn_is_one_trace_from_the_proxy_to_the_model_server() {
    let platform = TracedPlatform::start().await;
    let process = platform.start_process("true").await;
    let user = platform.app.as_user(TENANT_A);
    let user = user.at(&process.base_url);
    assert_eq!(user.ingest("z-4711.md", NOTE.as_bytes(), &[]).await["status"], "ready");
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let request = user.request(Method::POST, &path).json(&json!({ "message": QUESTION, "stream": false }));
    let request = request.header("traceparent", traceparent(TRACE_ID, "01")).header("tracestate", "plant=a1");
    assert_eq!(request.send().await.expect("a response").status(), 200);

    // The request and the run end after all that they call.
    let chat_route = "POST /v1/conversations/{id}/chat";
    let has = |spans: &[Span], name: &str| spans.iter().any(|span| span.name.starts_with(name));
    let are_complete = |spans: &[Span]| has(spans, chat_route) && has(spans, "invoke_agent");
    let all_spans = platform.wait_for_spans("the spans of the turn were received", are_complete).await;
    let trace: Vec<&Span> = all_spans.iter().filter(|span| hex(&span.trace_id) == TRACE_ID).collect();
    let find = |prefix: &str| {
        let found = trace.iter().find(|span| span.name.starts_with(prefix));
        *found.unwrap_or_else(|| panic!("no {prefix} in {:?}", trace.iter().map(|s| &s.name).collect::<Vec<_>>()))
    };
    let (request, run) = (find(chat_route), find("invoke_agent assistant"));
    assert_eq!((hex(&request.parent_span_id).as_str(), request.kind()), (PROXY_SPAN_ID, SpanKind::Server));
    assert_eq!(run.parent_span_id, request.span_id);
    assert!(attribute(run, "gen_ai.conversation.id").contains(&conversation), "{run:?}");
    let tool = find("execute_tool rag_search");
    assert!(attribute(tool, "gen_ai.tool.name").contains("rag_search"), "{tool:?}");
    assert_eq!(find("embeddings ").parent_span_id, tool.span_id);
    let is_statement_of = |parent: &Span| {
        trace.iter().any(|span| {
            span.parent_span_id == parent.span_id && attribute(span, "db.system.name").contains("postgresql")
        })
    };
    for parent in [request, run, tool] {
        assert!(is_statement_of(parent), "no statement in {}", parent.name);
    }
    assert!(["BEGIN", "COMMIT", "INSERT messages"].iter().all(|command| find(command).kind() == SpanKind::Client));
    let call = find("chat ");
    assert_eq!((&call.parent_span_id, call.kind()), (&run.span_id, SpanKind::Client));
    for (key, value) in [
        ("server.address", "127.0.0.1"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.usage.input_tokens", "21"),
        ("gen_ai.usage.output_tokens", "7"),
    ] {
        assert!(attribute(call, key).contains(value), "{key}: {call:?}");
    }

    let headers = platform.model.request_headers();
    let [headers] = headers.as_slice() else { panic!("expected one request: {headers:?}") };
    assert_eq!(headers["traceparent"], format!("00-{TRACE_ID}-{}-01", hex(&call.span_id)));
    assert_eq!(headers["tracestate"], "plant=a1");

    // The ingestion, which runs after its upload, has a trace of its own, with a link to the upload's.
    let job = all_spans.iter().find(|span| span.name == "process ingestion").expect("the span of the job");
    assert!(job.parent_span_id.is_empty() && hex(&job.trace_id) != TRACE_ID, "{job:?}");
    let upload = all_spans.iter().find(|span| span.name == UPLOAD_ROUTE).expect("the span of the upload");
    expect_link(job, upload);
    assert!(all_spans.iter().any(|span| span.trace_id == job.trace_id && span.name.starts_with("embeddings ")));
    assert_eq!(platform.model.requests().len(), 1);
    let text = format!("{all_spans:?}").to_lowercase();
    for word in CONTENT_WORDS {
        assert!(!text.contains(word), "{word} is in a span");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_proxy_decides_about_traces() {
    const SAMPLED: &str = "11111111111111111111111111111111";
    const NOT_SAMPLED: &str = "22222222222222222222222222222222";
    const UNTRUSTED: &str = "33333333333333333333333333333333";
    let platform = TracedPlatform::start().await;
    let (trusting, direct) = tokio::join!(platform.start_process("true"), platform.start_process("false"));
    let user = platform.app.as_user(TENANT_A);
    let get = async |base_url: &str, path: &str, traceparents: &[&str]| {
        let mut request = user.at(base_url).request(Method::GET, path);
        for traceparent in traceparents {
            request = request.header("traceparent", *traceparent);
        }
        assert_eq!(request.send().await.expect("a response").status(), 200);
    };
    let (sampled, untrusted) = (traceparent(SAMPLED, "01"), traceparent(UNTRUSTED, "00"));
    // None of these is valid. Each request has a trace of its own.
    get(&trusting.base_url, "/v1/memories", &["00-1-2-01"]).await;
    get(&trusting.base_url, "/v1/memories", &[&sampled, &sampled]).await;
    get(&trusting.base_url, "/v1/documents", &[&traceparent(NOT_SAMPLED, "00")]).await;
    get(&trusting.base_url, "/v1/conversations", &[&sampled]).await;
    let count = |spans: &[Span], name: &str| spans.iter().filter(|span| span.name == name).count();
    let are_complete =
        |spans: &[Span]| count(spans, "GET /v1/conversations") == 1 && count(spans, "GET /v1/memories") == 2;
    let spans = platform.wait_for_spans("the spans of three requests were received", are_complete).await;
    let of_trace = |id: &str| spans.iter().filter(|span| hex(&span.trace_id) == id).collect::<Vec<_>>();
    assert!(of_trace(SAMPLED).iter().any(|span| span.name == "GET /v1/conversations"));
    assert!(of_trace(NOT_SAMPLED).is_empty(), "the proxy decided against this trace");
    let invalid: Vec<&Span> = spans.iter().filter(|span| span.name == "GET /v1/memories").collect();
    for span in invalid {
        assert!(span.parent_span_id.is_empty() && span.links.is_empty(), "{span:?}");
        assert_ne!(hex(&span.trace_id), SAMPLED);
    }

    // A client without a proxy can neither join a trace nor prevent one; the span names the client's as a link.
    get(&direct.base_url, "/v1/memories", &[&untrusted]).await;
    let is_linked = |span: &Span| span.links.iter().any(|link| hex(&link.trace_id) == UNTRUSTED);
    let are_complete = |spans: &[Span]| spans.iter().any(is_linked);
    let spans = platform.wait_for_spans("the linked span was received", are_complete).await;
    let linked: Vec<&Span> = spans.iter().filter(|span| is_linked(span)).collect();
    let [linked] = linked.as_slice() else { panic!("expected one span with a link: {linked:?}") };
    assert!(linked.parent_span_id.is_empty() && hex(&linked.trace_id) != UNTRUSTED, "{linked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_links_to_the_traced_request_that_queued_it() {
    const NOT_SAMPLED: &str = "44444444444444444444444444444444";
    let platform = TracedPlatform::start().await;
    let process = platform.start_process("true").await;

    let plant = Plant::new(&platform.app, "traced-jobs").await;
    let approval = plant.request("Replace the seal").await;
    let approver = plant.caller("ines", Role::User);
    decide(&approver.at(&process.base_url), &approval, "approve").await.expect_json(200);
    plant.wait_for(&approval, "executed").await;

    // Nobody could follow a link to a trace that the proxy decided against. The job has a trace nevertheless.
    let user = platform.app.as_user(TENANT_A);
    let user = user.at(&process.base_url);
    let upload = user.request(Method::POST, "/v1/documents/upload").header("content-type", multipart_content_type());
    let upload = upload.header("traceparent", traceparent(NOT_SAMPLED, "00"));
    let response = upload.body(multipart_body("z-4711.md", NOTE.as_bytes(), &[])).send().await.expect("a response");
    assert_eq!(response.status(), 202);

    let find = |spans: &[Span], name: &str| spans.iter().find(|span| span.name == name).cloned();
    let linked = |span: &&Span| span.name == "process approvals" && !span.links.is_empty();
    let are_complete =
        |spans: &[Span]| spans.iter().any(|span| linked(&span)) && find(spans, "process ingestion").is_some();
    let spans = platform.wait_for_spans("the spans of both jobs were received", are_complete).await;
    let decision = find(&spans, "POST /v1/approvals/{id}/decision").expect("the span of the decision");
    expect_link(spans.iter().find(linked).expect("a linked job"), &decision);
    let ingestion = find(&spans, "process ingestion").expect("the span of the ingestion");
    assert!(ingestion.links.is_empty() && find(&spans, UPLOAD_ROUTE).is_none(), "{ingestion:?}");
}
