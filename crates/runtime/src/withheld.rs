//! Withholds answers based on content that their reader may no longer see, because the reader's role was lowered or a
//! document's classification was raised. They are withheld from the user and from models that work on the user's
//! behalf.

use domain::conversation::{Message, MessageRole, Sources};
use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use std::collections::{BTreeMap, BTreeSet};

/// Raises the classification of each answer and summary to the current one of its sources, or to the last one of
/// deleted sources. Clears answers and summaries above `clearance`. The user's own messages are not changed.
///
/// # Errors
/// If the database fails.
pub(crate) async fn withhold(
    tx: &mut dyn TenantTx,
    messages: &mut [Message],
    clearance: Classification,
) -> Result<(), StoreError> {
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
            message.content.clear();
            message.citations.clear();
            message.unsupported_statements.clear();
            message.withheld = true;
        }
    }
    Ok(())
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
