//! A server with the S3 protocol (moto) for one test, which can be killed and started again. It keeps objects in
//! memory.

use super::app::free_port;
use super::python;
use fakes::eventually;
use reqwest::{Client, Method};
use std::process::{Child, Command, Stdio};

/// The bucket that every server has.
const BUCKET: &str = "files";

/// A running server with one empty bucket.
pub struct S3Server {
    port: u16,
    process: Child,
    http: Client,
}

impl S3Server {
    /// Starts a server on a free port.
    pub async fn start() -> Self {
        let port = free_port();
        let http = Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let server = Self { port, process: spawn_server(port), http };
        server.create_bucket().await;
        server
    }

    /// URL of the service, without the bucket.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The settings with which the platform stores files at this server.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PLATFORM__STORAGE__KIND", "s3".to_owned()),
            ("S3_ENDPOINT", self.endpoint()),
            ("S3_BUCKET", BUCKET.to_owned()),
            ("S3_ACCESS_KEY_ID", "platform".to_owned()),
            ("S3_SECRET_ACCESS_KEY", "not a secret".to_owned()),
            ("PLATFORM__STORAGE__S3__ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// Kills the server. All objects are lost.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts the server again on the same port, with an empty bucket.
    pub async fn restart(&mut self) {
        self.process = spawn_server(self.port);
        self.create_bucket().await;
    }

    /// The keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        elements(&self.get("list-type=2").await, "Key")
    }

    /// The keys of all multipart uploads that are neither complete nor aborted.
    pub async fn unfinished_uploads(&self) -> Vec<String> {
        elements(&self.get("uploads").await, "Key")
    }

    async fn get(&self, query: &str) -> String {
        let url = format!("{}/{BUCKET}?{query}", self.endpoint());
        let response = self.http.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{query}");
        response.text().await.expect("a text")
    }

    async fn create_bucket(&self) {
        let url = format!("{}/{BUCKET}", self.endpoint());
        eventually("the S3 server has its bucket", || async {
            let created = self.http.request(Method::PUT, &url).send().await;
            created.is_ok_and(|response| response.status() == 200).then_some(())
        })
        .await;
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The texts of all elements with this name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&start).skip(1).filter_map(|rest| Some(rest.split_once(&end)?.0.to_owned())).collect()
}

fn spawn_server(port: u16) -> Child {
    let python = python::required_var("PLATFORM_TEST_S3_PYTHON", "cargo xtask test");
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "--host", "127.0.0.1", "--port", &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("moto starts")
}
