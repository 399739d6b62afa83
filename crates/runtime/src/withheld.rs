//! Withholds answers based on content that their reader may no longer see, because the reader's role was lowered or a
//! document's classification was raised. They are withheld from the user and from models that work on the user's
//! behalf.

use domain::authorized::Permit;
use domain::conversation::{Citation, Conversation, Message, MessageRole, Sources};
use domain::ids::{ChunkId, DocumentId, TeamId};
use domain::ports::{Store, StoreError, TenantTx};
use domain::role::Classification;
use domain::space::{EnteredSpace, enter_team};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Raises the classification of each answer and summary to the current one of its sources, or to the last one of
/// deleted sources. Clears answers and summaries above the reader's clearance and, in a team's conversation, what other
/// members wrote above it. The reader's own messages are not changed.
///
/// # Errors
/// If the database fails.
pub(crate) async fn withhold(
    tx: &mut dyn TenantTx,
    messages: &mut [Message],
    permit: &Permit,
) -> Result<(), StoreError> {
    let clearance = permit.clearance();
    let summaries = messages.iter().filter_map(|message| message.summary.as_ref());
    let sources = messages.iter().map(|message| &message.sources).chain(summaries.map(|summary| &summary.sources));
    let classifications = current_classifications(tx, sources.flat_map(Sources::documents)).await?;
    for summary in messages.iter_mut().filter_map(|message| message.summary.as_mut()) {
        summary.classification = summary.classification.max(summary.sources.current_classification(&classifications));
    }
    for message in messages.iter_mut() {
        message.summary.take_if(|summary| summary.classification > clearance);
    }
    for message in messages.iter_mut().filter(|message| message.role != MessageRole::User) {
        message.classification = message.classification.max(message.sources.current_classification(&classifications));
        if message.classification > clearance {
            clear(message);
        }
    }
    let reader = permit.scope().user();
    let is_others = |message: &&mut Message| {
        message.role == MessageRole::User && message.author.as_ref().is_some_and(|author| Some(author.id) != reader)
    };
    messages.iter_mut().filter(is_others).filter(|message| message.classification > clearance).for_each(clear);
    Ok(())
}

/// Withholds the title of a team's conversation that another member started, unless the reader may see its answers and
/// questions: it is written from both.
pub(crate) fn withhold_title(permit: &Permit, mut conversation: Conversation) -> Conversation {
    let is_own = conversation.team_id.is_none() || permit.scope().user() == Some(conversation.user_id);
    let classification = conversation.classification.max(Classification::Internal);
    conversation.title.take_if(|_| !is_own && classification > permit.clearance());
    conversation
}

fn clear(message: &mut Message) {
    message.content.clear();
    message.citations.clear();
    message.unsupported_statements.clear();
    message.withheld = true;
}

/// Withholds the answers of a conversation in the home space that are written from documents of teams, unless the
/// reader is a member of each of these teams, with the clearance there for the current classification of the answer's
/// sources. Returns the ids of the cited passages of these teams that the reader may see.
///
/// # Errors
/// If the database fails.
pub(crate) async fn withhold_team_answers(
    store: &dyn Store,
    tx: &mut dyn TenantTx,
    permit: &Permit,
    messages: &mut [Message],
) -> Result<HashSet<ChunkId>, StoreError> {
    let teams: BTreeSet<TeamId> = messages.iter().flat_map(|message| message.source_teams.iter().copied()).collect();
    let mut visible = HashSet::new();
    let (false, Some(user)) = (teams.is_empty(), permit.scope().user()) else {
        messages.iter_mut().filter(|message| !message.source_teams.is_empty()).for_each(clear);
        return Ok(visible);
    };
    let at_home = tx.users().membership(user).await?;
    let spaces = tx.teams().spaces(user).await?;
    for team in teams {
        let space = spaces.iter().find(|space| space.team == team);
        let entered = match (&at_home, space) {
            (Some(at_home), Some(space)) => enter_team(store, permit.scope(), at_home, *space).await?,
            _ => None,
        };
        let entered = entered.filter(|entered| entered.membership.refusal().is_none());
        let written_from_it = messages.iter_mut().filter(|message| message.source_teams.contains(&team));
        match entered {
            Some(mut entered) => visible.extend(withhold_above(&mut entered, written_from_it.collect()).await?),
            None => written_from_it.for_each(clear),
        }
    }
    Ok(visible)
}

/// Withholds the answers of which a source in the team's space is above the member's clearance there. Returns the cited
/// passages that the member sees.
async fn withhold_above(
    entered: &mut EnteredSpace,
    mut messages: Vec<&mut Message>,
) -> Result<Vec<ChunkId>, StoreError> {
    let clearance = entered.membership.entitlements(&[]).clearance;
    let documents = messages.iter().flat_map(|message| message.sources.documents());
    let classifications = current_classifications(&mut *entered.tx, documents).await?;
    for message in &mut messages {
        let classification = message.sources.current_classification(&classifications);
        message.classification = message.classification.max(classification);
        let in_team: Vec<_> = message.sources.documents().filter_map(|id| classifications.get(&id)).collect();
        if in_team.into_iter().any(|classification| *classification > clearance) {
            clear(message);
        }
    }
    let citations = messages.iter().flat_map(|message| message.citations.iter().filter_map(Citation::document));
    let cited: Vec<ChunkId> = citations.map(|citation| citation.chunk_id).collect();
    let passages = entered.tx.chunks().get_by_ids(&cited, clearance).await?;
    Ok(passages.into_iter().map(|passage| passage.chunk_id).collect())
}

/// Returns the current classification of each document, or the last one if it was deleted.
///
/// # Errors
/// If the database fails.
pub(crate) async fn current_classifications(
    tx: &mut dyn TenantTx,
    documents: impl Iterator<Item = DocumentId>,
) -> Result<BTreeMap<DocumentId, Classification>, StoreError> {
    let documents: Vec<_> = documents.collect::<BTreeSet<_>>().into_iter().collect();
    if documents.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(tx.documents().classifications(&documents).await?.into_iter().collect())
}
