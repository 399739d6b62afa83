//! Tests what is checked again after an upload's body has arrived, and what happens to its file.

use super::support::{TestContext, form, upload, upload_with_form};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use domain::authorized::Permit;
use domain::document::Document;
use domain::error::Classify as _;
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::ports::{
    AccessTokenRepo, AgentRepo, ApprovalRepo, AuditRepo, BlobStore, ChannelRepo, ChunkRepo, ConnectorRepo,
    ConversationRepo, DocumentRepo, FeedbackRepo, GlossaryRepo, GoalRepo, IdempotencyRepo, JobRepo,
    MaintenanceSystemRepo, McpServerRepo, MemoryRepo, MessageRepo, MockBlobStore, PlantModeRepo, PlantRequestRepo,
    SessionRepo, Store, StoreError, TeamRepo, TenantDirectory, TenantPatch, TenantTx, UsageRepo, UserRepo,
    WorkOrderRepo,
};
use domain::role::{Classification, Role};
use domain::scope::TenantScope;
use domain::tenant::{ClearanceLimits, Quotas, TenantSettings};
use domain::tenant_change::ChangedBy;
use domain::upload::{Upload, UploadOutcome};
use domain::user::UserPatch;
use fakes::InMemoryStore;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tools::error::IngestError;
use tools::ingest::IngestSettings;
use tools::ingest::interface::Ingest as _;

const NOTES: &[u8] = b"# Strainer\n\nClean the suction strainer when its differential pressure exceeds 0.25 bar.\n";

/// An upload during which `event` runs.
fn with_event(mut upload: Upload, event: BoxFuture<'static, ()>) -> Upload {
    let rest = stream::once(event.map(|()| Ok(Bytes::from_static(b"\nAnd log it.\n"))));
    upload.bytes = upload.bytes.chain(rest).boxed();
    upload
}

/// An endless upload of a few bytes per second.
fn slow_upload() -> Upload {
    let pieces = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Bytes::from_static(b"valve "))
    });
    Upload { bytes: pieces.boxed(), form: futures::future::pending().boxed() }
}

/// Changes user and tenant during an upload.
#[derive(Clone)]
struct Administrator {
    store: InMemoryStore,
    scope: TenantScope,
    user: UserId,
}

impl Administrator {
    fn new(context: &TestContext, permit: &Permit) -> Self {
        let (scope, user) = (permit.scope().clone(), permit.scope().user().expect("a user"));
        Self { store: context.store.clone(), scope, user }
    }

    async fn patch(self, patch: UserPatch) {
        let mut tx = self.store.begin(&self.scope).await.expect("a transaction");
        tx.users()
            .update(self.user, patch, domain::time::Timestamp::UNIX_EPOCH)
            .await
            .expect("changed")
            .expect("the user");
        tx.commit().await.expect("a commit");
    }

    async fn suspend_tenant(self) {
        let suspension = TenantPatch { is_active: Some(false), ..TenantPatch::default() };
        self.store.update_tenant(self.scope.tenant(), suspension, &ChangedBy::default()).await.expect("changed");
    }

    async fn configure(self, settings: TenantSettings) {
        let tenant = self.store.tenant(&self.scope.tenant().to_string()).await.expect("read").expect("the tenant");
        let version = tenant.settings_version;
        self.store
            .replace_settings(tenant.id, &settings, version, &ChangedBy::default())
            .await
            .expect("changed")
            .expect("configured");
    }
}

fn suspension() -> UserPatch {
    UserPatch { is_active: Some(false), ..UserPatch::default() }
}

fn role_change(role: Role) -> UserPatch {
    UserPatch { role: Some(role), ..UserPatch::default() }
}

async fn documents(context: &TestContext, permit: &Permit) -> Vec<Document> {
    let mut tx = context.store.begin(permit.scope()).await.expect("a transaction");
    let no_filter = domain::document::DocumentFilter::default();
    let documents = tx.documents().list(&no_filter, Classification::Restricted, &PageRequest::default()).await;
    documents.expect("a list").items
}

async fn assert_nothing_stored(context: &TestContext, permit: &Permit) {
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 0, "no file is stored");
    assert!(documents(context, permit).await.is_empty(), "no document is recorded");
    assert_eq!(context.try_claim().await, None, "nothing is queued");
}

