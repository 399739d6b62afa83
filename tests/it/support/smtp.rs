//! A mail server (aiosmtpd) that keeps what it gets.

use super::python;
use fakes::eventually_within;
use serde::Deserialize;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;

/// Name and password that the server asks for.
pub const USER: &str = "platform-bot";
pub const PASSWORD: &str = "correct horse battery staple";

/// A running mail server. Dropping it kills the process.
pub struct SmtpServer {
    /// Port on 127.0.0.1.
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    _process: Child,
    _tasks: JoinSet<()>,
}

/// A mail that the server accepted.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Who signed in.
    pub login: Option<String>,
    /// Headers and body.
    pub data: String,
}

impl SmtpServer {
    /// Starts a server that defers the first `refusals` mails.
    pub async fn start(refusals: u32) -> Self {
        let python = python::required_var("PLATFORM_TEST_SMTP_PYTHON", "cargo xtask test");
        let mut command = python::script(&python, "smtp-server/server.py");
        command.args([USER, PASSWORD, &refusals.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("python starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("readable").expect("the server ended before it served");
        let port = line.strip_prefix("port ").and_then(|port| port.parse().ok()).expect("its port");
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let (kept, mut tasks) = (Arc::clone(&mails), JoinSet::new());
        tasks.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().expect("not poisoned").push(serde_json::from_str(&line).expect("a mail"));
            }
        });
        Self { port, mails, _process: process, _tasks: tasks }
    }

    /// The mails that were accepted so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("not poisoned").clone()
    }

    /// Waits for a mail with this subject.
    pub async fn wait_for_subject(&self, subject: &str) -> Mail {
        let header = format!("Subject: {subject}");
        eventually_within(Duration::from_secs(20), &header, || async {
            let mails = self.mails.lock().expect("not poisoned");
            mails.iter().find(|mail| mail.data.contains(&header)).cloned()
        })
        .await
    }
}
