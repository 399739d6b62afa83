//! OPC UA, binary over TCP.

mod address;
mod browse;
mod calls;
mod config;
mod connect;
mod failure;
mod history;
pub(crate) mod identity;
mod session;
mod transport;
mod value;

use crate::config::Common;
use crate::context::Context;
use crate::link::{BackoffPolicy, Link};
use crate::{check, sample};
use address::Address;
use async_trait::async_trait;
use config::OpcUaConfig;
use connect::Target;
use domain::plant::{ConnectorCheck, ConnectorError, ConnectorSettings, Sample, TagMapping};
use domain::ports::{BrowsedTag, PlantConnector};
use domain::time::Timestamp;
use history::HistoryRequest;
pub use identity::Identity;
use opcua::types::{NodeId, ReadValueId, StatusCode, VariableId};
use session::Session;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::timeout;

/// A connector to an OPC UA server.
pub struct OpcUaConnector {
    context: Context,
    common: Arc<Common>,
    config: Arc<OpcUaConfig>,
    link: Link<Session>,
}

impl OpcUaConnector {
    pub fn open(context: Context, settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let common = Common::of(settings)?;
        let config = OpcUaConfig::of(settings, &common)?;
        for mapping in &settings.tags {
            Address::parse(&mapping.address.0)?;
        }
        Ok(Self { context, common: Arc::new(common), config: Arc::new(config), link: Link::new() })
    }

    async fn session(&self, backoff: BackoffPolicy) -> Result<Arc<Session>, ConnectorError> {
        let target = Target {
            config: Arc::clone(&self.config),
            common: Arc::clone(&self.common),
            identity: Arc::clone(&self.context.identity),
            tasks: self.context.tasks.clone(),
        };
        self.link.get(backoff, target.connect()).await
    }

    /// The session. Connecting takes at most `common.timeout`, also for callers that allow more: all others wait
    /// meanwhile.
    async fn session_in_time(&self, backoff: BackoffPolicy) -> Result<Arc<Session>, ConnectorError> {
        let connected = timeout(self.common.timeout, self.session(backoff)).await;
        connected.unwrap_or_else(|_| Err(crate::failure::timed_out(self.common.timeout)))
    }

    /// Runs a call within `common.timeout`. If it takes longer, the session is closed, and the next attempt is delayed,
    /// for all callers.
    async fn with_session<T, F, C>(&self, backoff: BackoffPolicy, call: C) -> Result<T, ConnectorError>
    where
        C: Fn(Arc<Session>) -> F,
        F: Future<Output = Result<T, ConnectorError>>,
    {
        let result = timeout(self.common.timeout, self.with_session_unbounded(backoff, call)).await;
        let result = result.unwrap_or_else(|_| Err(crate::failure::timed_out(self.common.timeout)));
        if let Err(error @ ConnectorError::TimedOut { .. }) = &result {
            self.link.discard(Some(error)).await;
        }
        result
    }

    /// Runs a call that may take long, such as reading a history; the caller bounds the time. If the session breaks, it
    /// is replaced and the call is retried once. A session that does not answer in time is kept, because other calls
    /// use it.
    async fn with_session_unbounded<T, F, C>(&self, backoff: BackoffPolicy, call: C) -> Result<T, ConnectorError>
    where
        C: Fn(Arc<Session>) -> F,
        F: Future<Output = Result<T, ConnectorError>>,
    {
        match call(self.session_in_time(backoff).await?).await {
            Err(ConnectorError::Unreachable { .. }) => {
                self.link.discard(None).await;
                call(self.session_in_time(backoff).await?).await
            }
            result => result,
        }
    }

