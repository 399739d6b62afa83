//! A session at a server. Only the services that read can be called: this file builds no other requests.

use super::address::Namespaces;
use super::config::Security;
use super::connect::CLOSE_TIMEOUT;
use super::{calls, value};
use crate::failure;
use crate::link::Connection;
use domain::plant::ConnectorError;
use opcua::client::services::{Browse, BrowseNext, CloseSession, HistoryRead, Read};
use opcua::client::{AsyncSecureChannel, HistoryReadAction, UARequest};
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResult, BrowseResultMask, ByteString, DataValue,
    HistoryReadResult, HistoryReadValueId, NodeId, ReadRawModifiedDetails, ReadValueId, ReferenceTypeId,
    TimestampsToReturn, VariableId, Variant,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Time limit of one page of a history, which may take far longer than present values. The caller bounds the whole
/// read.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum nodes per request, unless the server's limit is lower.
const MAX_NODES: usize = 100;
/// Name of the property that holds the unit (OPC 10000-8, 5.3.2.3).
const ENGINEERING_UNITS: &str = "EngineeringUnits";
/// Maximum cached units.
const MAX_UNITS: usize = 50_000;

/// Prerequisites of a session.
pub struct SessionParts {
    pub channel: Arc<AsyncSecureChannel>,
    /// Event loop of the connection.
    pub pump: AbortOnDropHandle<()>,
    pub tasks: TaskTracker,
    /// Time limit of a request.
    pub timeout: Duration,
}

/// A session. Dropping it also closes it at the server.
pub struct Session {
    channel: Arc<AsyncSecureChannel>,
    pump: Option<AbortOnDropHandle<()>>,
    tasks: TaskTracker,
    timeout: Duration,
    token: NodeId,
    security: Option<Security>,
    nodes_per_request: usize,
    namespaces: Mutex<Arc<Namespaces>>,
    /// Units by node; `None` for nodes without one.
    units: Mutex<HashMap<NodeId, Option<String>>>,
}

impl Connection for Session {
    fn is_open(&self) -> bool {
        self.pump.as_ref().is_some_and(|pump| !pump.is_finished())
    }
}

impl Session {
    pub fn new(parts: SessionParts, token: NodeId) -> Self {
        Self {
            channel: parts.channel,
            pump: Some(parts.pump),
            tasks: parts.tasks,
            timeout: parts.timeout,
            token,
            security: None,
            nodes_per_request: MAX_NODES,
            namespaces: Mutex::new(Arc::from(Vec::new())),
            units: Mutex::default(),
        }
    }

    /// Reads the server's limit of nodes per request, and its namespaces.
    pub async fn prepare(mut self, security: Security) -> Result<Self, ConnectorError> {
        self.security = Some(security);
        let limit = VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead;
        let wanted = [limit, VariableId::Server_NamespaceArray].map(|id| ReadValueId::new_value(id.into()));
        // One per request: the limit is not known yet.
        let limit = self.read(&wanted[..1]).await?;
        if let Some(Variant::UInt32(limit @ 1..)) = limit.first().and_then(|data| data.value.as_ref()) {
            self.nodes_per_request = usize::try_from(*limit).unwrap_or(MAX_NODES).min(MAX_NODES);
        }
        let namespaces = self.read(&wanted[1..]).await?;
        if let Some(data) = namespaces.first() {
            self.note_namespaces(data);
        }
        Ok(self)
    }

    /// Description of the connection's security, for administrators.
    pub fn security_name(&self) -> String {
        self.security.map(Security::name).unwrap_or_default()
    }

