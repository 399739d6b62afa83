//! The request for a chat turn. The history is either stored by the platform or sent by the client
//! (`docs/adr/0032-an-openai-compatible-surface.md`).

use domain::authorized::Permit;
use domain::command::{
    AgentChoice, AskAssistant, BranchPoint, EarlierMessage, RetrievalMode, SendMessage, TurnQuestion,
};
use domain::conversation::{Conversation, Message, MessageRole, MessageStatus, Sources};
use domain::ids::{ConversationId, MessageId};
use domain::model::{ChatOptions, OfferedTool, PromptMessage, TierChoice};
use domain::role::Classification;
use domain::search::SearchFilters;
use domain::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// The request for a chat turn.
pub(super) struct TurnRequest {
    /// The conversation to continue; `None` starts a new one.
    pub conversation: Option<ConversationId>,
    pub question: TurnQuestion,
    /// History sent by the client; `None` to use the stored history.
    pub history: Option<Vec<EarlierMessage>>,
    /// Calls of client tools that the model requested for this question, with their results.
    pub tool_rounds: Vec<PromptMessage>,
    /// Instructions of the client program (system and developer messages).
    pub instructions: Option<String>,
    /// Tools of the client, which calls them itself.
    pub tools: Vec<OfferedTool>,
    pub model: Option<TierChoice>,
    pub retrieval: RetrievalMode,
    pub filters: SearchFilters,
    /// Permits for the teams whose documents are searched instead of the conversation's own space.
    pub team_permits: Vec<Permit>,
    /// Who answers; `None` for the assistant alone.
    pub agent: Option<AgentChoice>,
    pub options: ChatOptions,
    /// Maximum number of tokens in the reply, requested by the client; the platform's limit applies as well.
    pub max_output_tokens: Option<u32>,
    /// How long the run continues without a reader.
    pub grace: Duration,
}

impl TurnRequest {
    /// Creates the request for a turn of a stored conversation. Its reader may reconnect within `grace`.
    pub(super) fn from_message(command: SendMessage, grace: Duration) -> Self {
        Self {
            conversation: Some(command.conversation),
            question: command.question,
            history: None,
            tool_rounds: Vec::new(),
            instructions: None,
            tools: Vec::new(),
            model: command.model,
            retrieval: command.retrieval,
            filters: command.filters,
            team_permits: Vec::new(),
            agent: command.agent,
            options: ChatOptions::default(),
            max_output_tokens: None,
            grace,
        }
    }

    /// Creates the request for a turn with the client's history. Such a client cannot reconnect, so the run ends as
    /// soon as its reader disconnects.
    pub(super) fn from_client(command: AskAssistant) -> Self {
        Self {
            conversation: command.conversation,
            question: TurnQuestion::New { message: command.message, at: BranchPoint::ActiveBranch },
            history: Some(command.history),
            tool_rounds: command.tool_rounds,
            instructions: command.instructions,
            tools: command.tools,
            model: Some(command.model),
            retrieval: command.retrieval,
            filters: command.filters,
            team_permits: Vec::new(),
            agent: None,
            options: command.options,
            max_output_tokens: command.max_output_tokens,
            grace: Duration::ZERO,
        }
    }

    /// Returns the classification to assume for assistant and tool messages that the client sends. For a stored
    /// conversation it is that of the conversation; otherwise it is the user's clearance, since the text may come from
    /// anything that the user may read.
    pub(super) fn client_answer_classification(&self, permit: &Permit, conversation: &Conversation) -> Classification {
        match self.conversation {
            Some(_) => conversation.classification,
            None => permit.clearance(),
        }
    }

    /// Removes the client's tools and their results unless they are `usable`, that is, the model can call tools and may
    /// see what they return.
    pub(super) fn remove_client_tools_unless(&mut self, usable: bool) -> RemovedTools {
        if usable {
            return RemovedTools::default();
        }
        let results = self.tool_rounds.iter().filter(|message| matches!(message, PromptMessage::Tool { .. })).count();
        let removed = RemovedTools { results: saturating_u32(results), tools: saturating_u32(self.tools.len()) };
        self.tool_rounds.clear();
        self.tools.clear();
        removed
    }

    /// Converts the client's history to messages. The user's messages get the classification of user input.
    pub(super) fn client_history(
        &self,
        history: &[EarlierMessage],
        permit: &Permit,
        conversation: &Conversation,
        now: Timestamp,
    ) -> Vec<Message> {
        let answer_classification = self.client_answer_classification(permit, conversation);
        let user_classification = permit.rights().own_message_classification();
        let message = |(earlier, seq): (&EarlierMessage, i64)| Message {
            // These messages are not stored, so their ids need not be unique.
            id: MessageId::from_uuid(conversation.id.as_uuid()),
            conversation_id: conversation.id,
            parent_id: None,
            seq,
            role: earlier.role,
            content: earlier.content.clone(),
            status: MessageStatus::Complete,
            token_count: None,
            citations: Vec::new(),
            model: None,
            classification: if earlier.role == MessageRole::User { user_classification } else { answer_classification },
            sources: Sources::default(),
            withheld: false,
            degraded: false,
            summary: None,
            author: None,
            source_teams: Vec::new(),
            unsupported_statements: Vec::new(),
            created_at: now,
        };
        history.iter().zip(1..).map(message).collect()
    }
}

/// Number of tool results and tools of the client that were removed from a request.
#[derive(Clone, Copy, Default)]
pub(super) struct RemovedTools {
    pub results: u32,
    pub tools: u32,
}

fn saturating_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Creates a conversation for a client that keeps its own history. Returns `None` if the permit has no user.
pub(super) fn new_conversation(permit: &Permit, id: ConversationId, now: Timestamp) -> Option<Conversation> {
    Some(Conversation {
        id,
        user_id: permit.scope().user()?,
        title: None,
        model: None,
        metadata: json!({ "source": "openai" }),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: permit.scope().team(),
        created_at: now,
        updated_at: now,
    })
}
