//! Tests what is checked again after an upload's body has arrived, and what happens to its file.

use super::support::{Plant, form, upload, with_form};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use domain::authorized::Permit;
use domain::document::Document;
use domain::error::Classify as _;
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::ports::{
    AccessTokenRepo, AuditRepo, BlobStore, ChunkRepo, ConversationRepo, Directory, DocumentRepo, IdempotencyRepo,
    JobRepo, MemoryRepo, MessageRepo, MockBlobStore, Store, StoreError, TenantPatch, TenantTx, UsageRepo, UserRepo,
};
use domain::role::{Classification, Role};
use domain::scope::TenantScope;
use domain::tenant::{ClearanceLimits, Quotas, TenantSettings};
use domain::tenant_change::ChangedBy;
use domain::upload::{Upload, UploadOutcome};
use domain::user::UserPatch;
use fakes::MemoryStore;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tools::error::IngestError;
use tools::ingest::IngestSettings;
use tools::ingest::accept::Ingest as _;

const NOTES: &[u8] = b"# Strainer\n\nClean the suction strainer when its differential pressure exceeds 0.25 bar.\n";

/// An upload during which `event` runs.
fn with_event(mut given: Upload, event: BoxFuture<'static, ()>) -> Upload {
    let rest = stream::once(event.map(|()| Ok(Bytes::from_static(b"\nAnd log it.\n"))));
    given.bytes = given.bytes.chain(rest).boxed();
    given
}

/// An endless upload of a few bytes per second.
fn trickling() -> Upload {
    let pieces = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Bytes::from_static(b"valve "))
    });
    Upload { bytes: pieces.boxed(), form: futures::future::pending().boxed() }
}

/// Changes user and tenant during an upload.
#[derive(Clone)]
struct Administrator {
    store: MemoryStore,
    scope: TenantScope,
    user: UserId,
}

impl Administrator {
    fn of(plant: &Plant, permit: &Permit) -> Self {
        let (scope, user) = (permit.scope().clone(), permit.scope().user().expect("a user"));
        Self { store: plant.store.clone(), scope, user }
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
        let off = TenantPatch { is_active: Some(false), ..TenantPatch::default() };
        self.store.update_tenant(self.scope.tenant(), off, &ChangedBy::default()).await.expect("changed");
    }

    async fn configure(self, settings: TenantSettings) {
        let tenant = self.store.tenant(&self.scope.tenant().to_string()).await.expect("read").expect("the tenant");
        let version = tenant.settings_version;
        self.store
            .configure(tenant.id, &settings, version, &ChangedBy::default())
            .await
            .expect("changed")
            .expect("configured");
    }
}

fn suspended() -> UserPatch {
    UserPatch { is_active: Some(false), ..UserPatch::default() }
}

fn role(role: Role) -> UserPatch {
    UserPatch { role: Some(role), ..UserPatch::default() }
}

async fn documents(plant: &Plant, permit: &Permit) -> Vec<Document> {
    let mut tx = plant.store.begin(permit.scope()).await.expect("a transaction");
    let all = domain::document::DocumentFilter::default();
    let listed = tx.documents().list(&all, Classification::Restricted, &PageRequest::default()).await;
    listed.expect("a list").items
}

async fn assert_no_traces(plant: &Plant, permit: &Permit) {
    plant.settle().await;
    assert_eq!(plant.blobs.count(), 0, "no file is stored");
    assert!(documents(plant, permit).await.is_empty(), "no document is recorded");
    assert_eq!(plant.try_claim().await, None, "nothing is queued");
}

#[tokio::test]
async fn user_tenant_role_and_clearance_are_checked_again_when_the_document_is_recorded() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let lowered = |admin: Administrator| {
        let clearance = ClearanceLimits { user: Some(Classification::Internal), ..ClearanceLimits::default() };
        admin.configure(TenantSettings { clearance, ..TenantSettings::default() }).boxed()
    };
    let cases: [(Change, &str); 4] = [
        (|admin| admin.patch(suspended()).boxed(), "user_disabled"),
        (|admin| admin.suspend_tenant().boxed(), "tenant_suspended"),
        (|admin| admin.patch(role(Role::Viewer)).boxed(), "policy_denied"),
        (lowered, "validation"),
    ];
    for (change, code) in cases {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let mut described = form("notes.md");
        described.classification = Some(Classification::Confidential);
        let change = change(Administrator::of(&plant, &permit));
        let given = with_event(with_form(NOTES, Ok(described)), change);
        let refused = plant.ingest(IngestSettings::default()).accept(&permit, given).await.expect_err(code);
        assert_eq!(refused.code(), code, "{refused:?}");
        assert_no_traces(&plant, &permit).await;
    }
}

