//! Over a real connection: a client that sends all of a refused upload gets to read why.

use crate::support::*;
use gateway::GatewaySettings;
use policy::error::GateError;
use policy::gate::MockGate;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than the buffers of both ends hold.
const SIZE: usize = 12 << 20;

async fn upload(settings: GatewaySettings) -> std::io::Result<String> {
    let mut gate = MockGate::new();
    gate.on_login(|_, _| Err(GateError::Unauthenticated { reason: "expired" }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = async {
        let mut connection = TcpStream::connect(address).await?;
        let head = format!(
            "POST /v1/documents/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\nconnection: close\r\n\
             content-type: multipart/form-data; boundary=B\r\ncontent-length: {SIZE}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&vec![b'x'; SIZE]).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let served = axum::serve(listener, router(gate, settings)).into_future();
    tokio::select! {
        answer = client => answer,
        _ = served => Err(std::io::Error::other("the server ended")),
    }
}

#[tokio::test]
async fn a_refused_sender_reads_the_refusal() {
    let answer = upload(settings()).await.expect("the connection holds");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("\"code\":\"invalid_token\""), "{answer}");
}

#[tokio::test]
async fn without_lingering_the_sender_is_cut_off() {
    let abrupt = GatewaySettings { linger: Duration::ZERO, ..settings() };
    assert!(upload(abrupt).await.is_err(), "the test above could not fail");
}
