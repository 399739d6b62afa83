//! The number of statements and commits per request, counted on the wire so that every statement is included. The
//! snapshots list them; `docs/performance.md` has the totals.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use crate::support::recorder::{Statement, StatementRecorder};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Words that occur only in statements that are not counted: those of background tasks, those that store the events of
/// a run, for which no request waits (ADR 60), and the ping of a connection that was idle for a second.
const BACKGROUND_WORDS: &[&str] = &["instance", "seal", "run_events", "SELECT 1"];
const QUESTION: &str = "How often is the strainer of X-9001 cleaned?";
/// A question for the state of the plant, of a tenant without tags.
const PLANT_QUESTION: &str = "What is the pressure of X-9001 now?";
/// Statements of a search for tags: its transaction and its query.
const MAX_TAG_SEARCH_STATEMENTS: usize = 4;

/// A platform whose database connections as the application role go through a recorder.
struct RecordedPlatform {
    app: TestApp,
    recorder: StatementRecorder,
    /// The app that owns the database.
    _database_owner: TestApp,
    _model: ModelServer,
}

impl RecordedPlatform {
    async fn start() -> Self {
        let model = ModelServer::start_with_default(Reply::Text(vec!["Weekly [1]."])).await;
        let database_owner = TestApp::start(&[]).await;
        let url = database_owner.db.app_url();
        let (scheme_and_login, address_and_database) = url.split_once('@').expect("a URL with a login");
        let (address, database) = address_and_database.split_once('/').expect("a URL with a database");
        let recorder = StatementRecorder::start_proxy(address);
        let url = format!("{scheme_and_login}@{}/{database}", recorder.address());
        let extra_settings =
            [("DATABASE_URL", url.as_str()), ("LITELLM_BASE_URL", &model.url), ("SERVICE_TYPE", "api")];
        let app = database_owner.start_replica(&extra_settings).await;
        Self { app, recorder, _database_owner: database_owner, _model: model }
    }

    /// Repeats a request until it prepares no more statements, and lists the transactions of the last one.
    async fn list_transactions(&self, request: impl AsyncFn(usize)) -> String {
        for round in 0..12 {
            drop(self.recorder.take().await);
            request(round).await;
            let statements = self.recorder.take().await;
            // Every connection of the pool prepares a statement once.
            if round > 2 && !statements.iter().any(|statement| statement.is_prepare) {
                return format_transactions(statements);
            }
        }
        panic!("after twelve requests, the connections still prepare statements");
    }
}

/// Lists the statements, one per line, after a line with the number of round trips and commits.
fn format_transactions(statements: Vec<Statement>) -> String {
    let mut open_transactions: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut transactions = Vec::new();
    for Statement { connection, sql, .. } in statements {
        let transaction = open_transactions.entry(connection).or_default();
        transaction.push(verb_and_table(&sql));
        if ["COMMIT", "ROLLBACK"].contains(&sql.as_str()) || transaction[0] != "BEGIN" {
            transactions.extend(open_transactions.remove(&connection));
        }
    }
    assert!(open_transactions.is_empty(), "transactions were left open: {open_transactions:?}");
    transactions
        .retain(|transaction| !transaction.iter().any(|sql| BACKGROUND_WORDS.iter().any(|word| sql.contains(word))));
    // Only the commit of a transaction that has changed something waits for the disk.
    let writes = |transaction: &&Vec<String>| !transaction.iter().all(|sql| is_read(sql));
    let commits = transactions.iter().filter(writes).count();
    let round_trips: usize = transactions.iter().map(Vec::len).sum();
    let mut text = format!("round trips: {round_trips}, commits of changes: {commits}\n");
    for transaction in &transactions {
        writeln!(text, "\n{}", transaction.join("\n")).expect("a string grows");
    }
    text
}

/// The number of round trips, and of commits of changes, in a list of transactions.
fn totals(transactions: &str) -> Vec<usize> {
    let first_line = transactions.lines().next().expect("a line with the totals");
    first_line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
}

fn is_read(statement: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK"].contains(&statement) || statement.starts_with("SELECT")
}

/// The verb of a statement and its first table.
fn verb_and_table(sql: &str) -> String {
    if sql.starts_with("BEGIN") {
        return "BEGIN".to_owned();
    }
    let words: Vec<&str> = sql.split(' ').collect();
    let is_write = |pair: &[&str]| matches!(pair, ["INSERT", "INTO"] | ["DELETE", "FROM"] | ["UPDATE", _]);
    let write_position = words.windows(2).position(is_write);
    let verb = write_position.map_or("SELECT", |index| words[index]);
    match words[write_position.unwrap_or(0)..].windows(2).find(|pair| is_table_reference(pair)) {
        Some(pair) => format!("{verb} {}", pair[1]),
        None => words[..words.len().min(2)].join(" "),
    }
}

fn is_table_reference(pair: &[&str]) -> bool {
    let is_name = pair[1].chars().all(|c| c.is_ascii_lowercase() || c == '_');
    ["FROM", "INTO", "UPDATE", "JOIN"].contains(&pair[0]) && is_name
}

#[tokio::test]
async fn each_request_executes_the_listed_statements() {
    let platform = RecordedPlatform::start().await;
    let user = platform.app.as_user(TENANT_A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let conversation = user.create_conversation().await;
    let chat = platform.list_transactions(async |_| drop(user.chat(&conversation, QUESTION).await)).await;
    insta::assert_snapshot!("chat", chat);
    let conversation = user.create_conversation().await;
    let plant = platform.list_transactions(async |_| drop(user.chat(&conversation, PLANT_QUESTION).await)).await;
    let (totals_of_chat, totals_of_plant) = (totals(&chat), totals(&plant));
    assert!(totals_of_plant[0] <= totals_of_chat[0] + MAX_TAG_SEARCH_STATEMENTS, "{plant}");
    assert_eq!(totals_of_plant[1], totals_of_chat[1], "the search for tags adds no commit: {plant}");
    let search = platform
        .list_transactions(async |_| {
            let found = user.post("/v1/search", &json!({ "query": QUESTION })).await.expect_json(200);
            assert!(!found["results"].as_array().expect("results").is_empty());
        })
        .await;
    insta::assert_snapshot!("search", search);
    let list = platform.list_transactions(async |_| drop(user.get("/v1/documents").await.expect_json(200))).await;
    insta::assert_snapshot!("list", list);
    let upload = platform
        .list_transactions(async |round| {
            let text = format!("note {round}");
            drop(user.upload(&format!("{round}.md"), text.as_bytes(), &[]).await.expect_json(202));
        })
        .await;
    insta::assert_snapshot!("upload", upload);
}
