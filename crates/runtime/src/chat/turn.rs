//! The start of a turn, in one transaction: what was said is stored before the model is called.

use super::ChatService;
use super::allowance::Allowance;
use super::ask::{self, Ask};
use super::prompt::Mark;
use super::tier::{self, Chosen};
use super::tool_calls::offer;
use crate::conversations::ABANDONED_AFTER;
use crate::error::RuntimeError;
use crate::withheld::withhold;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::command::RetrievalMode;
use domain::conversation::{Conversation, Message, MessageRole, MessageStatus, NewMessage};
use domain::ids::{ConversationId, MessageId, RunId};
use domain::ledger::CallContext;
use domain::memory::Memory;
use domain::model::{ChatOptions, ModelChoice, ModelTier};
use domain::model_call::ModelCaller;
use domain::ports::{StoreError, TenantTx};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::scope::TenantScope;
use domain::search::SearchFilters;
use domain::tenant::{Tenant, TenantSettings};
use domain::time::Timestamp;
use std::time::Duration;

/// Most earlier messages that are looked at; the token budget decides which go into the prompt.
const HISTORY: u32 = 100;
/// Most memories that go into a prompt.
const MEMORIES: u32 = 10;

/// A turn that is ready to be answered.
pub(super) struct Turn {
    pub permit: Permit,
    pub run_id: RunId,
    pub conversation: ConversationId,
    pub answer_id: MessageId,
    pub tenant_name: String,
    pub chosen: Chosen,
    /// On whose behalf models are called.
    pub caller: ModelCaller,
    /// The mark of the tags in its prompts.
    pub mark: Mark,
    pub question: String,
    pub retrieval: RetrievalMode,
    pub filters: SearchFilters,
    pub history: Vec<Message>,
    pub memories: Vec<Memory>,
    /// The highest that a model may see of this tenant.
    pub model_limit: Classification,
    /// Earlier answers that the model may not see.
    pub left_out: u32,
    /// The wishes of the client's program, as data.
    pub instructions: Option<String>,
    /// How the model is to write.
    pub options: ChatOptions,
    /// Most tokens of the answer.
    pub max_output_tokens: u32,
    /// How long the answer goes on when nobody reads it.
    pub grace: Duration,
    /// What was set aside for it.
    pub allowance: Allowance,
}

impl Turn {
    /// What the user says, of the class of a user's own words.
    pub(super) fn question(&self) -> Classified<&str> {
        Classified::new(&self.question, self.permit.rights().class_of_own_words())
    }

    /// What its calls to models are part of.
    pub(super) fn context(&self) -> CallContext {
        CallContext { conversation: Some(self.conversation), run: Some(self.run_id) }
    }
}

impl ChatService {
    /// The highest classification that goes into a prompt: what the tier's models may see, or less where the tenant says
    /// so.
    pub(super) fn model_limit(&self, tenant: Option<&Tenant>, tier: ModelTier, caller: &ModelCaller) -> Classification {
        let highest = self.parts.model.highest_classification(tier, caller);
        tenant.and_then(|tenant| tenant.settings.model_classification).map_or(highest, |limit| limit.min(highest))
    }

