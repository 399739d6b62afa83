//! Prepares a chat turn in the transaction of its command. The intents of the turn and of its automatic search and the
//! user's message are committed together, before the search runs or the model is called.

use super::admissions::SearchAdmissions;
use super::answerer::{Answerer, Delegation};
use super::auto_search;
use super::client_tools::ClientTools;
use super::memory_suggestion::{MemoryInference, MemorySuggestion};
use super::question::{PlacedQuestion, TurnIds, refuse_if_busy};
use super::request::{TurnRequest, new_conversation};
use super::settings::ChatSettings;
use super::system_message::system_message;
use super::teams::{check_teams, model_limit, take_teams};
use super::title::FirstTitle;
use super::visible_context::VisibleContext;
use crate::error::RuntimeError;
use crate::follow_up::{self, QuestionKind, earlier_turns};
use crate::privacy;
use crate::prompt::nonce::TagNonce;
use crate::prompt::tokens::{TokenBudget, TokenCounter};
use crate::prompt::tool_rounds;
use crate::run::agent::{Agent, ToolSet};
use crate::run::answer::AnswerFormat;
use crate::run::budget::TokenEstimate;
use crate::run::budget_reservation::{BudgetRequest, BudgetReserver};
use crate::run::definition::Run;
use crate::run::input::{Acknowledgement, DocumentSearch, QuestionInput, RunInput};
use crate::run::model_access;
use crate::run::ports::RunPorts;
use crate::run::tier::{self, ChosenTier, TierCriteria};
use crate::withheld::{withhold, withhold_team_answers};
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::command::AgentChoice;
use domain::conversation::{Conversation, Message};
use domain::ids::{ConversationId, MessageId, RunId, TeamId};
use domain::ledger::CallOrigin;
use domain::memory::Memory;
use domain::model::{ModelTier, PromptMessage, TierChoice};
use domain::model_call::ModelCaller;
use domain::ports::{StoreError, TenantTx};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::time::Timestamp;
use domain::tool::{ToolName, ToolSpec};
use domain::transaction::UseCaseTransaction;
use std::collections::BTreeSet;

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
    tools: Vec<ToolSpec>,
    /// The assistant, an agent, or both.
    answerer: Answerer,
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
        let (now, ids) = (self.ports.clock.now(), TurnIds::generate(&*self.ports.ids));
        check_teams(&permit, &mut request)?;
        let stored = self.load(&mut *tx, &permit, &request, now).await?;
        let StoredContext { conversation, question, history, memories, tools, answerer } = stored;
        let (team_permits, source_teams) = take_teams(&mut request, &history);
        let inference = MemoryInference::new(&conversation, ids.question, question.classification);
        let memory = MemorySuggestion::new(&self.ports, &permit, &mut request, &question, inference);
        let choice = request.model.or(answerer.tier_choice()).or(conversation.model);
        let tier = self.choose_tier(&request, &question.text, choice.or(permit.tenant().settings.default_model));
        let caller = caller(&permit, &request);
        let personal_data = privacy::check(&*self.ports.privacy, &caller, new_texts(&question, &request))?;
        let model = &*self.ports.model;
        let model_limit = model_limit(model, tier, &caller, std::iter::once(&permit).chain(&team_permits));
        refuse_above(model_limit, question.classification)?;
        let first_title = self.first_title(&request, &conversation, &source_teams);
        let mut context = VisibleContext::new(history, memories, model_limit);
        let client_class = request.client_answer_classification(&permit, &conversation);
        let removed = request.remove_client_tools_unless(model.is_language_model() && client_class <= model_limit);
        context.omitted_count = context.omitted_count.saturating_add(removed.results);
        let PreparedAgent { mut agent, omitted_tools } = self.agent(tools, &mut request, tier, &caller);
        let Delegation { specialist, orchestration } = answerer.delegate(&mut agent);
        let new_input = NewInput {
            system: system_message(&permit, &agent, &mut request, specialist.as_ref(), question.classification)?,
            question: Classified::new(question.text.clone(), question.classification),
            tool_rounds: fitted_tool_rounds(&mut request, &agent, client_class),
            acknowledgement: memory.acknowledgement(question.classification),
        };
        let input = self.run_input(&permit, new_input, request, context);
        let budget = self.budget_request(&permit, tier, &caller, input.token_estimate(&agent));
        let budget = self.budgets.reserve(&mut *tx, permit.scope(), budget).await?;
        question.append(&mut *tx, &conversation, ids, now).await?;
        let (conversation, id) = (conversation.id, RunId::from_uuid(self.ports.ids.uuid()));
        let origin = CallOrigin { conversation: Some(conversation), run: Some(id) };
        // Searches in teams are admitted each in its space, after this transaction.
        let searching = team_permits.is_empty().then_some(&input);
        let admissions = SearchAdmissions::record(&self.ports, &mut *tx, &permit, searching, origin).await?;
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
            search_admission: admissions.documents,
            tag_search_admission: admissions.tags,
            team_permits,
            source_teams,
            budget,
            goal_step: None,
            specialist,
            orchestration,
        };
        let omitted_tools = omitted_tools.saturating_add(removed.tools);
        Ok(PreparedTurn { run, conversation, first_title, memory, omitted_tools })
    }

    /// The budget that a run needs if its tokens are as estimated and the dearest model answers.
    fn budget_request(
        &self,
        permit: &Permit,
        tier: ChosenTier,
        caller: &ModelCaller,
        estimate: TokenEstimate,
    ) -> BudgetRequest {
        let price = self.ports.model.highest_price(tier.tier, caller);
        BudgetRequest { budgets: permit.tenant().settings.quotas.budgets(), estimate, price }
    }

    /// Loads the conversation with the branch that leads to the question, the memories, and the tools that the permit
    /// allows. The extractive answerer gets no tools.
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
        if permit.scope().team().is_some() && question.classification > permit.clearance() {
            return Err(RuntimeError::AboveClearance);
        }
        let history_end = HistoryEnd { conversation: &conversation, last: question.history_end };
        let mut history = load_history(tx, permit, request, history_end, now).await?;
        withhold(tx, &mut history, permit).await?;
        withhold_team_answers(&*self.ports.store, tx, permit, &mut history).await?;
        let memories = load_memories(tx, permit, now).await?;
        let is_language_model = self.ports.model.is_language_model();
        let tools = if is_language_model { self.ports.tools.manifest(tx, permit.rights()).await? } else { Vec::new() };
        let answerer = if is_language_model || request.agent != Some(AgentChoice::Auto) {
            Answerer::choose(tx, &*self.ports.tools, permit, request, &question.text).await?
        } else {
            Answerer::Assistant
        };
        Ok(StoredContext { conversation, question, history, memories, tools, answerer })
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

    fn choose_tier(&self, request: &TurnRequest, question: &str, choice: Option<TierChoice>) -> ChosenTier {
        let choice = choice.unwrap_or(TierChoice::Auto);
        let criteria = TierCriteria {
            question,
            document_count: request.filters.document_ids.len(),
            client_tool_count: 0,
            has_heavy: self.ports.model.is_configured(ModelTier::Heavy),
        };
        tier::choose(choice, criteria)
    }

    /// Chooses how the conversation gets its first title. A client that keeps its own history also makes its own
    /// titles, so no model is called for them. A title shows in lists, which ask no team, so the model writes none from
    /// the documents of `teams`.
    fn first_title(&self, request: &TurnRequest, conversation: &Conversation, teams: &BTreeSet<TeamId>) -> FirstTitle {
        if conversation.title.is_some() {
            FirstTitle::NotNeeded
        } else if request.history.is_none() && teams.is_empty() && self.ports.model.is_language_model() {
            FirstTitle::ByModel
        } else {
            FirstTitle::FromQuestion
        }
    }

    /// Builds the agent of a turn, with the platform's tools and the client's tools.
    fn agent(
        &self,
        platform: Vec<ToolSpec>,
        request: &mut TurnRequest,
        tier: ChosenTier,
        caller: &ModelCaller,
    ) -> PreparedAgent {
        let counter = TokenCounter::new(self.ports.model.tokenizer(tier.tier, caller));
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
            required_tool: None,
        };
        PreparedAgent { agent, omitted_tools: omitted_count }
    }

    fn run_input(
        &self,
        permit: &Permit,
        new_input: NewInput,
        request: TurnRequest,
        context: VisibleContext,
    ) -> RunInput {
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
        let asked = auto_search::plant_data_query(request.retrieval, message, &resolved.text);
        let may_read = permit.rights().allows(Permission::new(Resource::Readings, Operation::Read));
        let plant = asked.filter(|_| may_read && self.ports.tools.has_builtin(ToolName::PlantSystemRead));
        RunInput::Question(Box::new(QuestionInput {
            system,
            question,
            tool_rounds,
            summary,
            history,
            memories,
            search,
            plant,
            omitted_count,
            acknowledgement,
        }))
    }
}

/// What a turn adds to its conversation, apart from the results of tools.
fn new_texts<'a>(question: &'a PlacedQuestion, request: &'a TurnRequest) -> impl Iterator<Item = &'a str> {
    std::iter::once(question.text.as_str()).chain(request.instructions.as_deref())
}

/// Refuses a question that the model may not see.
fn refuse_above(limit: Classification, classification: Classification) -> Result<(), RuntimeError> {
    if classification > limit { Err(RuntimeError::AboveModelClassification) } else { Ok(()) }
}

/// Returns the caller of the model. If the client keeps the history, the conversation is left out, so that privacy
/// placeholders stay the same for all requests of the user.
fn caller(permit: &Permit, request: &TurnRequest) -> ModelCaller {
    let caller = model_access::caller(permit.scope(), &permit.tenant().settings);
    ModelCaller { conversation: request.conversation.filter(|_| request.history.is_none()), ..caller }
}

/// The end of a turn's history.
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