    async fn read_all(&self, session: &Session, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        let mut addresses = Vec::with_capacity(tags.len());
        for mapping in tags {
            addresses.push(Address::parse(&mapping.address.0)?);
        }
        let mut resolved = ResolvedNodes::of(session, &addresses);
        let by_uri = addresses.iter().any(|address| matches!(address, Address::ByUri { .. }));
        let mut values = resolved.values(session, by_uri).await?;
        // The namespace array is read with the values; if it changed, they belong to other nodes.
        if by_uri
            && let Some(namespaces) = values.pop()
            && session.note_namespaces(&namespaces)
        {
            resolved = ResolvedNodes::of(session, &addresses);
            values = resolved.values(session, false).await?;
        }
        let units = session.units(&resolved.found()).await;
        let now = self.context.clock.now();
        let mut read = values.into_iter().zip(units);
        Ok(tags
            .iter()
            .zip(&resolved.nodes)
            .map(|(mapping, node)| {
                let Some((data, unit)) = node.as_ref().and_then(|_| read.next()) else {
                    return sample::without_value(value::code(StatusCode::BadNodeIdUnknown), now);
                };
                Sample { unit, ..value::to_sample(&data, mapping, now) }
            })
            .collect())
    }
}

/// The nodes that addresses lead to with the session's current namespaces; `None` for an address whose namespace the
/// server does not have.
struct ResolvedNodes {
    nodes: Vec<Option<NodeId>>,
}

impl ResolvedNodes {
    fn of(session: &Session, addresses: &[Address]) -> Self {
        let namespaces = session.namespaces();
        Self { nodes: addresses.iter().map(|address| address.resolve(&namespaces)).collect() }
    }

    fn found(&self) -> Vec<NodeId> {
        self.nodes.iter().flatten().cloned().collect()
    }

    /// The values of the nodes that were found, followed, if requested, by the server's namespaces.
    async fn values(
        &self,
        session: &Session,
        with_namespaces: bool,
    ) -> Result<Vec<opcua::types::DataValue>, ConnectorError> {
        let namespaces = with_namespaces.then(|| NodeId::from(VariableId::Server_NamespaceArray));
        let wanted: Vec<_> = self.found().into_iter().chain(namespaces).map(ReadValueId::new_value).collect();
        session.read(&wanted).await
    }
}

/// The message about an address whose namespace the server does not have.
fn unknown_namespace(session: &Session, mapping: &TagMapping) -> Option<String> {
    let Ok(Address::ByUri { namespace, .. }) = Address::parse(&mapping.address.0) else { return None };
    let known = session.namespaces();
    (!known.contains(&namespace)).then(|| {
        let offered = crate::failure::foreign(&known.get(1..).unwrap_or_default().join(", "));
        let namespace = crate::failure::foreign(&namespace);
        format!("; the server does not know the namespace {namespace}; it has {offered}")
    })
}

#[async_trait]
impl PlantConnector for OpcUaConnector {
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck {
        let checked = self.with_session(BackoffPolicy::Bypass, move |session| async move {
            let connection = format!("connected with {}", session.security_name());
            let Some(mapping) = sample_tag else { return Ok(check::succeeded(&connection, None)) };
            let samples = self.read_all(&session, std::slice::from_ref(mapping)).await?;
            let mut check = check::succeeded(&connection, samples.first().map(|sample| (mapping, sample)));
            check.detail.extend(unknown_namespace(&session, mapping));
            Ok(check)
        });
        checked.await.unwrap_or_else(|error| check::failed(&error))
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        self.with_session(BackoffPolicy::Respect, move |session| async move { self.read_all(&session, tags).await })
            .await
    }

    async fn history(
        &self,
        tag: &TagMapping,
        period: Range<Timestamp>,
        limit: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        let address = &Address::parse(&tag.address.0)?;
        let period = &period;
        self.with_session_unbounded(BackoffPolicy::Respect, move |session| async move {
            let Some(node) = address.resolve(&session.namespaces()) else { return Ok(None) };
            let now = self.context.clock.now();
            session.raw_history(&HistoryRequest { node, mapping: tag, period: period.clone(), limit, now }).await
        })
        .await
    }

    async fn browse(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        let listed =
            self.with_session(BackoffPolicy::Respect, move |session| async move { session.variables(limit).await });
        listed.await.map(Some)
    }
}
