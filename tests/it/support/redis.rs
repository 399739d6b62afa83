//! A Redis server for one test, which can be killed, suspended and restarted.

use super::app::free_port;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running Redis server without persistence.
pub struct RedisServer {
    port: u16,
    process: Child,
}

impl RedisServer {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        let port = free_port();
        Self { port, process: spawn_server(port) }
    }

    /// Value for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the server. All data is lost.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts the server again on the same port.
    pub fn restart(&mut self) {
        self.process = spawn_server(self.port);
    }

    /// Suspends the process: connections stay open, but get no response.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Resumes the suspended process.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn spawn_server(port: u16) -> Child {
    let mut command = Command::new(server_program());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--dir", env!("CARGO_TARGET_TMPDIR")]).stdin(Stdio::null()).stdout(Stdio::null());
    let server = command.spawn().expect("redis-server starts");
    // The server does not report that it is ready, so the port is polled.
    let is_listening = || {
        std::thread::sleep(Duration::from_millis(25));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    };
    assert!((0..400).any(|_| is_listening()), "redis-server does not respond");
    server
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn server_program() -> String {
    std::env::var("PLATFORM_TEST_REDIS_SERVER")
        .expect("PLATFORM_TEST_REDIS_SERVER is not set: run the tests with `cargo xtask test`")
}
