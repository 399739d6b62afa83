//! The classified input of a run. A prompt has the highest classification of its parts.

use super::agent::Agent;
use super::budget::TokenEstimate;
use super::plant_data_query::PlantDataQuery;
use crate::prompt::assemble::{self, AssembledPrompt, AutoSearchResult, PromptInput};
use crate::prompt::nonce::TagNonce;
use crate::prompt::passages::passage_budget;
use crate::prompt::readings::{self, PlantReadings};
use crate::prompt::templates::TemplateError;
use crate::prompt::tokens::{REWRITE_TOKENS, TokenBudget, TokenCounter};
use crate::prompt::tool_rounds;
use domain::classified::{Classified, HasClassification as _};
use domain::conversation::{BranchSummary, Message, Sources};
use domain::memory::Memory;
use domain::model::PromptMessage;
use domain::role::Classification;
use domain::search::SearchFilters;

/// The input of a run.
pub enum RunInput {
    /// A question, for which the platform assembles the prompt.
    Question(Box<QuestionInput>),
    /// A client's own messages, which are sent unchanged.
    Messages(Classified<Vec<PromptMessage>>),
}

/// A question with its context.
pub struct QuestionInput {
    /// The system message, with the classification of the client's instructions in it.
    pub system: Classified<String>,
    /// The user's message, with the classification of user input.
    pub question: Classified<String>,
    /// Calls of client tools that the model requested for the question, with their results.
    pub tool_rounds: Classified<Vec<PromptMessage>>,
    /// Summary of the messages before `history`, if the model may see it.
    pub summary: Option<BranchSummary>,
    /// Earlier messages that the model may see, oldest first.
    pub history: Vec<Message>,
    /// Memories that the model may see, most important first.
    pub memories: Vec<Memory>,
    /// The automatic search, which runs before the model is called; `None` if the question needs no documents.
    pub search: Option<DocumentSearch>,
    /// The plant data that the question asks for; `None` if it is about documents only.
    pub plant: Option<PlantDataQuery>,
    /// Number of earlier messages and memories that were left out because the model may not see them.
    pub omitted_count: u32,
    /// Text that the platform adds to the answer.
    pub acknowledgement: Option<Acknowledgement>,
}

/// Text that the platform adds to an answer, to inform the user of a memory that it suggests.
pub struct Acknowledgement {
    pub text: Classified<String>,
    /// Whether the answer consists of this text only, so that no model is called.
    pub is_whole_answer: bool,
}

/// The data that was collected for a question before the model is called.
#[derive(Clone, Copy)]
pub struct Findings<'a> {
    pub search: AutoSearchResult<'a>,
    pub plant: PlantReadings<'a>,
    /// Whether content about the question was left out because the model may not see it.
    pub has_omitted_content: bool,
}

/// Parameters of a document search.
pub struct DocumentSearch {
    /// The question in standalone form: a follow-up is completed by rules.
    pub query: String,
    /// Whether the question depends on the conversation, so that a language model may complete it better.
    pub is_follow_up: bool,
    pub filters: SearchFilters,
    /// Maximum number of passages.
    pub top_k: u32,
}

impl RunInput {
    /// Returns the question; empty for a client's own messages.
    pub fn question(&self) -> &str {
        match self {
            Self::Question(input) => input.question.content(),
            Self::Messages(_) => "",
        }
    }

    /// Returns the question in standalone form, for a backend that answers it from passages only: a follow-up is
    /// completed by rules.
    pub fn standalone_question(&self) -> &str {
        match self.search().filter(|search| search.is_follow_up) {
            Some(search) => &search.query,
            None => self.question(),
        }
    }

    /// Returns the automatic search, if one is needed.
    pub fn search(&self) -> Option<&DocumentSearch> {
        match self {
            Self::Question(input) => input.search.as_ref(),
            Self::Messages(_) => None,
        }
    }

    /// Returns the plant data that the question asks for.
    pub fn plant_data_query(&self) -> Option<&PlantDataQuery> {
        match self {
            Self::Question(input) => input.plant.as_ref(),
            Self::Messages(_) => None,
        }
    }

    /// Returns the text that the platform adds to the answer.
    pub fn acknowledgement(&self) -> Option<&Acknowledgement> {
        match self {
            Self::Question(input) => input.acknowledgement.as_ref(),
            Self::Messages(_) => None,
        }
    }

    /// Returns the highest classification of the input's parts.
    pub fn classification(&self) -> Classification {
        match self {
            Self::Question(input) => {
                let history = input.history.iter().map(|message| message.classification);
                let history = history.chain(input.summary.iter().map(|summary| summary.classification));
                let question = input.question.classification().max(input.tool_rounds.classification());
                history.fold(question.max(input.memories.classification()), Classification::max)
            }
            Self::Messages(messages) => messages.classification(),
        }
    }

    /// Returns what the system message and the question leave of a prompt of `max_tokens`; all of it for a client's own
    /// messages.
    pub fn remaining_tokens(&self, counter: &TokenCounter, max_tokens: usize) -> TokenBudget {
        match self {
            Self::Question(input) => input.remaining_tokens(counter, max_tokens),
            Self::Messages(_) => TokenBudget(max_tokens),
        }
    }

