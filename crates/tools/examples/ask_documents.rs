//! Ingests documents, asks a question through the tool gateway, and prints the resulting audit rows.
//!
//! ```text
//! cargo run -p tools --example ask_documents -- "When is the strainer cleaned?" FILE…
//! ```
//! Everything is in memory. The embedder is a stand-in that compares shared words; real embedders are in
//! `model_client`.

#![expect(clippy::print_stdout, reason = "a command line program")]

use async_trait::async_trait;
use bytes::Bytes;
use domain::audit::AuditFilter;
use domain::authorized::{AuditReceipt, Permit};
use domain::command::ListMemories;
use domain::ids::{AuditId, RequestId, TenantId};
use domain::ledger::CallOrigin;
use domain::model::{CallUsage, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError};
use domain::page::PageRequest;
use domain::ports::{AuditReader, Clock, Embedder, Embedders, IdGen, JobFilter, JobQueue, NewTenant, TenantDirectory};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::tool::{ToolCall, ToolResult};
use domain::upload::{Upload, UploadForm};
use domain::user::Identity;
use fakes::access::{self, FakeAccessRules};
use fakes::{InMemoryBlobStore, InMemoryStore, ManualClock, SequentialIds};
use futures::{FutureExt, StreamExt, stream};
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tools::gateway::{AuditedToolGateway, ToolGateway, ToolGatewayPorts};
use tools::ingest::interface::Ingest;
use tools::ingest::{DocumentIngest, IngestPorts, IngestSettings};
use tools::registry::Registry;
use tools::retrieval::{HybridSearch, RetrievalParams};

type ExampleResult = Result<(), Box<dyn Error>>;

/// In-memory versions of the services that the platform composes at startup.
struct Services {
    store: InMemoryStore,
    ports: IngestPorts,
    tracker: TaskTracker,
}

#[tokio::main]
async fn main() -> ExampleResult {
    let mut arguments = std::env::args().skip(1);
    let question = arguments.next().ok_or("usage: ask_documents QUESTION FILE…")?;
    let platform = in_memory_services();
    let permit = sign_in(&platform).await?;
    for path in arguments {
        ingest_file(&platform, &permit, Path::new(&path)).await?;
    }
    ask(&platform, &permit, &question).await?;
    print_audit(&platform, &permit).await
}

fn in_memory_services() -> Services {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let ids: Arc<dyn IdGen> = Arc::new(SequentialIds::default());
    let store = InMemoryStore::new(Arc::clone(&clock));
    let ports = IngestPorts {
        store: Arc::new(store.clone()),
        blobs: Arc::new(InMemoryBlobStore::new(Arc::clone(&ids))),
        rules: Arc::new(FakeAccessRules),
        embedders: Embedders::single(Arc::new(BagOfWordsEmbedder)),
        clock,
        ids,
    };
    Services { store, ports, tracker: TaskTracker::new() }
}

/// Stands in for the policy gate: creates a tenant and a user, and returns a permit.
#[expect(clippy::disallowed_methods, reason = "the example plays the gate")]
async fn sign_in(platform: &Services) -> Result<Permit, Box<dyn Error>> {
    let IngestPorts { store, clock, ids, .. } = &platform.ports;
    let tenant = TenantId::from_uuid(ids.uuid());
    platform.store.create_tenant(NewTenant { id: tenant, name: "Plant".into(), slug: "plant".into() }).await?;
    let scope = |actor| TenantScope::mint(tenant, actor, RequestId::from_uuid(ids.uuid()));
    let identity = Identity {
        issuer: "https://issuer.example".into(),
        subject: "ada".into(),
        email: None,
        name: None,
        role: Some(Role::User),
        issued_at: Some(clock.now()),
    };
    let mut tx = store.begin(&scope(Actor::System)).await?;
    let user = tx.users().sign_in(ids.uuid().into(), &identity, clock.now()).await?;
    let member = tx.users().membership(user.id).await?.ok_or("the user does not exist")?;
    tx.commit().await?;
    let receipt = AuditReceipt::mint(AuditId::from_uuid(ids.uuid()), clock.now());
    let command = ListMemories { status: None, page: PageRequest::default() };
    let role = member.user.role;
    let access_grant = access::access_grant(access::rights(role, member.settings.clearance(role)));
    Ok(access::authorized(scope(Actor::User(user.id)), access_grant, receipt, command).into_parts().0)
}

/// Uploads a file and processes its job, like the API and the worker do.
async fn ingest_file(platform: &Services, permit: &Permit, path: &Path) -> ExampleResult {
    let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = Bytes::from(std::fs::read(path)?);
    let form = UploadForm {
        filename: filename.clone(),
        tags: vec![],
        doc_type: None,
        classification: None,
        revision: None,
        effective_from: None,
        supersedes: None,
        metadata: json!({}),
    };
    let upload = Upload { bytes: stream::iter([Ok(bytes)]).boxed(), form: async { Ok(form) }.boxed() };
    let ingest = DocumentIngest::new(platform.ports.clone(), IngestSettings::default(), platform.tracker.clone());
    ingest.accept(permit, upload).await?;
    if let Some(job) = platform.store.claim(&JobFilter::any(), Duration::from_secs(60)).await? {
        println!("{filename}: {:?}", ingest.process(&job).await?);
    }
    Ok(())
}

async fn ask(platform: &Services, permit: &Permit, question: &str) -> ExampleResult {
    let IngestPorts { store, embedders, clock, ids, .. } = platform.ports.clone();
    let search = HybridSearch::new(Arc::clone(&store), embedders, RetrievalParams::default());
    let registry = Registry::builtin(&store, search)?;
    let tracker = platform.tracker.clone();
    let rules = Arc::new(FakeAccessRules);
    let tools = AuditedToolGateway::new(registry, ToolGatewayPorts { store, rules, clock, ids, tracker });
    let arguments = json!({"query": question, "top_k": 3});
    let call = ToolCall {
        call_id: "1".into(),
        name: "rag_search".into(),
        arguments,
        arguments_classification: Classification::Public,
        origin: CallOrigin::default(),
    };
    let ToolResult::Retrieval(found) = tools.invoke(permit, call).await?.into_parts().0 else {
        return Err("the tool returned no search result".into());
    };
    println!("\n{question}\nanswerable: {}", found.answerable);
    for hit in found.hits {
        let passage = hit.passage;
        println!(
            "{:.2}  {}, page {:?}, {:?}\n{}\n",
            hit.score, passage.file_name, passage.page, passage.section, passage.content
        );
    }
    Ok(())
}

async fn print_audit(platform: &Services, permit: &Permit) -> ExampleResult {
    let rows = platform.store.read(permit.scope(), &AuditFilter::default(), &PageRequest::default()).await?;
    for row in rows.items.iter().rev() {
        println!("{} {} {}", row.event_type, row.result_status.as_deref().unwrap_or("pending"), row.metadata);
    }
    Ok(())
}

/// A stand-in embedder with bag-of-words vectors: each word adds to one component.
struct BagOfWordsEmbedder;

#[async_trait]
impl Embedder for BagOfWordsEmbedder {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { name: "shared words".into(), dimension: 256, max_tokens: 256 }
    }

    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let vectors = request.texts.iter().map(|text| vector(text)).collect();
        Ok(EmbedResponse { vectors, usage: CallUsage::default() })
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
}

/// Counts the words by hash and scales the vector to unit length.
fn vector(text: &str) -> Vec<f32> {
    let mut sum = vec![0.0_f32; 256];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2) {
        let index = word.to_lowercase().bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(byte));
        sum[index % 256] += 1.0;
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
    sum.iter().map(|x| x / length).collect()
}
