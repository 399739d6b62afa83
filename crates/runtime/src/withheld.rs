//! What was written from content that its reader may not see any more: a role was lowered, or a document classified
//! higher, since. It is left out wherever it would be read again, by the user or by a model on the user's behalf.

use domain::conversation::{Message, MessageRole};
use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use std::collections::{BTreeMap, BTreeSet};

/// Brings each answer's classification up to what its cited documents are classified as by now, and empties those above
/// `clearance`. A user's own words stay.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn withhold(
    tx: &mut dyn TenantTx,
    messages: &mut [Message],
    clearance: Classification,
) -> Result<(), StoreError> {
    let cited: BTreeSet<DocumentId> =
        messages.iter().flat_map(|message| &message.citations).map(|citation| citation.document_id).collect();
    let mut classes = BTreeMap::new();
    if !cited.is_empty() {
        let cited: Vec<_> = cited.into_iter().collect();
        classes.extend(tx.documents().classes(&cited).await?);
    }
    for message in messages.iter_mut().filter(|message| message.role != MessageRole::User) {
        let by_now = message.citations.iter().filter_map(|citation| classes.get(&citation.document_id).copied());
        message.classification = by_now.fold(message.classification, Classification::max);
        if message.classification > clearance {
            message.content.clear();
            message.citations.clear();
            message.withheld = true;
        }
    }
    Ok(())
}
