//! What was written from content that its reader may not see any more: a role was lowered, or a document classified
//! higher, since. It is left out wherever it would be read again, by the user or by a model on the user's behalf.

use domain::conversation::{Message, MessageRole};
use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use std::collections::{BTreeMap, BTreeSet};

/// Brings each answer's classification up to what its sources are classified as by now, or were when they were deleted,
/// and empties those above `clearance`. A user's own words stay.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn withhold(
    tx: &mut dyn TenantTx,
    messages: &mut [Message],
    clearance: Classification,
) -> Result<(), StoreError> {
    let now = classes_now(tx, messages.iter().flat_map(|message| message.sources.documents())).await?;
    for message in messages.iter_mut().filter(|message| message.role != MessageRole::User) {
        message.classification = message.classification.max(message.sources.class_by(&now));
        if message.classification > clearance {
            message.content.clear();
            message.citations.clear();
            message.withheld = true;
        }
    }
    Ok(())
}

/// How documents are classified at this moment, or were when they were deleted.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn classes_now(
    tx: &mut dyn TenantTx,
    documents: impl Iterator<Item = DocumentId>,
) -> Result<BTreeMap<DocumentId, Classification>, StoreError> {
    let documents: Vec<_> = documents.collect::<BTreeSet<_>>().into_iter().collect();
    if documents.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(tx.documents().classes(&documents).await?.into_iter().collect())
}
