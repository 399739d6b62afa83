//! Prepares a chat turn in the transaction of its command. The intents of the turn and of its automatic search and the
//! user's message are committed together, before the search runs or the model is called.

use super::auto_search;
use super::client_tools::ClientTools;
use super::memory_suggestion::{MemoryInference, MemorySuggestion};
use super::question::{PlacedQuestion, TurnIds, refuse_if_busy};
use super::request::{TurnRequest, new_conversation};
use super::settings::ChatSettings;
use super::title::FirstTitle;
use super::visible_context::VisibleContext;
use crate::error::RuntimeError;
use crate::follow_up::{self, QuestionKind, earlier_turns};
use crate::privacy;
use crate::prompt::nonce::TagNonce;
use crate::prompt::system::SystemPrompt;
use crate::prompt::tokens::{TokenBudget, TokenCounter};
use crate::prompt::tool_rounds;
use crate::run::agent::{Agent, ToolSet};
use crate::run::answer::AnswerFormat;
use crate::run::budget_reservation::{BudgetRequest, BudgetReserver};
use crate::run::definition::Run;
use crate::run::input::{Acknowledgement, DocumentSearch, QuestionInput, RunInput};
use crate::run::model_access;
use crate::run::ports::RunPorts;
use crate::run::retrieve::automatic_search;
use crate::run::tier::{self, ChosenTier, TierCriteria};
use crate::withheld::withhold;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::conversation::{Conversation, Message};
use domain::ids::{ConversationId, MessageId, RunId};
use domain::ledger::CallOrigin;
use domain::memory::{Memory, MemorySource};
use domain::model::{ModelChoice, ModelTier, PromptMessage};
use domain::model_call::ModelCaller;
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
    pub memory: MemorySuggestion,
    /// Number of the client's tools that are not offered to the model.
    pub omitted_tools: u32,
}

/// The agent of a turn.
struct PreparedAgent {
    agent: Agent,
    /// Number of the client's tools that are not offered to the model.
    omitted_tools: u32,
}

/// The part of a run's input that was not stored before the turn.
struct NewInput {
    system: Classified<String>,
    question: Classified<String>,
    tool_rounds: Classified<Vec<PromptMessage>>,
    acknowledgement: Option<Acknowledgement>,
}

/// Stored data that a turn builds on: its conversation, the place of its question, history and memories.
struct StoredContext {
    conversation: Conversation,
    question: PlacedQuestion,
    history: Vec<Message>,
    memories: Vec<Memory>,
}

