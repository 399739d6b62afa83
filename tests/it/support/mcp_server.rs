//! An MCP server of somebody else: `tests/mcp-sdk/server.py`, made with the official SDK, in a process of its own.

use super::app::free_port;
use super::files;
use super::python::required_var;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A running server. Dropping it stops it.
pub struct TestMcpServer {
    /// Address of its endpoint.
    pub url: String,
    process: Child,
    dir: TempDir,
}

impl TestMcpServer {
    /// Starts a server whose tools have their first version.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let port = free_port();
        std::fs::write(dir.path().join("state.json"), json!({ "version": 1 }).to_string()).expect("a file");
        let mut command = Command::new(required_var("PLATFORM_TEST_MCP_PYTHON", "cargo xtask test"));
        command.arg(files::repository_root().join("tests/mcp-sdk/server.py"));
        command.arg(port.to_string()).arg(dir.path().join("state.json"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("python starts");
        let server = Self { url: format!("http://127.0.0.1:{port}/mcp"), process, dir };
        eventually_within(Duration::from_secs(60), "the MCP server listens", || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
        })
        .await;
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes what the server says of its tools.
    pub fn set_state(&self, state: &Value) {
        // Renamed, so that the server never reads half a file.
        std::fs::write(self.file("new.json"), state.to_string()).expect("a file");
        std::fs::rename(self.file("new.json"), self.file("state.json")).expect("a renamed file");
    }

    /// The calls that reached the server, in order.
    pub fn calls(&self) -> Vec<Value> {
        let lines = std::fs::read_to_string(self.file("state.json.calls")).unwrap_or_default();
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// How often a tool was called.
    pub fn call_count(&self, tool: &str) -> usize {
        self.calls().iter().filter(|call| call["tool"] == tool).count()
    }
}

impl Drop for TestMcpServer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