    /// Returns the number of parts that were left out because the model may not see them.
    pub fn omitted_count(&self) -> u32 {
        match self {
            Self::Question(input) => input.omitted_count,
            Self::Messages(_) => 0,
        }
    }

    /// Estimates the tokens that a run with this input needs, without the results of later tool calls.
    pub fn token_estimate(&self, agent: &Agent) -> TokenEstimate {
        let output = agent.limits.reserved_reply_tokens;
        let tools = agent.counter.tools(&agent.tools.offered_tools(u32::MAX));
        match self {
            Self::Question(input) => {
                let (min_prompt, prompt) = input.prompt_estimate(&agent.counter, agent.limits.max_prompt_tokens());
                TokenEstimate { min_prompt, prompt: prompt + tools, output }
            }
            Self::Messages(messages) => {
                let prompt = agent.counter.prompt(messages.content()) + tools;
                TokenEstimate { min_prompt: prompt, prompt, output }
            }
        }
    }

    /// Returns the prompt for the run's replies.
    pub fn prompt<'a>(&'a self, agent: &'a Agent, nonce: &'a TagNonce, findings: Findings<'a>) -> PromptSource<'a> {
        let Findings { search: search_result, plant, has_omitted_content } = findings;
        match self {
            Self::Question(input) => PromptSource::Assembled(PromptInput {
                system: input.system.as_ref().map(String::as_str),
                counter: &agent.counter,
                nonce,
                memories: &input.memories,
                search_result,
                plant,
                has_omitted_content,
                summary: input.summary.as_ref(),
                history: &input.history,
                question: Classified::new(input.question.content(), input.question.classification()),
                tool_rounds: input.tool_rounds.as_ref().map(Vec::as_slice),
            }),
            Self::Messages(messages) => PromptSource::Verbatim { messages, counter: &agent.counter },
        }
    }
}

impl QuestionInput {
    /// Returns the tokens of the shortest prompt, and of the longest one within `max_tokens`.
    fn prompt_estimate(&self, counter: &TokenCounter, max_tokens: usize) -> (usize, usize) {
        let memories: usize = self.memories.iter().map(|memory| counter.message(&memory.content)).sum();
        let rounds = tool_rounds::tokens(self.tool_rounds.content(), counter);
        let min_tokens = self.fixed_tokens(counter) + memories + rounds;
        let remaining = TokenBudget(max_tokens.saturating_sub(min_tokens));
        let history = counter.newest_messages_within(&self.history, remaining);
        let summary = self.summary.as_ref().map_or(0, |summary| counter.message(&summary.content));
        let history: usize = history.iter().map(|message| counter.message(&message.content)).sum();
        let passages =
            if self.search.is_some() { passage_budget(self.remaining_tokens(counter, max_tokens)).0 } else { 0 };
        let readings = if self.plant.is_some() { readings::EXPECTED_TOKENS } else { 0 };
        let found = passages.saturating_add(readings);
        let desired_tokens = min_tokens.saturating_add(summary).saturating_add(history).saturating_add(found);
        let is_follow_up = self.search.as_ref().is_some_and(|search| search.is_follow_up);
        let rewriting = if is_follow_up { REWRITE_TOKENS } else { 0 };
        (min_tokens, max_tokens.min(desired_tokens).max(min_tokens) + rewriting)
    }

    /// Returns what the system message and the question leave of `max_tokens`.
    fn remaining_tokens(&self, counter: &TokenCounter, max_tokens: usize) -> TokenBudget {
        TokenBudget(max_tokens.saturating_sub(self.fixed_tokens(counter)))
    }

    fn fixed_tokens(&self, counter: &TokenCounter) -> usize {
        counter.message(self.system.content()) + counter.message(self.question.content())
    }
}

/// A prompt that has not been fitted to a token budget yet.
pub enum PromptSource<'a> {
    /// Assembled for a token budget.
    Assembled(PromptInput<'a>),
    /// Sent unchanged, regardless of the budget.
    Verbatim { messages: &'a Classified<Vec<PromptMessage>>, counter: &'a TokenCounter },
}

impl PromptSource<'_> {
    /// Returns whether the prompt can be shortened to fit a smaller budget.
    pub fn can_shrink(&self) -> bool {
        matches!(self, Self::Assembled(_))
    }

    /// Returns the tokens of the shortest prompt.
    ///
    /// # Errors
    /// If a template is wrong.
    pub fn min_tokens(&self) -> Result<usize, TemplateError> {
        match self {
            Self::Assembled(input) => assemble::min_tokens(input),
            Self::Verbatim { messages, counter } => Ok(counter.prompt(messages.content())),
        }
    }

    /// Assembles the prompt within a budget.
    ///
    /// # Errors
    /// If a template is wrong.
    pub fn assemble_within(&self, budget: TokenBudget) -> Result<AssembledPrompt, TemplateError> {
        match self {
            Self::Assembled(input) => assemble::assemble(input, budget),
            Self::Verbatim { messages, counter } => {
                let min_tokens = counter.prompt(messages.content());
                Ok(AssembledPrompt { prompt: (*messages).clone(), sources: Sources::default(), min_tokens })
            }
        }
    }
}