impl TurnPreparer {
    /// Loads history and memories, reserves budget, stores the user's message and an empty answer, and commits.
    ///
    /// # Errors
    /// If the conversation does not exist or is busy, a message that the request references is not in it, the privacy
    /// rules block the question, the model may not see it, the remaining budget is too small, or the store fails.
    pub async fn prepare(
        &self,
        mut tx: UseCaseTransaction,
        permit: Permit,
        mut request: TurnRequest,
    ) -> Result<PreparedTurn, RuntimeError> {
        let now = self.ports.clock.now();
        let new_id = || MessageId::from_uuid(self.ports.ids.uuid());
        let ids = TurnIds { answer: new_id(), question: new_id() };

        let stored = self.load(&mut *tx, &permit, &request, now).await?;
        let StoredContext { conversation, question, history, memories } = stored;
        let source = MemorySource { conversation: conversation.id, message: ids.question };
        let inference =
            MemoryInference { source, classification: conversation.classification.max(question.classification) };
        let memory = MemorySuggestion::new(&self.ports, &permit, &mut request, &question, inference);
        let settings = &permit.tenant().settings;
        let tier = self.choose_tier(&request, &question.text, &conversation, settings);
        let caller = caller(&permit, &request);
        let new_texts = std::iter::once(question.text.as_str()).chain(request.instructions.as_deref());
        let personal_data = privacy::check(&*self.ports.privacy, &caller, new_texts)?;
        let model = &*self.ports.model;
        let model_limit = model_access::classification_limit(model, tier.tier, &caller, settings);
        if question.classification > model_limit {
            return Err(RuntimeError::AboveModelClassification);
        }
        let first_title = self.first_title(&request, &conversation);
        let mut context = VisibleContext::new(history, memories, model_limit);
        let client_classification = request.client_answer_classification(&permit, &conversation);
        let can_use_client_tools = model.is_language_model() && client_classification <= model_limit;
        let removed = request.remove_client_tools_unless(can_use_client_tools);
        context.omitted_count = context.omitted_count.saturating_add(removed.results);
        let PreparedAgent { agent, omitted_tools } = self.agent(&permit, &mut request, tier, &caller);
        let new_input = NewInput {
            system: system_message(&permit, &agent, request.instructions.take(), question.classification)?,
            question: Classified::new(question.text.clone(), question.classification),
            tool_rounds: fitted_tool_rounds(&mut request, &agent, client_classification),
            acknowledgement: memory.acknowledgement(question.classification),
        };
        let input = self.run_input(new_input, request, context);
        let price = model.highest_price(tier.tier, &caller);
        let estimate = input.token_estimate(&agent);
        let budget_request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
        let budget = self.budgets.reserve(&mut *tx, permit.scope(), budget_request).await?;
        question.append(&mut *tx, &conversation, ids, now).await?;
        let (conversation, id) = (conversation.id, RunId::from_uuid(self.ports.ids.uuid()));
        let origin = CallOrigin { conversation: Some(conversation), run: Some(id) };
        let search_admission = self.admit_search(&mut *tx, &permit, &input, origin).await?;
        tx.commit().await?;
        let run = Run {
            id,
            permit,
            caller,
            personal_data,
            origin,
            answer_id: ids.answer,
            agent,
            input,
            model_classification_limit: model_limit,
            nonce: TagNonce::new(self.ports.ids.uuid()),
            search_admission,
            budget,
        };
        let omitted_tools = omitted_tools.saturating_add(removed.tools);
        Ok(PreparedTurn { run, conversation, first_title, memory, omitted_tools })
    }

    /// Loads the conversation with the branch that leads to the question, and the memories.
    async fn load(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        request: &TurnRequest,
        now: Timestamp,
    ) -> Result<StoredContext, RuntimeError> {
        let conversation = self.conversation(tx, permit, request, now).await?;
        let conversation = conversation.ok_or(RuntimeError::NotFound { target: "the conversation" })?;
        refuse_if_busy(tx, &conversation, now).await?;
        let question = PlacedQuestion::find(tx, permit, request, &conversation).await?;
        let history_end = HistoryEnd { conversation: &conversation, last: question.history_end };
        let mut history = load_history(tx, permit, request, history_end, now).await?;
        withhold(tx, &mut history, permit.clearance()).await?;
        let memories = load_memories(tx, permit, now).await?;
        Ok(StoredContext { conversation, question, history, memories })
    }

