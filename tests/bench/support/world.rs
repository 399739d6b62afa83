//! The data of a benchmark, inserted through the platform's own repositories so that it follows the schema.

use super::issuer::Issuer;
use super::text::Author;
use super::vectors::{DIMENSION, MODEL, Vectors};
use anyhow::{Context as _, Result, bail};
use data::testing::TestDb;
use data::{PgDirectory, PgStore};
use domain::conversation::{Conversation, MessageRole, MessageStatus, NewMessage};
use domain::document::{NewChunk, NewDocument, Revision, StatusChange};
use domain::ids::{ConversationId, DocumentId, TenantId, UserId};
use domain::memory::Memory;
use domain::ports::{Clock as _, Directory as _, IdGen as _, NewTenant, Store as _, TenantTx};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use domain::user::Identity;
use fakes::suite::scope;
use platform_server::system::{SystemClock, TimeOrderedIds};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use tools::retrieval::passage_terms;

/// Number of passages per document.
const DOCUMENT_PASSAGES: u64 = 50;
const MESSAGES: u64 = 50;
const MEMORIES: u64 = 10;

/// The amount of data of a tenant.
#[derive(Clone, Debug)]
pub struct TenantShape {
    pub slug: String,
    pub users: usize,
    /// Number of conversations per user, each with 50 messages.
    pub conversations_per_user: usize,
    pub passages: u64,
}

/// A tenant with its data.
pub struct TenantWorld {
    pub id: TenantId,
    pub slug: String,
    pub passages: u64,
    pub users: Vec<UserWorld>,
}

/// A user with 10 memories, and the conversations of its tenant's shape.
pub struct UserWorld {
    /// A bearer token of the user.
    pub token: String,
    pub conversations: Vec<ConversationId>,
}

/// The name of the embedding model as stored with passages: model name and dimension.
pub fn embedding_model() -> String {
    format!("{MODEL}-{DIMENSION}")
}

/// Inserts generated tenants into a database; every database gets the same texts.
pub struct Writer<'a> {
    pub issuer: &'a Issuer,
    pub author: Author,
    pub vectors: Vectors,
    ids: AtomicU64,
}

impl<'a> Writer<'a> {
    pub fn new(issuer: &'a Issuer) -> Self {
        Self { issuer, author: Author::new(), vectors: Vectors::default(), ids: AtomicU64::new(0) }
    }

    /// Creates a tenant with its data. The ids differ between databases, the texts do not.
    pub async fn tenant(&self, db: &TestDb, shape: &TenantShape) -> Result<TenantWorld> {
        let database = db.app().map_err(|error| anyhow::anyhow!("{error}"))?;
        let (store, now) = (PgStore::new(database.clone()), SystemClock.now());
        let id = TenantId::from_uuid(TimeOrderedIds.uuid());
        let new = NewTenant { id, name: shape.slug.clone(), slug: shape.slug.clone() };
        PgDirectory::new(database.clone()).create_tenant(new).await?;
        let mut users = Vec::new();
        let mut uploader = None;
        for number in 0..shape.users.max(1) {
            let subject = format!("{}-user-{number}", shape.slug);
            let mut tx = store.begin(&scope(id, Actor::System)).await?;
            let user = tx.users().sign_in(TimeOrderedIds.uuid().into(), &self.identity(&subject), now).await?.id;
            tx.commit().await?;
            uploader.get_or_insert(user);
            let mut tx = store.begin(&scope(id, Actor::User(user))).await?;
            let mut conversations = Vec::new();
            for _ in 0..shape.conversations_per_user {
                conversations.push(self.conversation(&mut *tx, user, now).await?);
            }
            for _ in 0..MEMORIES {
                tx.memories().insert(&self.memory(now)).await?;
            }
            tx.commit().await?;
            let token = self.issuer.token(&shape.slug, &subject)?;
            users.push(UserWorld { token, conversations });
        }
        let owner = scope(id, Actor::User(uploader.context("no user")?));
        let mut at = 0;
        while at < shape.passages {
            let count = DOCUMENT_PASSAGES.min(shape.passages - at);
            self.document(&store, &owner, Document { number: at / DOCUMENT_PASSAGES, passages: count }).await?;
            at += count;
        }
        database.close().await;
        Ok(TenantWorld { id, slug: shape.slug.clone(), passages: shape.passages, users })
    }

