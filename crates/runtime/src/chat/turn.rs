//! Prepares a chat turn in the transaction of its command: the intents of the turn and of its automatic search, and the
//! user's message, are committed together before anything is searched or the model is called.

use super::auto_search;
use super::question::{PlacedQuestion, TurnIds, refuse_if_busy};
use super::request::{TurnRequest, new_conversation};
use super::settings::ChatSettings;
use super::title::FirstTitle;
use crate::error::RuntimeError;
use crate::prompt::nonce::TagNonce;
use crate::run::agent::{Agent, ToolSet};
use crate::run::answer::AnswerFormat;
use crate::run::definition::Run;
use crate::run::input::{DocumentSearch, QuestionInput, RunInput};
use crate::run::model_access;
use crate::run::ports::RunPorts;
use crate::run::reserve::{BudgetRequest, BudgetReserver};
use crate::run::retrieve::CALL_ID;
use crate::run::tier::{self, ChosenTier, TierCriteria};
use crate::run::tool_calls::include_surroundings;
use crate::search::rag_search_call;
use crate::withheld::withhold;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::conversation::{Conversation, Message};
use domain::ids::{ConversationId, MessageId, RunId};
use domain::ledger::CallContext;
use domain::memory::Memory;
use domain::model::{ModelChoice, ModelTier};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::transaction::UseCaseTransaction;
use tools::gateway::CallAdmission;

/// Maximum number of earlier messages that are loaded; the token budget decides how many of them go into the prompt.
const MAX_HISTORY: u32 = 100;
/// Maximum number of memories in a prompt.
const MAX_MEMORIES: u32 = 10;
/// Maximum length of the automatic search's query, in characters.
const MAX_QUERY_CHARS: usize = 2_000;

/// Prepares the runs of chat turns.
#[derive(Clone)]
pub(super) struct TurnPreparer {
    pub ports: RunPorts,
    pub budgets: BudgetReserver,
    pub settings: ChatSettings,
}

/// A turn whose message is stored and whose run is ready to start.
pub(super) struct PreparedTurn {
    pub run: Run,
    pub conversation: ConversationId,
    pub first_title: FirstTitle,
}

/// Earlier messages and memories that the model may see.
struct VisibleContext {
    history: Vec<Message>,
    memories: Vec<Memory>,
    /// Number of earlier messages and memories that the model may not see.
    left_out: u32,
}

impl TurnPreparer {
    /// Loads history and memories, reserves budget, stores the user's message and an empty answer, and commits.
    ///
    /// # Errors
    /// If the conversation does not exist or is busy, a message that the request names is not in it, the model may not see user input, the remaining budget is too small, or the
    /// store fails.
    pub async fn prepare(
        &self,
        mut tx: UseCaseTransaction,
        permit: Permit,
        mut request: TurnRequest,
    ) -> Result<PreparedTurn, RuntimeError> {
        let not_found = || RuntimeError::NotFound { target: "the conversation" };
        let now = self.ports.clock.now();
        let new_id = || MessageId::from_uuid(self.ports.ids.uuid());
        let ids = TurnIds { answer: new_id(), question: new_id() };

        let conversation = self.conversation(&mut *tx, &permit, &request, now).await?.ok_or_else(not_found)?;
        refuse_if_busy(&mut *tx, &conversation, now).await?;
        let question = PlacedQuestion::find(&mut *tx, &permit, &request, &conversation).await?;
        let place = HistoryPlace { conversation: &conversation, last: question.history_end };
        let mut history = load_history(&mut *tx, &permit, &request, place, now).await?;
        withhold(&mut *tx, &mut history, permit.clearance()).await?;
        let memories = load_memories(&mut *tx, &permit, now).await?;
        let settings = &permit.tenant().settings;
        let tier = self.choose_tier(&request, &question.text, &conversation, settings);
        let caller = model_access::caller(permit.scope(), settings);
        let model = &*self.ports.model;
        let model_limit = model_access::classification_limit(model, tier.tier, &caller, settings);
        if question.class > model_limit {
            return Err(RuntimeError::AboveModelClassification);
        }
        let context = VisibleContext::new(history, memories, model_limit);
        let agent = self.agent(&permit, &mut request, tier);
        let first_title = self.first_title(&request, &conversation);
        let classified_question = Classified::new(question.text.clone(), question.class);
        let input = self.run_input(permit.tenant().name.clone(), classified_question, request, context);
        let price = model.highest_price(tier.tier, &caller);
        let estimate = input.token_estimate(&agent);
        let budget_request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
        let budget = self.budgets.reserve(&mut *tx, permit.scope(), budget_request).await?;
        question.append(&mut *tx, &conversation, ids, now).await?;
        let (conversation, id) = (conversation.id, RunId::from_uuid(self.ports.ids.uuid()));
        let context = CallContext { conversation: Some(conversation), run: Some(id) };
        let search = self.admit_search(&mut *tx, &permit, &input, context).await?;
        tx.commit().await?;

        let nonce = TagNonce::new(self.ports.ids.uuid());
        let run = Run {
            id,
            permit,
            caller,
            context,
            answer_id: ids.answer,
            agent,
            input,
            model_classification_limit: model_limit,
            nonce,
            search,
            budget,
        };
        Ok(PreparedTurn { run, conversation, first_title })
    }