#[tokio::test]
async fn the_right_to_supersede_is_checked_again() {
    let plant = Plant::new().await;
    let (owner, admin) = (plant.permit(Role::User).await, plant.permit(Role::Admin).await);
    let old = plant.document(&owner, "old.pdf", Classification::Internal, &["one"]).await;
    let ingest = plant.ingest(IngestSettings::default());
    let mut described = form("notes.md");
    described.supersedes = Some(old.id);
    let demoted = Administrator::of(&plant, &admin).patch(role(Role::User)).boxed();
    let refused = ingest.accept(&admin, with_event(with_form(NOTES, Ok(described.clone())), demoted)).await;
    assert!(matches!(refused, Err(IngestError::NotYours)), "{refused:?}");
    let accepted = ingest.accept(&owner, with_form(NOTES, Ok(described))).await;
    assert!(matches!(accepted, Ok(UploadOutcome::Created(_))), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_at_its_time_limit() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let settings = IngestSettings { upload_limit: Duration::from_secs(90), ..IngestSettings::default() };
    let started = Instant::now();
    let ingest = plant.ingest(settings);
    let ended = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, trickling()));
    let refused = ended.await.expect("in time").expect_err("too slow");
    assert_eq!(started.elapsed().as_secs(), 90);
    assert_eq!(refused.code(), "upload_timeout");
    assert!(refused.public_detail().is_some_and(|detail| detail.contains("90 s")), "{refused:?}");
    assert_no_traces(&plant, &permit).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_stops_when_its_user_or_tenant_is_suspended() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let cases: [(Change, &str); 2] = [
        (|admin| admin.patch(suspended()).boxed(), "user_disabled"),
        (|admin| admin.suspend_tenant().boxed(), "tenant_suspended"),
    ];
    for (change, code) in cases {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let change = change(Administrator::of(&plant, &permit));
        let later = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            change.await;
        };
        let started = Instant::now();
        let ingest = plant.ingest(IngestSettings::default());
        let ended = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, trickling()));
        let (ended, ()) = tokio::join!(ended, later);
        let refused = ended.expect("in time").expect_err(code);
        assert_eq!(refused.code(), code);
        assert!((60..=65).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        assert_no_traces(&plant, &permit).await;
    }
}

/// An open intent is closed as `unknown` after a day, so an upload must be recorded before that.
#[tokio::test]
async fn an_upload_that_was_delayed_by_a_day_has_no_effect() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let clock = Arc::clone(&plant.clock);
    let delay = async move {
        clock.advance(TimeDelta::hours(25));
    };
    let given = with_event(upload("notes.md", NOTES), delay.boxed());
    let refused = plant.ingest(IngestSettings::default()).accept(&permit, given).await.expect_err("too late");
    assert_eq!(refused.code(), "upload_timeout");
    assert_no_traces(&plant, &permit).await;
}

#[tokio::test]
async fn with_an_exhausted_quota_only_duplicates_are_accepted() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let known = plant.ingest(IngestSettings::default()).accept(&permit, upload("notes.md", NOTES)).await;
    let Ok(UploadOutcome::Created(known)) = known else { panic!("{known:?}") };
    let quotas = Quotas { documents: Some(1), ..Quotas::default() };
    Administrator::of(&plant, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
    let mut blobs = MockBlobStore::new();
    blobs.expect_put().never();
    let ingest = plant.ingest_into(Arc::new(plant.store.clone()), Arc::new(blobs));
    let refused = ingest.accept(&permit, upload("more.md", b"# More\n\nAnd more of it.\n")).await;
    assert!(matches!(refused, Err(IngestError::QuotaExceeded)), "{refused:?}");
    let again = ingest.accept(&permit, upload("copy.md", NOTES)).await;
    assert!(matches!(&again, Ok(UploadOutcome::Duplicate(document)) if document.id == known.id), "{again:?}");
}

#[tokio::test]
async fn no_more_is_stored_than_the_quota_of_bytes_allows() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let quotas = Quotas { bytes: Some(100_000), ..Quotas::default() };
    Administrator::of(&plant, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
    let read_on = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&read_on);
    let mut given = upload("long.txt", &b"word ".repeat(30_000));
    let rest = stream::once(async move {
        seen.store(true, Ordering::Relaxed);
        Ok(Bytes::from_static(b"end"))
    });
    given.bytes = given.bytes.chain(rest).boxed();
    let refused = plant.ingest(IngestSettings::default()).accept(&permit, given).await;
    assert!(matches!(refused, Err(IngestError::QuotaExceeded)), "{refused:?}");
    assert!(!read_on.load(Ordering::Relaxed), "the body was read past the quota");
    assert_no_traces(&plant, &permit).await;
}

/// The connection breaks before the commit is confirmed, so the service must find out whether it took effect.
#[tokio::test]
async fn a_file_is_deleted_if_its_record_failed_and_kept_if_it_was_recorded() {
    for committed in [false, true] {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let store = Unconfirmed { inner: plant.store.clone(), committed, first: Arc::new(AtomicBool::new(true)) };
        let ingest = plant.ingest_into(Arc::new(store), Arc::clone(&plant.blobs) as Arc<dyn BlobStore>);
        let failed = ingest.accept(&permit, upload("notes.md", NOTES)).await;
        assert!(matches!(failed, Err(IngestError::Store(StoreError::Unavailable { .. }))), "{failed:?}");
        plant.settle().await;
        let count = documents(&plant, &permit).await.len();
        let expected = usize::from(committed);
        assert_eq!((count, plant.blobs.count()), (expected, expected), "committed: {committed}");
    }
}

/// A store whose first commit fails without confirmation.
#[derive(Clone)]
struct Unconfirmed {
    inner: MemoryStore,
    /// Whether the first commit takes effect.
    committed: bool,
    first: Arc<AtomicBool>,
}

struct UnconfirmedTx {
    inner: Box<dyn TenantTx>,
    store: Unconfirmed,
}

#[async_trait]
impl Store for Unconfirmed {
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
        conversations: ConversationRepo messages: MessageRepo documents: DocumentRepo chunks: ChunkRepo
        memories: MemoryRepo audit: AuditRepo users: UserRepo idempotency: IdempotencyRepo
        access_tokens: AccessTokenRepo jobs: JobRepo usage: UsageRepo
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, store } = *self;
        if !store.first.swap(false, Ordering::Relaxed) {
            return inner.commit().await;
        }
        if store.committed {
            inner.commit().await?;
        }
        Err(StoreError::Unavailable { doing: "committing", source: "the connection broke".into() })
    }
}
