//! The data of a benchmark, inserted through the platform's repositories so that it always matches the schema.

use super::embedder::{DIMENSION, MODEL_NAME, WordEmbedder};
use super::issuer::Issuer;
use super::text_generator::TextGenerator;
use anyhow::{Context as _, Result, bail};
use data::testing::TestDb;
use data::{PgStore, PgTenantDirectory};
use domain::conversation::{Conversation, MessageRole, MessageStatus, NewMessage};
use domain::document::{NewChunk, NewDocument, Revision, StatusChange};
use domain::ids::{ConversationId, DocumentId, TenantId, UserId};
use domain::memory::Memory;
use domain::ports::{Clock as _, IdGen as _, NewTenant, Store as _, TenantDirectory as _, TenantTx};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use domain::user::Identity;
use fakes::store_contract::scope;
use platform_server::system::{SystemClock, TimeOrderedIds};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use tools::retrieval::passage_terms;

/// Number of passages per document.
const PASSAGES_PER_DOCUMENT: u64 = 50;
const MESSAGES_PER_CONVERSATION: u64 = 50;
const MEMORIES_PER_USER: u64 = 10;

/// How much data a tenant gets.
#[derive(Clone, Debug)]
pub struct TenantShape {
    pub slug: String,
    pub users: usize,
    /// Number of conversations per user, each with 50 messages.
    pub conversations_per_user: usize,
    pub passages: u64,
}

/// A tenant with its data.
pub struct TenantFixture {
    pub id: TenantId,
    pub slug: String,
    pub passages: u64,
    pub users: Vec<UserFixture>,
}

/// A user with 10 memories and as many conversations as the tenant's shape says.
pub struct UserFixture {
    /// A bearer token of the user.
    pub token: String,
    pub conversations: Vec<ConversationId>,
}

/// The name of the embedding model as stored with passages: model name and dimension.
pub fn embedding_model() -> String {
    format!("{MODEL_NAME}-{DIMENSION}")
}

/// Inserts generated tenants into a database; every database gets the same texts.
pub struct FixtureWriter<'a> {
    pub issuer: &'a Issuer,
    pub text_generator: TextGenerator,
    pub embedder: WordEmbedder,
    message_seeds: AtomicU64,
}

impl<'a> FixtureWriter<'a> {
    pub fn new(issuer: &'a Issuer) -> Self {
        Self {
            issuer,
            text_generator: TextGenerator::new(),
            embedder: WordEmbedder::default(),
            message_seeds: AtomicU64::new(0),
        }
    }

    /// Creates a tenant with its data. The ids differ between databases, the texts do not.
    pub async fn create_tenant(&self, db: &TestDb, shape: &TenantShape) -> Result<TenantFixture> {
        let database = db.app_pool().map_err(|error| anyhow::anyhow!("{error}"))?;
        let (store, now) = (PgStore::new(database.clone()), SystemClock.now());
        let id = TenantId::from_uuid(TimeOrderedIds.uuid());
        let new_tenant = NewTenant { id, name: shape.slug.clone(), slug: shape.slug.clone() };
        PgTenantDirectory::new(database.clone()).create_tenant(new_tenant).await?;
        let mut users = Vec::new();
        let mut first_user = None;
        for number in 0..shape.users.max(1) {
            let subject = format!("{}-user-{number}", shape.slug);
            let mut tx = store.begin(&scope(id, Actor::System)).await?;
            let user = tx.users().sign_in(TimeOrderedIds.uuid().into(), &self.identity(&subject), now).await?.id;
            tx.commit().await?;
            first_user.get_or_insert(user);
            let mut tx = store.begin(&scope(id, Actor::User(user))).await?;
            let mut conversations = Vec::new();
            for _ in 0..shape.conversations_per_user {
                conversations.push(self.create_conversation(&mut *tx, user, now).await?);
            }
            for _ in 0..MEMORIES_PER_USER {
                tx.memories().insert(&self.new_memory(now)).await?;
            }
            tx.commit().await?;
            let token = self.issuer.token(&shape.slug, &subject)?;
            users.push(UserFixture { token, conversations });
        }
        let uploader_scope = scope(id, Actor::User(first_user.context("no user")?));
        let mut written = 0;
        while written < shape.passages {
            let count = PASSAGES_PER_DOCUMENT.min(shape.passages - written);
            self.create_document(
                &store,
                &uploader_scope,
                GeneratedDocument { number: written / PASSAGES_PER_DOCUMENT, passages: count },
            )
            .await?;
            written += count;
        }
        database.close().await;
        Ok(TenantFixture { id, slug: shape.slug.clone(), passages: shape.passages, users })
    }