#[tokio::test]
async fn user_tenant_role_and_clearance_are_checked_again_when_the_document_is_recorded() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let lower_clearance = |admin: Administrator| {
        let clearance = ClearanceLimits { user: Some(Classification::Internal), ..ClearanceLimits::default() };
        admin.configure(TenantSettings { clearance, ..TenantSettings::default() }).boxed()
    };
    let cases: [(Change, &str); 4] = [
        (|admin| admin.patch(suspension()).boxed(), "user_disabled"),
        (|admin| admin.suspend_tenant().boxed(), "tenant_suspended"),
        (|admin| admin.patch(role_change(Role::Viewer)).boxed(), "policy_denied"),
        (lower_clearance, "validation"),
    ];
    for (change, code) in cases {
        let context = TestContext::new().await;
        let permit = context.sign_in(Role::User).await;
        let mut confidential_form = form("notes.md");
        confidential_form.classification = Some(Classification::Confidential);
        let change = change(Administrator::new(&context, &permit));
        let request = with_event(upload_with_form(NOTES, Ok(confidential_form)), change);
        let refused = context.ingest_service(IngestSettings::default()).accept(&permit, request).await.expect_err(code);
        assert_eq!(refused.code(), code, "{refused:?}");
        assert_nothing_stored(&context, &permit).await;
    }
}

#[tokio::test]
async fn the_right_to_supersede_is_checked_again() {
    let context = TestContext::new().await;
    let (owner, admin) = (context.sign_in(Role::User).await, context.sign_in(Role::Admin).await);
    let old = context.create_document(&owner, "old.pdf", Classification::Internal, &["one"]).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let mut superseding_form = form("notes.md");
    superseding_form.supersedes = Some(old.id);
    let demoted = Administrator::new(&context, &admin).patch(role_change(Role::User)).boxed();
    let refused =
        ingest.accept(&admin, with_event(upload_with_form(NOTES, Ok(superseding_form.clone())), demoted)).await;
    assert!(matches!(refused, Err(IngestError::NotUploader)), "{refused:?}");
    let accepted = ingest.accept(&owner, upload_with_form(NOTES, Ok(superseding_form))).await;
    assert!(matches!(accepted, Ok(UploadOutcome::Created(_))), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_at_its_time_limit() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let settings = IngestSettings { upload_timeout: Duration::from_secs(90), ..IngestSettings::default() };
    let started = Instant::now();
    let ingest = context.ingest_service(settings);
    let accepting = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, slow_upload()));
    let refused = accepting.await.expect("in time").expect_err("too slow");
    assert_eq!(started.elapsed().as_secs(), 90);
    assert_eq!(refused.code(), "upload_timeout");
    assert!(refused.public_detail().is_some_and(|detail| detail.contains("90 s")), "{refused:?}");
    assert_nothing_stored(&context, &permit).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_stops_when_its_user_or_tenant_is_suspended() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let cases: [(Change, &str); 2] = [
        (|admin| admin.patch(suspension()).boxed(), "user_disabled"),
        (|admin| admin.suspend_tenant().boxed(), "tenant_suspended"),
    ];
    for (change, code) in cases {
        let context = TestContext::new().await;
        let permit = context.sign_in(Role::User).await;
        let change = change(Administrator::new(&context, &permit));
        let delayed_change = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            change.await;
        };
        let started = Instant::now();
        let ingest = context.ingest_service(IngestSettings::default());
        let accepting = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, slow_upload()));
        let (accepted, ()) = tokio::join!(accepting, delayed_change);
        let refused = accepted.expect("in time").expect_err(code);
        assert_eq!(refused.code(), code);
        assert!((60..=65).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        assert_nothing_stored(&context, &permit).await;
    }
}

/// An intent in the audit log that has no outcome after a day is closed as `unknown`, so an upload must be recorded
/// before.
#[tokio::test]
async fn an_upload_that_was_delayed_by_a_day_has_no_effect() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let clock = Arc::clone(&context.clock);
    let delay = async move {
        clock.advance(TimeDelta::hours(25));
    };
    let request = with_event(upload("notes.md", NOTES), delay.boxed());
    let refused =
        context.ingest_service(IngestSettings::default()).accept(&permit, request).await.expect_err("too late");
    assert_eq!(refused.code(), "upload_timeout");
    assert_nothing_stored(&context, &permit).await;
}