    /// Generates a question about one of the passages of a tenant.
    pub fn question(&self, passages: u64, seed: u64) -> String {
        let mut rng = fastrand::Rng::with_seed(seed);
        let passage = rng.u64(..passages.max(1));
        self.author.question(passage / DOCUMENT_PASSAGES, passage % DOCUMENT_PASSAGES, seed)
    }

    fn identity(&self, subject: &str) -> Identity {
        Identity {
            issuer: self.issuer.url.clone(),
            subject: subject.to_owned(),
            email: None,
            name: Some(subject.to_owned()),
            role: Some(Role::User),
            issued_at: Some(SystemClock.now()),
        }
    }

    fn next(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    async fn conversation(&self, tx: &mut dyn TenantTx, user_id: UserId, now: Timestamp) -> Result<ConversationId> {
        let id = ConversationId::from_uuid(TimeOrderedIds.uuid());
        let new = Conversation {
            id,
            user_id,
            title: Some("Shift handover".to_owned()),
            model: None,
            metadata: json!({}),
            classification: Classification::Public,
            created_at: now,
            updated_at: now,
        };
        tx.conversations().insert(&new).await?;
        let message = |number: u64| NewMessage {
            id: TimeOrderedIds.uuid().into(),
            role: if number.is_multiple_of(2) { MessageRole::User } else { MessageRole::Assistant },
            content: self.author.message(self.next()),
            status: MessageStatus::Complete,
            token_count: Some(55),
            classification: Classification::Internal,
        };
        let messages: Vec<NewMessage> = (0..MESSAGES).map(message).collect();
        tx.messages().append(id, &messages, now).await?.context("the conversation is gone")?;
        Ok(id)
    }

    fn memory(&self, now: Timestamp) -> Memory {
        Memory {
            id: TimeOrderedIds.uuid().into(),
            content: self.author.message(self.next()),
            importance: 0.5,
            tags: Vec::new(),
            classification: Classification::Internal,
            created_at: now,
        }
    }

    async fn document(&self, store: &PgStore, owner: &TenantScope, document: Document) -> Result<()> {
        let Some(user) = owner.user() else { bail!("a document needs a user") };
        let (now, new) = (SystemClock.now(), document.row(user));
        let chunks: Vec<NewChunk> = (0..document.passages).map(|number| self.chunk(document.number, number)).collect();
        let mut tx = store.begin(owner).await?;
        tx.documents().insert(&new, Classification::Restricted, now).await?;
        tx.chunks().replace(new.id, &embedding_model(), &chunks, now).await?;
        let chunk_count = i32::try_from(chunks.len())?;
        let ready =
            StatusChange::Ready { title: None, page_count: Some(chunk_count), chunk_count, warnings: Vec::new() };
        tx.documents().advance(new.id, &ready, now).await?;
        Ok(tx.commit().await?)
    }

    fn chunk(&self, document: u64, number: u64) -> NewChunk {
        let content = self.author.passage(document, number);
        let (title, section) = (format!("Manual {document}"), format!("Section {}", number / 4));
        NewChunk {
            id: TimeOrderedIds.uuid().into(),
            chunk_index: i32::try_from(number).unwrap_or(i32::MAX),
            token_count: 150,
            embedding: self.vectors.embed(&content),
            terms: Some(passage_terms(&title, &title, Some(&section), &content)),
            page: i32::try_from(number + 1).ok(),
            context: title,
            section: Some(section),
            content,
        }
    }
}

/// A generated document.
#[derive(Clone, Copy)]
struct Document {
    number: u64,
    passages: u64,
}

impl Document {
    fn row(self, uploaded_by: UserId) -> NewDocument {
        let id = DocumentId::from_uuid(TimeOrderedIds.uuid());
        NewDocument {
            id,
            filename: format!("manual-{}.pdf", self.number),
            title: format!("Manual {}", self.number),
            mime_type: "application/pdf".to_owned(),
            file_size_bytes: 1_000,
            sha256: format!("{:064x}", self.number),
            storage_path: id.to_string(),
            doc_type: Some("manual".to_owned()),
            tags: Vec::new(),
            classification: Classification::Internal,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by,
        }
    }
}
