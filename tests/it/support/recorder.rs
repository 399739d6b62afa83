//! A proxy in front of PostgreSQL that records the statements of a platform on the wire.

use fakes::eventually_within;
use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Code of the startup message that requests TLS. The server responds to it with one byte.
const SSL_REQUEST: u32 = 80_877_103;

/// Records the statements that go through one proxy, in the order in which they were sent.
#[derive(Clone)]
pub struct StatementRecorder {
    port: u16,
    recorded: Arc<Mutex<RecordedStatements>>,
}

#[derive(Default)]
struct RecordedStatements {
    statements: Vec<Statement>,
    /// The connections with an open transaction.
    open_transactions: BTreeSet<usize>,
}

/// One statement, which is one round trip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The number of the connection.
    pub connection: usize,
    /// The SQL text, on one line.
    pub sql: String,
    /// Whether the statement was only prepared, not executed.
    pub is_prepare: bool,
}

impl StatementRecorder {
    /// Forwards connections to the server at `upstream`, such as `127.0.0.1:5432`, until the process ends.
    pub fn start_proxy(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let recorder = Self { port, recorded: Arc::default() };
        let (upstream, recorded) = (upstream.to_owned(), Arc::clone(&recorder.recorded));
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&upstream).expect("the database server");
                forward(client, server, number, Arc::clone(&recorded));
            }
        });
        recorder
    }

    /// Host and port of the proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until no transaction is open, and returns the statements since the last call.
    pub async fn take(&self) -> Vec<Statement> {
        eventually_within(Duration::from_secs(10), "no transaction is open", || async {
            let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.open_transactions.is_empty().then(|| std::mem::take(&mut recorded.statements))
        })
        .await
    }
}

impl RecordedStatements {
    fn push(&mut self, statement: Statement) {
        if statement.sql.starts_with("BEGIN") {
            self.open_transactions.insert(statement.connection);
        } else if ["COMMIT", "ROLLBACK"].contains(&statement.sql.as_str()) {
            self.open_transactions.remove(&statement.connection);
        }
        self.statements.push(statement);
    }
}

/// Forwards both directions, each on a separate thread, and records the statements of the client.
fn forward(client: TcpStream, server: TcpStream, connection: usize, recorded: Arc<Mutex<RecordedStatements>>) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a TCP stream");
    }
    let (mut to_client, mut from_server) =
        (client.try_clone().expect("a stream"), server.try_clone().expect("a stream"));
    std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
    let (mut client, mut server) = (client, server);
    std::thread::spawn(move || {
        let mut reader = MessageReader::default();
        let mut chunk = [0; 16_384];
        while let Ok(read @ 1..) = client.read(&mut chunk) {
            for mut statement in reader.read_statements(&chunk[..read]) {
                statement.connection = connection;
                recorded.lock().unwrap_or_else(PoisonError::into_inner).push(statement);
            }
            if server.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        // Ends the other direction as well.
        let _closed = server.shutdown(std::net::Shutdown::Both);
    });
}

/// Splits the bytes that a client sends into messages of PostgreSQL's protocol, version 3.
#[derive(Default)]
struct MessageReader {
    buffer: Vec<u8>,
    is_started: bool,
    /// Texts of the prepared statements, by name.
    prepared_statements: HashMap<String, String>,
    /// The SQL of the last parsed statement, until it is bound.
    unbound_statement: Option<String>,
}

impl MessageReader {
    fn read_statements(&mut self, bytes: &[u8]) -> Vec<Statement> {
        self.buffer.extend_from_slice(bytes);
        let mut statements = Vec::new();
        while let Some(message) = self.next_message() {
            statements.extend(self.statement_of_message(&message));
        }
        statements
    }

    /// The next complete message: its type (0 for untyped startup messages), then its body.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        let type_length = usize::from(self.is_started);
        let length = self.buffer.get(type_length..type_length + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        if self.buffer.len() < type_length + length {
            return None;
        }
        let message: Vec<u8> = self.buffer.drain(..type_length + length).collect();
        let kind = if self.is_started { message[0] } else { 0 };
        let body = &message[type_length + 4..];
        if kind == 0 {
            self.is_started = body.get(..4) != Some(&SSL_REQUEST.to_be_bytes());
        }
        Some([&[kind], body].concat())
    }

    fn statement_of_message(&mut self, message: &[u8]) -> Option<Statement> {
        let new_statement = |sql: &str, is_prepare| {
            let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            Some(Statement { connection: 0, sql, is_prepare })
        };
        let (kind, body) = message.split_first()?;
        let mut strings = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        match kind {
            b'Q' => new_statement(&strings.next()?, false),
            b'P' => {
                let (name, sql) = (strings.next()?, strings.next()?);
                self.prepared_statements.insert(name, sql.clone());
                self.unbound_statement = Some(sql);
                None
            }
            b'B' => {
                let (_portal, name) = (strings.next()?, strings.next()?);
                self.unbound_statement = None;
                new_statement(self.prepared_statements.get(&name)?, false)
            }
            b'S' => new_statement(&self.unbound_statement.take()?, true),
            _ => None,
        }
    }
}
