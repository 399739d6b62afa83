//! Mosquitto for one test, and a client of the plant that publishes.

use super::process::signal_process;
use super::programs::{make_certificate, mosquitto};
use super::{free_port, password, settings};
use domain::plant::{ConnectorKind, ConnectorSettings};
use fakes::eventually;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Users, with what they may do (Mosquitto's access list). The reader may do more than it needs.
const ACCESS: &str = "user plc\ntopic readwrite #\nuser reader\ntopic readwrite plant/#\ntopic read spBv1.0/#\n";
/// Beginning of the client ids of connectors.
const CLIENT_ID: &str = "plant-";

/// A running broker with a listener for TLS and one without.
pub struct Broker {
    /// Port of the listener without TLS.
    pub plain_port: u16,
    /// Port of the listener with TLS.
    pub tls_port: u16,
    /// SHA-256 of its certificate.
    pub thumbprint: String,
    program: String,
    process: Child,
    dir: TempDir,
}

impl Broker {
    /// Starts a broker; `None` if it is not installed.
    pub async fn start() -> Option<Self> {
        let program = mosquitto()?;
        let dir = tempfile::tempdir().expect("a directory");
        make_certificate("ca", &dir.path().join("ca"), None);
        let thumbprint = make_certificate("server", &dir.path().join("server"), Some(&dir.path().join("ca")));
        let (plain_port, tls_port) = (free_port(), free_port());
        write_files(&program, dir.path(), plain_port, tls_port);
        let process = spawn(&program, dir.path());
        let broker = Self { plain_port, tls_port, thumbprint, program, process, dir };
        broker.wait_until_it_listens().await;
        Some(broker)
    }

    /// The certificate of its authority, PEM.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.dir.path().join("ca/certificate.pem")).expect("a certificate")
    }

    /// Settings of a connector without TLS.
    pub fn plain(&self, kind: ConnectorKind) -> ConnectorSettings {
        let endpoint = format!("mqtt://127.0.0.1:{}", self.plain_port);
        self.settings(kind, endpoint, json!({ "allow_insecure": true }))
    }

    /// Settings of a connector with TLS.
    pub fn encrypted(&self, config: Value) -> ConnectorSettings {
        let settings = self.settings(ConnectorKind::Mqtt, format!("mqtts://127.0.0.1:{}", self.tls_port), config);
        ConnectorSettings { development: false, ..settings }
    }

    fn settings(&self, kind: ConnectorKind, endpoint: String, config: Value) -> ConnectorSettings {
        ConnectorSettings { credential: password("reader", "correct horse"), ..settings(kind, endpoint, config) }
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    pub async fn restart(&mut self) {
        self.process = spawn(&self.program, self.dir.path());
        self.wait_until_it_listens().await;
    }

    /// Replaces the certificate by another of the same authority, and restarts.
    pub async fn change_certificate(&mut self) {
        self.kill();
        let dir = self.dir.path();
        self.thumbprint = make_certificate("server", &dir.join("server"), Some(&dir.join("ca")));
        make_readable(dir);
        self.restart().await;
    }

    /// Suspends the process: connections stay open, but get no answer.
    pub fn suspend(&self) {
        signal_process(self.process.id(), "-STOP");
    }

    /// Resumes the suspended process.
    pub fn resume(&self) {
        signal_process(self.process.id(), "-CONT");
    }

    /// What it wrote of its connectors.
    pub fn lines_about_connectors(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(CLIENT_ID)).map(str::to_owned).collect()
    }

    /// A client that may publish everything.
    pub fn publisher(&self) -> Publisher {
        Publisher::connect(self.plain_port)
    }

    async fn wait_until_it_listens(&self) {
        let ports = [self.plain_port, self.tls_port];
        eventually("Mosquitto listens", || async {
            ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()).then_some(())
        })
        .await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn write_files(program: &str, dir: &Path, plain_port: u16, tls_port: u16) {
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(dir.join("access"), ACCESS).expect("a file");
    let passwords = dir.join("passwords");
    fs::write(&passwords, "plc:of the plant\nreader:correct horse\n").expect("a file");
    let hash = Command::new(passwd_program(program)).arg("-U").arg(&passwords).stderr(Stdio::null()).status();
    assert!(hash.is_ok_and(|status| status.success()), "mosquitto_passwd");
    let config = format!(
        "per_listener_settings false\nallow_anonymous false\npassword_file {}\nacl_file {}\nlog_dest file {}\n\
         log_type all\nlistener {plain_port} 127.0.0.1\nlistener {tls_port} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
        path("passwords"),
        path("access"),
        path("log"),
        path("server/certificate.pem"),
        path("server/key.pem"),
    );
    fs::write(dir.join("mosquitto.conf"), config).expect("a file");
    make_readable(dir);
}

/// Mosquitto becomes another user if it is started by root.
fn make_readable(dir: &Path) {
    let _missing = fs::File::options().create(true).append(true).open(dir.join("log")).expect("a file");
    for entry in ["", "server", "server/key.pem", "server/certificate.pem", "access", "passwords", "log"] {
        fs::set_permissions(dir.join(entry), Permissions::from_mode(0o777)).expect("permissions");
    }
}

fn passwd_program(program: &str) -> PathBuf {
    let beside = Path::new(program).with_file_name("mosquitto_passwd");
    if beside.is_file() { beside } else { PathBuf::from("mosquitto_passwd") }
}

fn spawn(program: &str, dir: &Path) -> Child {
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("mosquitto starts")
}

/// A client of the plant. Dropping it disconnects.
pub struct Publisher {
    client: AsyncClient,
    acknowledged: tokio::sync::watch::Receiver<usize>,
    sent: usize,
    events: tokio::task::JoinHandle<()>,
}

impl Publisher {
    fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new("plc", "127.0.0.1", port);
        options.set_credentials("plc", "of the plant").set_keep_alive(Duration::from_secs(60));
        options.set_max_packet_size(4 * 1024 * 1024, 4 * 1024 * 1024);
        let (client, mut events) = AsyncClient::new(options, 100);
        let (count, acknowledged) = tokio::sync::watch::channel(0);
        let listen = async move {
            while let Ok(event) = events.poll().await {
                if matches!(event, Event::Incoming(Packet::PubAck(_))) {
                    count.send_modify(|count| *count += 1);
                }
            }
        };
        Self { client, acknowledged, sent: 0, events: spawn_task(listen) }
    }

    /// Publishes, and waits until the broker has it.
    pub async fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.expect("connected");
        self.sent += 1;
        let sent = self.sent;
        self.acknowledged.wait_for(|count| *count >= sent).await.expect("connected");
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.events.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own task, which it ends itself")]
fn spawn_task(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}