    /// Loads history and memories, stores the user's message and the place of the answer.
    pub(super) async fn prepare(&self, permit: Permit, command: Ask) -> Result<Turn, RuntimeError> {
        let gone = || RuntimeError::NotFound { what: "the conversation" };
        let tenant = self.parts.directory.tenant(&permit.scope().tenant().to_string()).await?;
        let now = self.parts.clock.now();
        let answer_id = MessageId::from_uuid(self.parts.ids.uuid());
        let question = command.message.as_str().to_owned();

        let mut tx = self.parts.store.begin(permit.scope()).await?;
        let conversation = self.conversation(&mut *tx, (&permit, &command), now).await?.ok_or_else(gone)?;
        tx.messages().fail_stale_answers(now - ABANDONED_AFTER).await?;
        let mut history = history(&mut *tx, (&permit, &command), (&conversation, now)).await?;
        withhold(&mut *tx, &mut history, permit.clearance()).await?;
        let mut memories = self.memories(&mut *tx, &permit, now).await?;
        let settings = tenant.as_ref().map(|tenant| tenant.settings.clone()).unwrap_or_default();
        let wish = command.model.or(conversation.model).or(settings.default_model).unwrap_or(ModelChoice::Auto);
        let has_heavy = self.parts.model.has(ModelTier::Heavy);
        let chosen = tier::choose(wish, (&question, command.filters.document_ids.len(), 0), has_heavy);
        let caller = caller(permit.scope(), &settings);
        let model_limit = self.model_limit(tenant.as_ref(), chosen.tier, &caller);
        let own_words = permit.rights().class_of_own_words();
        if own_words > model_limit {
            return Err(RuntimeError::AboveModel);
        }
        let left_out = keep_what_a_model_may_see(&mut history, &mut memories, model_limit);
        let tools = offer(&self.tools_of(&permit));
        let price = self.parts.model.highest_price(chosen.tier, &caller);
        let asked = self.estimate((&question, command.retrieval), &history, &memories, (&tools, price));
        let allowance = self.reserve(&mut *tx, permit.scope(), settings.quotas.budgets(), asked).await?;
        let question_id = MessageId::from_uuid(self.parts.ids.uuid());
        let said = [said(question_id, &question, own_words), yet_to_come(answer_id)];
        tx.messages().append(conversation.id, &said, now).await?.ok_or_else(gone)?;
        tx.commit().await?;

        Ok(Turn {
            permit,
            run_id: RunId::from_uuid(self.parts.ids.uuid()),
            conversation: conversation.id,
            answer_id,
            tenant_name: tenant.map(|tenant| tenant.name).unwrap_or_default(),
            chosen,
            caller,
            mark: Mark::new(self.parts.ids.uuid()),
            question,
            retrieval: command.retrieval,
            filters: command.filters,
            history,
            memories,
            model_limit,
            left_out,
            instructions: command.instructions,
            options: command.options,
            max_output_tokens: command.max_output_tokens.unwrap_or(u32::MAX).min(self.settings.max_output_tokens),
            grace: command.grace,
            allowance,
        })
    }

    /// What the user asked to remember, where the credential may be used to read it.
    async fn memories(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<Vec<Memory>, StoreError> {
        if !permit.rights().allow(Permission::new(Resource::Memories, Operation::List)) {
            return Ok(Vec::new());
        }
        tx.memories().most_important(now, permit.clearance(), MEMORIES).await
    }

    /// The conversation that goes on, or a new one.
    async fn conversation(
        &self,
        tx: &mut dyn TenantTx,
        (permit, command): (&Permit, &Ask),
        now: Timestamp,
    ) -> Result<Option<Conversation>, RuntimeError> {
        if let Some(id) = command.conversation {
            return Ok(tx.conversations().get(id).await?);
        }
        let id = ConversationId::from_uuid(self.parts.ids.uuid());
        let Some(conversation) = ask::conversation(permit, id, now) else { return Ok(None) };
        tx.conversations().insert(&conversation).await?;
        Ok(Some(conversation))
    }
}

/// What was said before: as it is stored, or as the client says.
async fn history(
    tx: &mut dyn TenantTx,
    (permit, command): (&Permit, &Ask),
    (conversation, now): (&Conversation, Timestamp),
) -> Result<Vec<Message>, StoreError> {
    match &command.history {
        None => tx.messages().newest(conversation.id, HISTORY).await,
        Some(said) => {
            let class = command.class_of_history(permit, conversation);
            let classes = (class, permit.rights().class_of_own_words());
            Ok(ask::messages(said, classes, (conversation.id, now)))
        }
    }
}

/// The question, as it is stored.
fn said(id: MessageId, question: &str, classification: Classification) -> NewMessage {
    NewMessage {
        id,
        role: MessageRole::User,
        content: question.to_owned(),
        status: MessageStatus::Complete,
        token_count: None,
        classification,
    }
}

/// The place of its answer.
fn yet_to_come(id: MessageId) -> NewMessage {
    NewMessage {
        id,
        role: MessageRole::Assistant,
        content: String::new(),
        status: MessageStatus::Streaming,
        token_count: None,
        classification: Classification::Public,
    }
}

pub(super) fn caller(scope: &TenantScope, settings: &TenantSettings) -> ModelCaller {
    ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit: settings.cloud_limit() }
}

/// Drops answers that were withheld from the user, and messages and memories that a model may not see; returns how many of
/// the latter.
fn keep_what_a_model_may_see(history: &mut Vec<Message>, memories: &mut Vec<Memory>, limit: Classification) -> u32 {
    history.retain(|message| !message.withheld);
    let before = history.len() + memories.len();
    history.retain(|message| message.classification <= limit);
    memories.retain(|memory| memory.classification <= limit);
    u32::try_from(before - history.len() - memories.len()).unwrap_or(u32::MAX)
}