#[tokio::test]
async fn with_an_exhausted_quota_only_duplicates_are_accepted() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let result = context.ingest_service(IngestSettings::default()).accept(&permit, upload("notes.md", NOTES)).await;
    let Ok(UploadOutcome::Created(original)) = result else { panic!("{result:?}") };
    let quotas = Quotas { documents: Some(1), ..Quotas::default() };
    Administrator::new(&context, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
    let mut blobs = MockBlobStore::new();
    blobs.expect_put().never();
    let ingest = context.ingest_service_with(Arc::new(context.store.clone()), Arc::new(blobs));
    let refused = ingest.accept(&permit, upload("more.md", b"# More\n\nAnd more of it.\n")).await;
    assert!(matches!(refused, Err(IngestError::QuotaExceeded)), "{refused:?}");
    let again = ingest.accept(&permit, upload("copy.md", NOTES)).await;
    assert!(matches!(&again, Ok(UploadOutcome::Duplicate(document)) if document.id == original.id), "{again:?}");
}

#[tokio::test]
async fn an_upload_above_the_byte_quota_is_refused_and_leaves_no_file_behind() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let quotas = Quotas { bytes: Some(100_000), ..Quotas::default() };
    Administrator::new(&context, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
    let was_read_past_quota = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&was_read_past_quota);
    let mut request = upload("long.txt", &b"word ".repeat(30_000));
    let rest = stream::once(async move {
        seen.store(true, Ordering::Relaxed);
        Ok(Bytes::from_static(b"end"))
    });
    request.bytes = request.bytes.chain(rest).boxed();
    let refused = context.ingest_service(IngestSettings::default()).accept(&permit, request).await;
    assert!(matches!(refused, Err(IngestError::QuotaExceeded)), "{refused:?}");
    assert!(!was_read_past_quota.load(Ordering::Relaxed), "the body was read past the quota");
    assert_nothing_stored(&context, &permit).await;
}

/// The connection breaks before the commit is confirmed, so the service must find out whether it took effect.
#[tokio::test]
async fn a_file_is_deleted_if_its_record_failed_and_kept_if_it_was_recorded() {
    for takes_effect in [false, true] {
        let context = TestContext::new().await;
        let permit = context.sign_in(Role::User).await;
        let store = UnconfirmedCommitStore {
            inner: context.store.clone(),
            takes_effect,
            is_first_commit: Arc::new(AtomicBool::new(true)),
        };
        let ingest = context.ingest_service_with(Arc::new(store), Arc::clone(&context.blobs) as Arc<dyn BlobStore>);
        let failed = ingest.accept(&permit, upload("notes.md", NOTES)).await;
        assert!(matches!(failed, Err(IngestError::Store(StoreError::Unavailable { .. }))), "{failed:?}");
        context.wait_for_background_tasks().await;
        let count = documents(&context, &permit).await.len();
        let expected = usize::from(takes_effect);
        assert_eq!((count, context.blobs.count()), (expected, expected), "committed: {takes_effect}");
    }
}

/// A store whose first commit fails as if the connection had broken, whether or not it took effect.
#[derive(Clone)]
struct UnconfirmedCommitStore {
    inner: InMemoryStore,
    /// Whether the first commit takes effect.
    takes_effect: bool,
    is_first_commit: Arc<AtomicBool>,
}

struct UnconfirmedTx {
    inner: Box<dyn TenantTx>,
    store: UnconfirmedCommitStore,
}

#[async_trait]
impl Store for UnconfirmedCommitStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        Ok(Box::new(UnconfirmedTx { inner: self.inner.begin(scope).await?, store: self.clone() }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

macro_rules! repositories {
    ($($name:ident: $repo:ident)*) => {
        $(fn $name(&mut self) -> &mut dyn $repo {
            self.inner.$name()
        })*
    };
}

#[async_trait]
impl TenantTx for UnconfirmedTx {
    repositories! {
        conversations: ConversationRepo messages: MessageRepo feedback: FeedbackRepo documents: DocumentRepo
        chunks: ChunkRepo
        memories: MemoryRepo audit: AuditRepo users: UserRepo idempotency: IdempotencyRepo
        access_tokens: AccessTokenRepo sessions: SessionRepo jobs: JobRepo usage: UsageRepo
        teams: TeamRepo
        approvals: ApprovalRepo work_orders: WorkOrderRepo plant_mode: PlantModeRepo
        maintenance_system: MaintenanceSystemRepo channels: ChannelRepo mcp_servers: McpServerRepo
        connectors: ConnectorRepo glossary: GlossaryRepo plant_requests: PlantRequestRepo
        agents: AgentRepo goals: GoalRepo
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, store } = *self;
        if !store.is_first_commit.swap(false, Ordering::Relaxed) {
            return inner.commit().await;
        }
        if store.takes_effect {
            inner.commit().await?;
        }
        Err(StoreError::Unavailable { activity: "committing", source: "the connection broke".into() })
    }
}
