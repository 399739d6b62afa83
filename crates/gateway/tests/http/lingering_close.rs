//! Lingering close over a real connection: after refusing an upload, the server discards the rest of the body before it
//! closes the connection, so that the client receives the response.

use crate::support::*;
use gateway::GatewaySettings;
use policy::error::GateError;
use policy::gate::MockGate;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger than the socket buffers of both ends.
const UPLOAD_BYTES: usize = 12 << 20;

async fn refused_upload(settings: GatewaySettings) -> std::io::Result<String> {
    let mut gate = MockGate::new();
    gate.on_authenticate(|_, _| Err(GateError::Unauthenticated { reason: "expired" }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = async {
        let mut connection = TcpStream::connect(address).await?;
        let head = format!(
            "POST /v1/documents/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\nconnection: close\r\n\
             content-type: multipart/form-data; boundary=B\r\ncontent-length: {UPLOAD_BYTES}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&vec![b'x'; UPLOAD_BYTES]).await?;
        let mut response = String::new();
        connection.read_to_string(&mut response).await?;
        Ok(response)
    };
    let server = axum::serve(listener, router(gate, settings)).into_future();
    tokio::select! {
        response = client => response,
        _ = server => Err(std::io::Error::other("the server ended")),
    }
}

#[tokio::test]
async fn a_client_that_sends_the_whole_body_receives_the_error() {
    let response = refused_upload(settings()).await.expect("the connection is not reset");
    assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    assert!(response.contains("\"code\":\"invalid_token\""), "{response}");
}

#[tokio::test]
async fn without_lingering_close_the_connection_is_reset() {
    let no_linger = GatewaySettings { lingering_close_timeout: Duration::ZERO, ..settings() };
    assert!(refused_upload(no_linger).await.is_err(), "without a reset, the test above proves nothing");
}