    /// Generates a question about one of the passages of a tenant.
    pub fn question(&self, passages: u64, seed: u64) -> String {
        let mut rng = fastrand::Rng::with_seed(seed);
        let passage = rng.u64(..passages.max(1));
        self.text_generator.question(passage / PASSAGES_PER_DOCUMENT, passage % PASSAGES_PER_DOCUMENT, seed)
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

    fn next_message_seed(&self) -> u64 {
        self.message_seeds.fetch_add(1, Ordering::Relaxed)
    }

    async fn create_conversation(
        &self,
        tx: &mut dyn TenantTx,
        user_id: UserId,
        now: Timestamp,
    ) -> Result<ConversationId> {
        let id = ConversationId::from_uuid(TimeOrderedIds.uuid());
        let conversation = Conversation {
            id,
            user_id,
            title: Some("Shift handover".to_owned()),
            model: None,
            metadata: json!({}),
            classification: Classification::Public,
            archived: false,
            active_message_id: None,
            is_busy: false,
            team_id: None,
            created_at: now,
            updated_at: now,
        };
        tx.conversations().insert(&conversation).await?;
        let new_message = |number: u64| NewMessage {
            id: TimeOrderedIds.uuid().into(),
            role: if number.is_multiple_of(2) { MessageRole::User } else { MessageRole::Assistant },
            content: self.text_generator.message(self.next_message_seed()),
            status: MessageStatus::Complete,
            token_count: Some(55),
            classification: Classification::Internal,
        };
        let messages: Vec<NewMessage> = (0..MESSAGES_PER_CONVERSATION).map(new_message).collect();
        tx.messages().append(id, None, &messages, now).await?.context("the conversation is gone")?;
        Ok(id)
    }

    fn new_memory(&self, now: Timestamp) -> Memory {
        let content = self.text_generator.message(self.next_message_seed());
        Memory::explicit(TimeOrderedIds.uuid().into(), content, Classification::Internal, now)
    }

    async fn create_document(
        &self,
        store: &PgStore,
        uploader_scope: &TenantScope,
        document: GeneratedDocument,
    ) -> Result<()> {
        let Some(user) = uploader_scope.user() else { bail!("a document needs a user") };
        let (now, new_document) = (SystemClock.now(), document.to_new_document(user));
        let chunks: Vec<NewChunk> =
            (0..document.passages).map(|number| self.new_chunk(document.number, number)).collect();
        let mut tx = store.begin(uploader_scope).await?;
        tx.documents().insert(&new_document, Classification::Restricted, now).await?;
        tx.chunks().replace(new_document.id, &embedding_model(), &chunks, now).await?;
        let chunk_count = i32::try_from(chunks.len())?;
        let ready =
            StatusChange::Ready { title: None, page_count: Some(chunk_count), chunk_count, warnings: Vec::new() };
        tx.documents().set_status(new_document.id, &ready, now).await?;
        Ok(tx.commit().await?)
    }

    fn new_chunk(&self, document: u64, number: u64) -> NewChunk {
        let content = self.text_generator.passage(document, number);
        let (title, section) = (format!("Manual {document}"), format!("Section {}", number / 4));
        NewChunk {
            id: TimeOrderedIds.uuid().into(),
            chunk_index: i32::try_from(number).unwrap_or(i32::MAX),
            token_count: 150,
            embedding: self.embedder.embed(&content),
            term_hashes: Some(passage_terms(&title, &title, Some(&section), &content)),
            page: i32::try_from(number + 1).ok(),
            context: title,
            section: Some(section),
            content,
        }
    }
}

/// A generated document.
#[derive(Clone, Copy)]
struct GeneratedDocument {
    number: u64,
    passages: u64,
}

impl GeneratedDocument {
    fn to_new_document(self, uploaded_by: UserId) -> NewDocument {
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