    /// Records the intent of the automatic search, or its refusal, if the material requires one.
    async fn admit_search(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        input: &RunInput,
        context: CallContext,
    ) -> Result<Option<CallAdmission>, StoreError> {
        let Some(search) = input.search() else { return Ok(None) };
        let mut call = rag_search_call(CALL_ID, &search.query, search.top_k, &search.filters);
        include_surroundings(&mut call.arguments);
        call.context = context;
        self.ports.tools.admit(tx, permit, call).await.map(Some)
    }

    /// Loads the conversation to continue, or creates a new one.
    async fn conversation(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        request: &TurnRequest,
        now: Timestamp,
    ) -> Result<Option<Conversation>, RuntimeError> {
        if let Some(id) = request.conversation {
            return Ok(tx.conversations().get(id).await?);
        }
        let id = ConversationId::from_uuid(self.ports.ids.uuid());
        let Some(conversation) = new_conversation(permit, id, now) else { return Ok(None) };
        tx.conversations().insert(&conversation).await?;
        Ok(Some(conversation))
    }

    /// Chooses the tier from the setting of the turn, of the conversation, or of the tenant, in this order.
    fn choose_tier(
        &self,
        request: &TurnRequest,
        question: &str,
        conversation: &Conversation,
        settings: &TenantSettings,
    ) -> ChosenTier {
        let choice = request.model.or(conversation.model).or(settings.default_model).unwrap_or(ModelChoice::Auto);
        let criteria = TierCriteria {
            question,
            document_count: request.filters.document_ids.len(),
            client_tool_count: 0,
            has_heavy: self.ports.model.is_configured(ModelTier::Heavy),
        };
        tier::choose(choice, criteria)
    }

    /// Chooses how the conversation gets its first title. A client that keeps its own history writes its own titles, so
    /// that no model is called for it.
    fn first_title(&self, request: &TurnRequest, conversation: &Conversation) -> FirstTitle {
        if conversation.title.is_some() {
            FirstTitle::NotNeeded
        } else if request.history.is_none() && self.ports.model.is_generative() {
            FirstTitle::ByModel
        } else {
            FirstTitle::FromQuestion
        }
    }

    /// Builds the agent of a turn, with the tools that the permit allows. The extractive answerer gets no tools.
    fn agent(&self, permit: &Permit, request: &mut TurnRequest, tier: ChosenTier) -> Agent {
        let generative = self.ports.model.is_generative();
        let specs = if generative { self.ports.tools.manifest(permit.rights()) } else { Vec::new() };
        Agent {
            instructions: request.instructions.take(),
            tools: ToolSet::Platform(specs),
            tier,
            options: std::mem::take(&mut request.options),
            format: AnswerFormat::Cited,
            limits: self.settings.limits(request.max_output_tokens, request.grace),
        }
    }

    fn run_input(
        &self,
        tenant_name: String,
        question: Classified<String>,
        request: TurnRequest,
        context: VisibleContext,
    ) -> RunInput {
        let VisibleContext { history, memories, left_out } = context;
        let message = question.content();
        let search = auto_search::needs_search(request.retrieval, message).then(|| DocumentSearch {
            query: truncate_query(&auto_search::search_query(message, &history)),
            filters: request.filters,
            top_k: self.settings.max_passages,
        });
        RunInput::Question(QuestionInput { tenant_name, question, history, memories, search, left_out })
    }
}

impl VisibleContext {
    /// Removes answers that are withheld from the user, and messages and memories that the model may not see. Counts
    /// only the latter.
    fn new(mut history: Vec<Message>, mut memories: Vec<Memory>, max_classification: Classification) -> Self {
        history.retain(|message| !message.withheld);
        let total = history.len() + memories.len();
        history.retain(|message| message.classification <= max_classification);
        memories.retain(|memory| memory.classification <= max_classification);
        let left_out = u32::try_from(total - history.len() - memories.len()).unwrap_or(u32::MAX);
        Self { history, memories, left_out }
    }
}

/// Where the history of a turn ends.
#[derive(Clone, Copy)]
struct HistoryPlace<'a> {
    conversation: &'a Conversation,
    /// The last message of the history; `None` if there is none.
    last: Option<MessageId>,
}

/// Returns the earlier messages: the stored ones of the branch, or those that the client sent.
async fn load_history(
    tx: &mut dyn TenantTx,
    permit: &Permit,
    request: &TurnRequest,
    HistoryPlace { conversation, last }: HistoryPlace<'_>,
    now: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    match (&request.history, last) {
        (None, None) => Ok(Vec::new()),
        (None, Some(last)) => tx.messages().branch(conversation.id, last, MAX_HISTORY).await,
        (Some(history), _) => Ok(request.client_history(history, permit, conversation, now)),
    }
}

/// Loads the user's memories, if the credential's scopes allow reading them.
async fn load_memories(tx: &mut dyn TenantTx, permit: &Permit, now: Timestamp) -> Result<Vec<Memory>, StoreError> {
    if !permit.rights().allows(Permission::new(Resource::Memories, Operation::List)) {
        return Ok(Vec::new());
    }
    tx.memories().most_important(now, permit.clearance(), MAX_MEMORIES).await
}

/// Truncates a query to [`MAX_QUERY_CHARS`].
fn truncate_query(query: &str) -> String {
    query.chars().take(MAX_QUERY_CHARS).collect()
}
