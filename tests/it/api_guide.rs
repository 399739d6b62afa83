//! The examples of docs/api-guide.md, run against the platform: those in Python as one program, those for the shell
//! each by itself.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::cli::{Cli, Output};
use crate::support::files;
use domain::role::Role;
use serde_json::{Value, json};
use std::path::Path;

/// The code blocks of the guide in one language, in order.
fn code_blocks(language: &str) -> Vec<String> {
    let guide = files::read(&files::repository_root().join("docs/api-guide.md"));
    let guide = String::from_utf8(guide).expect("UTF-8");
    let opening = format!("```{language}\n");
    let blocks = guide.split(&opening).skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("the end of a block").0.to_owned()).collect()
}

/// An environment in which the examples run as a user.
struct Guide {
    cli: Cli,
    token: String,
    url: String,
}

impl Guide {
    fn as_user(app: &TestApp, name: &str, role: Role) -> Self {
        let token = app.token(TENANT_A, name, role);
        Self { cli: Cli::signed_out(app), token, url: app.base_url.clone() }
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = self.cli.program(Path::new(program));
        command.args(arguments).env("URL", &self.url).env("TOKEN", &self.token);
        Output::wait_for(command.spawn().expect("it starts")).await.expect(0)
    }

    async fn run_shell(&self, commands: &str) -> Value {
        self.run("bash", &["-euo", "pipefail", "-c", commands]).await.json()
    }
}

#[tokio::test]
async fn the_python_examples_of_the_api_guide_work() {
    let app = TestApp::start(&[]).await;
    let guide = Guide::as_user(&app, "reader", Role::User);
    let program = code_blocks("python").join("\n\n");
    let printed = guide.run("python3", &["-c", &program]).await.out;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines.first(), lines.get(1)), (Some(&"user"), Some(&"ready None")), "{printed}");
    assert!(printed.contains("every 14 days") && printed.contains("[1]"), "{printed}");
    assert_eq!(lines.last(), Some(&"['strainer.md']"), "{printed}");
}

#[tokio::test]
async fn the_shell_examples_of_the_api_guide_work() {
    let app = TestApp::start(&[]).await;
    let guide = Guide::as_user(&app, "chief", Role::Admin);
    let admin = app.caller(TENANT_A, "chief", Role::Admin);
    let blocks = code_blocks("sh");
    let [token, failure, search, write] = blocks.as_slice() else {
        panic!("the guide has other examples than those that this test checks: {blocks:#?}")
    };

    let created = guide.run_shell(token).await;
    let secret = created["secret"].as_str().expect("the secret");
    app.with_token(secret).get("/v1/documents").await.expect_json(200);
    app.with_token(secret).get("/v1/conversations").await.expect_json(403);

    let problem = guide.run_shell(failure).await;
    assert_eq!((&problem["status"], &problem["code"]), (&json!(422), &json!("validation")), "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/query", "{problem}");
    assert!(problem["request_id"].is_string(), "{problem}");

    let uploaded = admin.upload("strainer.md", &files::note("C-410"), &[]).await.expect_json(202);
    admin.wait_until_ingested(uploaded["document_id"].as_str().expect("an id")).await;
    let found = guide.run_shell(search).await;
    assert_eq!((&found["answerable"], &found["results"][0]["doc"]), (&json!(true), &json!("strainer.md")), "{found}");

    let requested = guide.run_shell(write).await;
    assert_eq!(requested["status"], "pending_approval", "{requested}");
    let approval = format!("/v1/approvals/{}", requested["approval_id"].as_str().expect("an id"));
    let approval = admin.get(&approval).await.expect_json(200);
    assert_eq!((&approval["status"], &approval["reason"]), (&json!("pending"), &json!("found on the morning round")));
}
