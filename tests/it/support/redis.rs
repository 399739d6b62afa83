//! A Redis server of a test's own, to be killed, frozen and started again.

use super::app::free_port;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running Redis that keeps nothing.
pub struct Redis {
    port: u16,
    server: Child,
}

impl Redis {
    /// Starts a server of its own for the test.
    pub fn start() -> Self {
        let port = free_port();
        Self { port, server: run(port) }
    }

    /// Value for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills it, with everything it knew.
    pub fn kill(&mut self) {
        self.server.kill().expect("it runs");
        self.server.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.server = run(self.port);
    }

    /// Stops it in its tracks: connections stay open, and nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.server.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _reaped = self.server.wait();
    }
}

fn run(port: u16) -> Child {
    let mut command = Command::new(program());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--dir", env!("CARGO_TARGET_TMPDIR")]).stdin(Stdio::null()).stdout(Stdio::null());
    let server = command.spawn().expect("redis-server starts");
    // A process of its own, started outside of any runtime: there is nothing to wait on but the port.
    let answers = || {
        std::thread::sleep(Duration::from_millis(25));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    };
    assert!((0..400).any(|_| answers()), "redis-server does not respond");
    server
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn program() -> String {
    std::env::var("PLATFORM_TEST_REDIS_SERVER")
        .expect("PLATFORM_TEST_REDIS_SERVER is not set: run the tests with `cargo xtask test`")
}