    /// Records the intent of the automatic search, or its refusal, if the input needs a search with a known query.
    async fn admit_search(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        input: &RunInput,
        origin: CallOrigin,
    ) -> Result<Option<CallAdmission>, StoreError> {
        // A language model rewrites a follow-up after the run has started. The query of its search is not known
        // before that, so the intent cannot be recorded here.
        let has_final_query = |search: &&DocumentSearch| !(search.is_follow_up && self.ports.model.is_language_model());
        let Some(search) = input.search().filter(has_final_query) else { return Ok(None) };
        let call = automatic_search(search, &search.query, origin);
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

    /// Chooses how the conversation gets its first title. A client that keeps its own history also makes its own
    /// titles, so no model is called for them.
    fn first_title(&self, request: &TurnRequest, conversation: &Conversation) -> FirstTitle {
        if conversation.title.is_some() {
            FirstTitle::NotNeeded
        } else if request.history.is_none() && self.ports.model.is_language_model() {
            FirstTitle::ByModel
        } else {
            FirstTitle::FromQuestion
        }
    }

    /// Builds the agent of a turn, with the platform's tools that the permit allows and the client's tools. The
    /// extractive answerer gets no tools.
    fn agent(
        &self,
        permit: &Permit,
        request: &mut TurnRequest,
        tier: ChosenTier,
        caller: &ModelCaller,
    ) -> PreparedAgent {
        let counter = TokenCounter::new(self.ports.model.tokenizer(tier.tier, caller));
        let is_language_model = self.ports.model.is_language_model();
        let platform = if is_language_model { self.ports.tools.manifest(permit.rights()) } else { Vec::new() };
        let mut limits = self.settings.limits(request.max_output_tokens, request.grace);
        let mut options = std::mem::take(&mut request.options);
        // The other half is for the question and its passages.
        let half = TokenBudget(limits.max_prompt_tokens() / 2);
        let client = ClientTools::choose(std::mem::take(&mut request.tools), &platform, &counter, half);
        client.restrict(&mut options);
        let ClientTools { offered, omitted_count } = client;
        limits.context_tokens = limits.context_tokens.saturating_sub(counter.tools(&offered));
        let agent = Agent {
            tools: ToolSet::Assistant { platform, client: offered },
            tier,
            options,
            format: AnswerFormat::Cited,
            counter,
            limits,
        };
        PreparedAgent { agent, omitted_tools: omitted_count }
    }

    fn run_input(&self, new_input: NewInput, request: TurnRequest, context: VisibleContext) -> RunInput {
        let NewInput { system, question, tool_rounds, acknowledgement } = new_input;
        let VisibleContext { summary, history, memories, omitted_count } = context;
        let message = question.content();
        let resolved = follow_up::resolve(message, &earlier_turns(&history, question.classification()));
        let is_follow_up = resolved.kind != QuestionKind::Standalone;
        let search = auto_search::needs_search(request.retrieval, message, is_follow_up).then(|| DocumentSearch {
            query: truncate_query(&resolved.text),
            is_follow_up,
            filters: request.filters,
            top_k: self.settings.max_passages,
        });
        RunInput::Question(Box::new(QuestionInput {
            system,
            question,
            tool_rounds,
            summary,
            history,
            memories,
            search,
            omitted_count,
            acknowledgement,
        }))
    }
}

/// Returns the caller of the model. If the client keeps the history, the conversation is left out, so that privacy
/// placeholders stay the same for all requests of the user.
fn caller(permit: &Permit, request: &TurnRequest) -> ModelCaller {
    let caller = model_access::caller(permit.scope(), &permit.tenant().settings);
    ModelCaller { conversation: request.conversation.filter(|_| request.history.is_none()), ..caller }
}

/// Renders the system message. The client's instructions in it count as user input.
fn system_message(
    permit: &Permit,
    agent: &Agent,
    client_instructions: Option<String>,
    user_classification: Classification,
) -> Result<Classified<String>, RuntimeError> {
    let tenant = permit.tenant();
    let text = SystemPrompt {
        tenant: &tenant.name,
        plant_instructions: tenant.settings.instructions.as_deref(),
        client_instructions: client_instructions.as_deref(),
        tools: agent.tools.platform_specs(),
        has_client_tools: agent.tools.client_tool_count() > 0,
    }
    .render()?;
    let classification = client_instructions.map_or(Classification::Public, |_| user_classification);
    Ok(Classified::new(text, classification))
}

/// Where the history of a turn ends.
#[derive(Clone, Copy)]
struct HistoryEnd<'a> {
    conversation: &'a Conversation,
    /// The last message of the history; `None` if there is none.
    last: Option<MessageId>,
}

/// Takes the tool rounds of a request, as many as fit into half of the agent's prompt, with this classification.
fn fitted_tool_rounds(
    request: &mut TurnRequest,
    agent: &Agent,
    classification: Classification,
) -> Classified<Vec<PromptMessage>> {
    let half = TokenBudget(agent.limits.max_prompt_tokens() / 2);
    let mut fitted = Classified::empty();
    for message in tool_rounds::fit(std::mem::take(&mut request.tool_rounds), &agent.counter, half) {
        fitted.push(Classified::new(message, classification));
    }
    fitted
}

/// Returns the earlier messages: the stored ones of the branch, or those that the client sent.
async fn load_history(
    tx: &mut dyn TenantTx,
    permit: &Permit,
    request: &TurnRequest,
    HistoryEnd { conversation, last }: HistoryEnd<'_>,
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
