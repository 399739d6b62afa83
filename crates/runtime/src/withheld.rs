//! Withholds answers that are made from content that their reader may no longer see, because a role was lowered or a
//! document classified higher. They are withheld from the user and from models that work on the user's behalf.

use domain::conversation::{Message, MessageRole};
use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use std::collections::{BTreeMap, BTreeSet};

/// Raises the class of each answer to the class that its sources have by now, or had when they were deleted, and
/// empties answers above `clearance`. The user's own messages stay.
///
/// # Errors
/// If the database fails.
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

/// The classes that documents have at this moment, or had when they were deleted.
///
/// # Errors
/// If the database fails.
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
