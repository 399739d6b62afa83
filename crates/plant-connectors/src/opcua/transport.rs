//! TCP connections to addresses that were checked. The library would resolve the server's name by itself, and a name
//! server may give another answer then.

use opcua::client::transport::{
    Connector, RequestRecv, SecureChannelState, StreamConnection, StreamConnector, TcpTransport, TransportConfiguration,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::types::{DecodingOptions, EndpointDescription, Error, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_util::codec::FramedRead;

/// Connects to the first of its addresses that answers, and tells the server the URL.
#[derive(Clone, Debug)]
pub struct CheckedConnector {
    addresses: Vec<SocketAddr>,
    url: String,
}

impl CheckedConnector {
    /// `url` is told to the server and is not resolved; `addresses` are those of its host.
    pub fn new(addresses: Vec<SocketAddr>, url: String) -> Self {
        Self { addresses, url }
    }
}

impl Connector for CheckedConnector {
    type Transport = TcpTransport;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing_recv: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<TcpTransport, Error> {
        let addresses = self.addresses.clone();
        let open_stream = move |url: String, options: DecodingOptions| open(addresses.clone(), url, options);
        StreamConnector::new(open_stream, self.url.clone()).connect(channel, outgoing_recv, config).await
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.as_str())
    }
}

async fn open(
    addresses: Vec<SocketAddr>,
    url: String,
    options: DecodingOptions,
) -> Result<StreamConnection<ReadHalf<TcpStream>, WriteHalf<TcpStream>>, Error> {
    let mut last_error = Error::new(StatusCode::BadTcpEndpointUrlInvalid, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are small and latency-sensitive.
                let _result = stream.set_nodelay(true);
                let (incoming, outgoing) = tokio::io::split(stream);
                return Ok(StreamConnection::new(FramedRead::new(incoming, TcpCodec::new(options)), outgoing, url));
            }
            Err(error) => last_error = Error::new(StatusCode::BadCommunicationError, error),
        }
    }
    Err(last_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcua::calls;
    use opcua::client::{Client, ClientBuilder};
    use std::time::Duration;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(10);

    fn client(dir: &std::path::Path) -> Client {
        let builder = ClientBuilder::new().application_name("test").application_uri("urn:test");
        Client::new(builder.pki_dir(dir).session_retry_limit(0).into_config())
    }

    #[tokio::test]
    async fn the_checked_address_is_connected_to_and_the_server_is_told_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let address = listener.local_addr().unwrap();
        // No name server knows it, so whoever resolved it would fail.
        let url = "opc.tcp://plc7.invalid:4840/ua".to_owned();
        let connector = CheckedConnector::new(vec![closed, address], url.clone());
        let accept = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = vec![0; 512];
            let length = stream.read(&mut hello).await.unwrap();
            String::from_utf8_lossy(&hello[..length]).into_owned()
        };
        let hello = tokio::select! {
            hello = timeout(SOON, accept) => hello.unwrap(),
            ended = calls::endpoints(client(dir.path()), connector) => panic!("it ended: {ended:?}"),
        };
        assert!(hello.starts_with("HELF") && hello.ends_with(&url), "{hello:?}");
    }

    #[tokio::test]
    async fn without_an_address_that_answers_there_is_no_connection() {
        let dir = tempfile::tempdir().unwrap();
        let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        for addresses in [vec![], vec![closed]] {
            // This machine has the name, at an address that was not checked.
            let connector = CheckedConnector::new(addresses, "opc.tcp://localhost:4840".to_owned());
            let discovery = timeout(SOON, calls::endpoints(client(dir.path()), connector)).await.unwrap();
            assert!(discovery.is_err());
        }
    }
}