    pub fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the server's namespace array; returns whether it changed.
    pub fn note_namespaces(&self, data: &DataValue) -> bool {
        let Some(Variant::Array(array)) = &data.value else { return false };
        let text = |variant: &Variant| match variant {
            Variant::String(text) => text.to_string(),
            _ => String::new(),
        };
        let now: Arc<Namespaces> = array.values.iter().map(text).collect::<Vec<_>>().into();
        let mut known = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != now;
        if changed {
            *known = now;
            // Namespace indexes have changed their meaning.
            self.units.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        changed
    }

    /// Reads attributes, in the order of `nodes`.
    pub async fn read(&self, nodes: &[ReadValueId]) -> Result<Vec<DataValue>, ConnectorError> {
        let mut values = Vec::with_capacity(nodes.len());
        for chunk in nodes.chunks(self.nodes_per_request) {
            let request = Read::new_manual(0, self.timeout, self.token.clone(), self.channel.request_handle())
                .timestamps_to_return(TimestampsToReturn::Both)
                .nodes_to_read(chunk.to_vec());
            let found = self.send(request).await?.results.unwrap_or_default();
            values.extend(same_number(found, chunk.len())?);
        }
        Ok(values)
    }

    /// The forward hierarchical references of nodes, in the order of `nodes`. What does not fit into one response is
    /// fetched by `next`.
    pub async fn browse(&self, nodes: &[NodeId], kind: ReferenceTypeId) -> Result<Vec<BrowseResult>, ConnectorError> {
        let mut results = Vec::with_capacity(nodes.len());
        for chunk in nodes.chunks(self.nodes_per_request) {
            let wanted = chunk.iter().map(|node| BrowseDescription {
                node_id: node.clone(),
                browse_direction: BrowseDirection::Forward,
                reference_type_id: kind.into(),
                include_subtypes: true,
                node_class_mask: 0,
                result_mask: BrowseResultMask::All as u32,
            });
            let request = Browse::new_manual(0, self.timeout, self.token.clone(), self.channel.request_handle())
                .max_references_per_node(1_000)
                .nodes_to_browse(wanted.collect());
            let found = self.send(request).await?.results.unwrap_or_default();
            results.extend(same_number(found, chunk.len())?);
        }
        Ok(results)
    }

    /// Continues a browse, or (with `release`) releases its continuation point.
    pub async fn browse_next(
        &self,
        continuation_point: ByteString,
        release: bool,
    ) -> Result<Option<BrowseResult>, ConnectorError> {
        let request = BrowseNext::new_manual(0, self.timeout, self.token.clone(), self.channel.request_handle())
            .continuation_point(continuation_point)
            .release_continuation_points(release);
        Ok(self.send(request).await?.results.unwrap_or_default().into_iter().next())
    }

    /// Reads raw history of a node, from its start or from a continuation point; with `release`, it only releases the
    /// point.
    pub async fn history(
        &self,
        node: HistoryReadValueId,
        details: ReadRawModifiedDetails,
        release: bool,
    ) -> Result<Option<HistoryReadResult>, ConnectorError> {
        let action = HistoryReadAction::ReadRawModifiedDetails(details);
        let handle = self.channel.request_handle();
        let request = HistoryRead::new_manual(action, 0, HISTORY_TIMEOUT, self.token.clone(), handle)
            .timestamps_to_return(TimestampsToReturn::Both)
            .release_continuation_points(release)
            .node(node);
        Ok(self.send(request).await?.results.unwrap_or_default().into_iter().next())
    }

    /// The units of nodes, in their order. A unit that cannot be read is treated as missing.
    pub async fn units(&self, nodes: &[NodeId]) -> Vec<Option<String>> {
        let unknown: Vec<NodeId> = {
            let known = self.units.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.iter().filter(|node| !known.contains_key(node)).cloned().collect()
        };
        if !unknown.is_empty()
            && let Ok(found) = self.fetch_units(&unknown).await
        {
            let mut known = self.units.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() + found.len() > MAX_UNITS {
                known.clear();
            }
            known.extend(unknown.into_iter().zip(found));
        }
        let known = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().map(|node| known.get(node).cloned().flatten()).collect()
    }

    async fn fetch_units(&self, nodes: &[NodeId]) -> Result<Vec<Option<String>>, ConnectorError> {
        let properties = self.browse(nodes, ReferenceTypeId::HasProperty).await?;
        let holders: Vec<Option<NodeId>> = properties.iter().map(unit_property).collect();
        let wanted: Vec<_> = holders.iter().flatten().cloned().map(ReadValueId::new_value).collect();
        let mut values = self.read(&wanted).await?.into_iter();
        Ok(holders
            .iter()
            .map(|holder| holder.as_ref().and_then(|_| values.next()).and_then(|data| value::unit(&data)))
            .collect())
    }

    /// Texts of an attribute, in the order of `nodes`.
    pub async fn texts(&self, nodes: &[NodeId], attribute: AttributeId) -> Result<Vec<Option<String>>, ConnectorError> {
        let wanted: Vec<_> = nodes.iter().map(|node| ReadValueId::new(node.clone(), attribute)).collect();
        let texts = self.read(&wanted).await?.into_iter().map(|data| match data.value {
            Some(Variant::LocalizedText(text)) => Some(failure::foreign(text.text.as_ref())),
            Some(Variant::String(text)) => Some(failure::foreign(text.as_ref())),
            _ => None,
        });
        Ok(texts.map(|text| text.filter(|text| !text.is_empty())).collect())
    }

    async fn send<R>(&self, request: R) -> Result<R::Out, ConnectorError>
    where
        R: UARequest + Send + 'static,
        R::Out: Send,
    {
        calls::send(request, &self.channel).await
    }
}

fn unit_property(properties: &BrowseResult) -> Option<NodeId> {
    let references = properties.references.as_ref()?;
    let unit = references.iter().find(|reference| reference.browse_name.name.as_ref() == ENGINEERING_UNITS)?;
    Some(unit.node_id.node_id.clone())
}

fn same_number<T>(found: Vec<T>, asked: usize) -> Result<Vec<T>, ConnectorError> {
    if found.len() == asked {
        return Ok(found);
    }
    Err(failure::invalid_response(format!("the server answered {} of {asked} nodes", found.len())))
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a runtime, the connection simply ends, and the server drops the session after its timeout.
        let (Some(pump), Ok(_)) = (self.pump.take().filter(|pump| !pump.is_finished()), Handle::try_current()) else {
            return;
        };
        let (channel, token) = (self.channel.clone(), self.token.clone());
        self.tasks.spawn(async move {
            let close = CloseSession::new_manual(0, CLOSE_TIMEOUT, token, channel.request_handle());
            let orderly = async {
                let _result = calls::send(close, &channel).await;
                channel.close_channel().await;
                let _result = pump.await;
            };
            let _result = tokio::time::timeout(CLOSE_TIMEOUT, orderly).await;
        });
    }
}
