//! Calls to the crate `opcua`, as boxed futures that own what they need. Its futures come from trait methods with
//! lifetimes, and the compiler cannot prove that a future which also borrows is `Send`. None has a time limit of its
//! own.

use super::failure as opcua_failure;
use super::transport::CheckedConnector;
use domain::plant::ConnectorError;
use futures::future::BoxFuture;
use opcua::client::transport::{Connector, SecureChannelEventLoop};
use opcua::client::{AsyncSecureChannel, Client, UARequest};
use opcua::types::EndpointDescription;
use std::sync::Arc;

/// Sends a request and waits for its response.
pub fn send<R>(request: R, channel: &Arc<AsyncSecureChannel>) -> BoxFuture<'static, Result<R::Out, ConnectorError>>
where
    R: UARequest + Send + 'static,
    R::Out: Send,
{
    let channel = Arc::clone(channel);
    Box::pin(async move { request.send(&channel).await.map_err(|error| opcua_failure::of(&error)) })
}

/// The endpoints that a server offers.
pub fn endpoints(
    client: Client,
    connector: CheckedConnector,
) -> BoxFuture<'static, Result<Vec<EndpointDescription>, ConnectorError>> {
    Box::pin(async move {
        let offered = client.get_server_endpoints_from_url(connector).await;
        offered.map_err(|error| opcua_failure::of(&error))
    })
}

/// Connects a channel. The returned loop must be polled for as long as the channel is used.
pub fn connect<C: Connector + 'static>(
    channel: Arc<AsyncSecureChannel>,
    connector: C,
) -> BoxFuture<'static, Result<SecureChannelEventLoop<C::Transport>, ConnectorError>> {
    Box::pin(async move { channel.connect_no_retry(&connector).await.map_err(|error| opcua_failure::of(&error)) })
}
