//! What an upload may still do when its body has arrived, and what becomes of its file.

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

/// An upload in whose middle something happens.
fn interrupted(mut given: Upload, happens: BoxFuture<'static, ()>) -> Upload {
    let rest = stream::once(happens.map(|()| Ok(Bytes::from_static(b"\nAnd log it.\n"))));
    given.bytes = given.bytes.chain(rest).boxed();
    given
}

/// A body that goes on for ever, a few bytes a second.
fn trickling() -> Upload {
    let pieces = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Bytes::from_static(b"valve "))
    });
    Upload { bytes: pieces.boxed(), form: futures::future::pending().boxed() }
}

/// Changes to user and tenant, from outside.
#[derive(Clone)]
struct Administrator {
    store: MemoryStore,
    scope: TenantScope,
    user: UserId,
}

impl Administrator {
    fn over(plant: &Plant, permit: &Permit) -> Self {
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

    async fn switch_tenant_off(self) {
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

fn off() -> UserPatch {
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

async fn nothing_is_left(plant: &Plant, permit: &Permit) {
    plant.settle().await;
    assert_eq!(plant.blobs.count(), 0, "no file is kept");
    assert!(documents(plant, permit).await.is_empty(), "nothing is recorded");
    assert_eq!(plant.try_claim().await, None, "nothing is queued");
}

#[tokio::test]
async fn user_tenant_role_and_clearance_are_read_again_when_the_document_is_recorded() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let lowered = |admin: Administrator| {
        let clearance = ClearanceLimits { user: Some(Classification::Internal), ..ClearanceLimits::default() };
        admin.configure(TenantSettings { clearance, ..TenantSettings::default() }).boxed()
    };
    let cases: [(Change, &str); 4] = [
        (|admin| admin.patch(off()).boxed(), "user_disabled"),
        (|admin| admin.switch_tenant_off().boxed(), "tenant_suspended"),
        (|admin| admin.patch(role(Role::Viewer)).boxed(), "policy_denied"),
        (lowered, "validation"),
    ];
    for (change, code) in cases {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let mut described = form("notes.md");
        described.classification = Some(Classification::Confidential);
        let change = change(Administrator::over(&plant, &permit));
        let given = interrupted(with_form(NOTES, Ok(described)), change);
        let refused = plant.ingest(IngestSettings::default()).accept(&permit, given).await.expect_err(code);
        assert_eq!(refused.code(), code, "{refused:?}");
        nothing_is_left(&plant, &permit).await;
    }
}

#[tokio::test]
async fn rights_over_what_is_superseded_are_read_again() {
    let plant = Plant::new().await;
    let (owner, admin) = (plant.permit(Role::User).await, plant.permit(Role::Admin).await);
    let old = plant.document(&owner, "old.pdf", Classification::Internal, &["one"]).await;
    let ingest = plant.ingest(IngestSettings::default());
    let mut described = form("notes.md");
    described.supersedes = Some(old.id);
    let demoted = Administrator::over(&plant, &admin).patch(role(Role::User)).boxed();
    let refused = ingest.accept(&admin, interrupted(with_form(NOTES, Ok(described.clone())), demoted)).await;
    assert!(matches!(refused, Err(IngestError::NotYours)), "{refused:?}");
    let accepted = ingest.accept(&owner, with_form(NOTES, Ok(described))).await;
    assert!(matches!(accepted, Ok(UploadOutcome::Created(_))), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_when_its_time_is_over() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let settings = IngestSettings { upload_limit: Duration::from_secs(90), ..IngestSettings::default() };
    let began = Instant::now();
    let ingest = plant.ingest(settings);
    let ended = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, trickling()));
    let refused = ended.await.expect("in time").expect_err("too slow");
    assert_eq!(began.elapsed().as_secs(), 90);
    assert_eq!(refused.code(), "upload_timeout");
    assert!(refused.public_detail().is_some_and(|detail| detail.contains("90 s")), "{refused:?}");
    nothing_is_left(&plant, &permit).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_stops_when_its_user_or_tenant_is_switched_off() {
    type Change = fn(Administrator) -> BoxFuture<'static, ()>;
    let cases: [(Change, &str); 2] = [
        (|admin| admin.patch(off()).boxed(), "user_disabled"),
        (|admin| admin.switch_tenant_off().boxed(), "tenant_suspended"),
    ];
    for (change, code) in cases {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let change = change(Administrator::over(&plant, &permit));
        let later = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            change.await;
        };
        let began = Instant::now();
        let ingest = plant.ingest(IngestSettings::default());
        let ended = tokio::time::timeout(Duration::from_secs(600), ingest.accept(&permit, trickling()));
        let (ended, ()) = tokio::join!(ended, later);
        let refused = ended.expect("in time").expect_err(code);
        assert_eq!(refused.code(), code);
        assert!((60..=65).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        nothing_is_left(&plant, &permit).await;
    }
}

/// The intent of an upload is closed as `unknown` after a day: what is recorded has its outcome before.
#[tokio::test]
async fn an_upload_that_was_held_up_has_no_effect() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let clock = Arc::clone(&plant.clock);
    let held_up = async move {
        clock.advance(TimeDelta::hours(25));
    };
    let given = interrupted(upload("notes.md", NOTES), held_up.boxed());
    let refused = plant.ingest(IngestSettings::default()).accept(&permit, given).await.expect_err("too late");
    assert_eq!(refused.code(), "upload_timeout");
    nothing_is_left(&plant, &permit).await;
}

#[tokio::test]
async fn a_full_tenant_stores_no_byte_and_knows_what_it_has() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let known = plant.ingest(IngestSettings::default()).accept(&permit, upload("notes.md", NOTES)).await;
    let Ok(UploadOutcome::Created(known)) = known else { panic!("{known:?}") };
    let quotas = Quotas { documents: Some(1), ..Quotas::default() };
    Administrator::over(&plant, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
    let mut blobs = MockBlobStore::new();
    blobs.expect_put().never();
    let ingest = plant.ingest_into(Arc::new(plant.store.clone()), Arc::new(blobs));
    let refused = ingest.accept(&permit, upload("more.md", b"# More\n\nAnd more of it.\n")).await;
    assert!(matches!(refused, Err(IngestError::QuotaExceeded)), "{refused:?}");
    let again = ingest.accept(&permit, upload("copy.md", NOTES)).await;
    assert!(matches!(&again, Ok(UploadOutcome::Duplicate(document)) if document.id == known.id), "{again:?}");
}

#[tokio::test]
async fn no_more_is_stored_than_the_tenants_bytes_allow() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    let quotas = Quotas { bytes: Some(100_000), ..Quotas::default() };
    Administrator::over(&plant, &permit).configure(TenantSettings { quotas, ..TenantSettings::default() }).await;
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
    assert!(!read_on.load(Ordering::Relaxed), "it was read past the quota");
    nothing_is_left(&plant, &permit).await;
}

/// The connection breaks while the commit is confirmed: whether it is lasting is found out.
#[tokio::test]
async fn a_file_whose_record_fails_is_removed_and_one_that_is_recorded_is_kept() {
    for lasting in [false, true] {
        let plant = Plant::new().await;
        let permit = plant.permit(Role::User).await;
        let store = Unconfirmed { inner: plant.store.clone(), lasting, once: Arc::new(AtomicBool::new(true)) };
        let ingest = plant.ingest_into(Arc::new(store), Arc::clone(&plant.blobs) as Arc<dyn BlobStore>);
        let failed = ingest.accept(&permit, upload("notes.md", NOTES)).await;
        assert!(matches!(failed, Err(IngestError::Store(StoreError::Unavailable { .. }))), "{failed:?}");
        plant.settle().await;
        let kept = documents(&plant, &permit).await.len();
        assert_eq!((kept, plant.blobs.count()), (usize::from(lasting), usize::from(lasting)), "lasting: {lasting}");
    }
}

/// A store whose first commit is not confirmed.
#[derive(Clone)]
struct Unconfirmed {
    inner: MemoryStore,
    /// Whether what was committed is there all the same.
    lasting: bool,
    once: Arc<AtomicBool>,
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
        if !store.once.swap(false, Ordering::Relaxed) {
            return inner.commit().await;
        }
        if store.lasting {
            inner.commit().await?;
        }
        Err(StoreError::Unavailable { doing: "committing", source: "the connection broke".into() })
    }
}
