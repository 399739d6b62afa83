//! The variables that a server offers below its folder `Objects`.

use super::address;
use super::session::Session;
use domain::plant::{ConnectorError, TagAddress, TagMapping};
use domain::ports::BrowsedTag;
use opcua::types::{AttributeId, BrowseResult, NodeClass, NodeId, ObjectId, ReferenceDescription, ReferenceTypeId};
use std::collections::HashSet;

/// Maximum depth of nested folders.
const MAX_DEPTH: usize = 12;
/// Maximum nodes visited per requested tag, and in total.
const NODES_PER_TAG: usize = 20;
const MIN_NODES: usize = 2_000;

/// A variable that the browse has found.
struct Found {
    node: NodeId,
    name: String,
}

impl Session {
    /// Variables outside the standard's own namespace, breadth first, at most `limit`.
    pub async fn variables(&self, limit: usize) -> Result<Vec<BrowsedTag>, ConnectorError> {
        let mut seen = HashSet::from([NodeId::from(ObjectId::ObjectsFolder), NodeId::from(ObjectId::Server)]);
        let mut level = vec![NodeId::from(ObjectId::ObjectsFolder)];
        let mut found = Vec::new();
        let max_nodes = limit.saturating_mul(NODES_PER_TAG).max(MIN_NODES);
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for reference in self.children(&level).await? {
                let node = reference.node_id.node_id.clone();
                if seen.len() >= max_nodes || found.len() >= limit || !seen.insert(node.clone()) {
                    continue;
                }
                if reference.node_class == NodeClass::Variable && node.namespace != 0 {
                    found.push(Found { node: node.clone(), name: name_of(&reference) });
                }
                // Variables may have variables within them; properties of variables are not tags.
                if matches!(reference.node_class, NodeClass::Object | NodeClass::Variable) {
                    next.push(node);
                }
            }
            if next.is_empty() || found.len() >= limit {
                break;
            }
            level = next;
        }
        self.describe(found).await
    }

    /// The direct children of nodes, including those that the server returns on continuation.
    async fn children(&self, nodes: &[NodeId]) -> Result<Vec<ReferenceDescription>, ConnectorError> {
        let mut children = Vec::new();
        for kind in [ReferenceTypeId::Organizes, ReferenceTypeId::HasComponent] {
            for mut result in self.browse(nodes, kind).await? {
                loop {
                    let BrowseResult { references, continuation_point, .. } = result;
                    let grew = references.as_ref().is_some_and(|references| !references.is_empty());
                    children.extend(references.unwrap_or_default());
                    if continuation_point.is_null_or_empty() {
                        break;
                    }
                    let release = !grew || children.len() > MIN_NODES * NODES_PER_TAG;
                    match self.browse_next(continuation_point, release).await? {
                        Some(more) if !release => result = more,
                        _ => break,
                    }
                }
            }
        }
        Ok(children)
    }

    async fn describe(&self, found: Vec<Found>) -> Result<Vec<BrowsedTag>, ConnectorError> {
        let nodes: Vec<_> = found.iter().map(|found| found.node.clone()).collect();
        let units = self.units(&nodes).await;
        let descriptions = self.texts(&nodes, AttributeId::Description).await?;
        let namespaces = self.namespaces();
        let described = found.into_iter().zip(units).zip(descriptions);
        Ok(described
            .map(|((found, unit), description)| BrowsedTag {
                name: found.name,
                mapping: TagMapping {
                    address: TagAddress(address::stable(&found.node, &namespaces)),
                    data_type: None,
                    scale: None,
                },
                unit,
                description,
            })
            .collect())
    }
}

fn name_of(reference: &ReferenceDescription) -> String {
    let shown = reference.display_name.text.as_ref();
    let name = if shown.is_empty() { reference.browse_name.name.as_ref() } else { shown };
    crate::failure::foreign(name)
}
