//! `chat`: asks one question and streams the answer, or holds a conversation.

use super::conversations::latest_conversation_id;
use super::sources::citation_line;
use crate::api::{Client, Event, Problem, RunStream};
use crate::args::ChatArgs;
use crate::error::CliError;
use crate::terminal::{Console, report, spinner, to_single_line};
use indicatif::ProgressBar;
use rustyline::error::ReadlineError;
use serde_json::{Map, Value, json};
use std::io::{IsTerminal as _, Read as _};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// How long to wait after Ctrl-C for a run to start or to end.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(4);

/// Asks the given question or, on a terminal, starts an interactive chat.
///
/// # Errors
/// If the platform cannot be reached or refuses the request, or if the user presses Ctrl-C.
pub async fn run(client: &Client, args: &ChatArgs, console: &mut Console) -> Result<(), CliError> {
    let interrupt = signal(SignalKind::interrupt());
    let interrupt = interrupt.map_err(|error| CliError::failed_locally("cannot listen for Ctrl-C", error))?;
    let question = read_question(args, console)?;
    let (conversation, is_new) = match args.conversation {
        Some(id) => (id.to_string(), false),
        None if args.continue_latest => (latest_conversation_id(client).await?, false),
        None => (begin_conversation(client, args).await?, true),
    };
    let mut chat = Chat { client, args, conversation, console, interrupt };
    let result = match question {
        Some(question) => chat.ask(&question).await,
        None => chat.converse().await,
    };
    if is_new && !matches!(result, Err(CliError::OutputClosed)) {
        let id = &chat.conversation;
        chat.console.note(&format!("continue with: platform chat --conversation {id}"));
    }
    result
}

/// Returns the question from the arguments or from standard input; `None` if standard input is a terminal.
fn read_question(args: &ChatArgs, console: &Console) -> Result<Option<String>, CliError> {
    let stdin = std::io::stdin();
    let question = match &args.message {
        Some(message) => message.clone(),
        None if stdin.is_terminal() && console.is_json() => {
            return Err(CliError::Usage("JSON output requires a MESSAGE or a question on standard input".to_owned()));
        }
        None if stdin.is_terminal() => return Ok(None),
        None => {
            let mut text = String::new();
            let read = stdin.lock().read_to_string(&mut text);
            read.map_err(|error| CliError::failed_locally("cannot read standard input", error))?;
            text
        }
    };
    let question = question.trim();
    if question.is_empty() {
        return Err(CliError::Usage("the question is empty: pass a MESSAGE, or pipe it to standard input".to_owned()));
    }
    Ok(Some(question.to_owned()))
}

async fn begin_conversation(client: &Client, args: &ChatArgs) -> Result<String, CliError> {
    let created = client.post("v1/conversations", &json!({ "team_id": args.team })).await?;
    let id = created["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| CliError::Failed("the platform returned no conversation id".to_owned()))
}

struct Chat<'a> {
    client: &'a Client,
    args: &'a ChatArgs,
    conversation: String,
    console: &'a mut Console,
    interrupt: Signal,
}

/// What has arrived of an answer so far.
#[derive(Default)]
struct Answer {
    run_id: Value,
    content: String,
    citations: Vec<Value>,
    /// Payload of the event `run.finished`.
    end: Map<String, Value>,
}

impl<'a> Chat<'a> {
    /// Reads questions from the terminal and asks them, until the user ends the conversation.
    async fn converse(&mut self) -> Result<(), CliError> {
        let failed = |error: ReadlineError| CliError::failed_locally("cannot read from the terminal", error);
        let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
        self.console.note("Ask a question; Ctrl-C cancels an answer, Ctrl-D ends the conversation.");
        loop {
            match editor.readline("> ") {
                Ok(question) if question.trim().is_empty() => {}
                Ok(question) => {
                    let _remembered = editor.add_history_entry(question.trim());
                    match self.ask(question.trim()).await {
                        // The next question may succeed.
                        Err(error @ CliError::Failed(_)) => report(&error),
                        result => result?,
                    }
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(ReadlineError::Interrupted) => return Err(CliError::Interrupted),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Asks one question and prints the answer.
    async fn ask(&mut self, question: &str) -> Result<(), CliError> {
        let progress = spinner("asking");
        let mut run = self.begin(question).await?;
        let mut answer = Answer::default();
        let result = self.follow(&mut run, &mut answer, &progress).await;
        progress.finish_and_clear();
        match result {
            Err(CliError::Interrupted) => {
                self.stop(&mut run, &mut answer).await?;
                self.show_end(answer)?;
                self.console.note("cancelled");
                Err(CliError::Interrupted)
            }
            Err(CliError::OutputClosed) => {
                // Nobody will read the rest of the answer.
                let _cancelled = run.cancel().await;
                Err(CliError::OutputClosed)
            }
            Err(error) => {
                self.end_line(&answer)?;
                Err(error)
            }
            Ok(()) => self.show_end(answer),
        }
    }

    /// Starts a run. If the user presses Ctrl-C meanwhile, the run may have started on the server, so it is cancelled.
    async fn begin(&mut self, question: &str) -> Result<RunStream<'a>, CliError> {
        let body = self.body(question);
        let mut pending_run = std::pin::pin!(RunStream::begin(self.client, &self.conversation, &body));
        tokio::select! {
            run = &mut pending_run => run,
            _ = self.interrupt.recv() => {
                if let Ok(Ok(run)) = tokio::time::timeout(CANCEL_TIMEOUT, pending_run).await {
                    run.cancel().await?;
                }
                Err(CliError::Interrupted)
            }
        }
    }

    fn body(&self, question: &str) -> Value {
        let ChatArgs { model, retrieval, documents, tags, .. } = self.args;
        let mut body = json!({ "message": question, "model": model, "retrieval": retrieval });
        if !documents.is_empty() {
            body["document_ids"] = json!(documents);
        }
        if !tags.is_empty() {
            body["tags"] = json!(tags);
        }
        body
    }

    /// Handles the events of a run until it ends.
    async fn follow(
        &mut self,
        run: &mut RunStream<'_>,
        answer: &mut Answer,
        progress: &ProgressBar,
    ) -> Result<(), CliError> {
        loop {
            let event = tokio::select! {
                event = run.next() => event?,
                _ = self.interrupt.recv() => return Err(CliError::Interrupted),
            };
            let Some(event) = event else { return Ok(()) };
            match event.name.as_str() {
                "message.delta" => progress.finish_and_clear(),
                "tool.started" => progress.set_message("calling a tool"),
                _ => {}
            }
            self.handle_event(event, answer)?;
        }
    }

    fn handle_event(&mut self, event: Event, answer: &mut Answer) -> Result<(), CliError> {
        let Event { name, data } = event;
        match name.as_str() {
            "run.started" => answer.run_id = data["run_id"].clone(),
            "message.delta" => {
                let text = data["text"].as_str().unwrap_or_default();
                answer.content += text;
                if !self.console.is_json() {
                    self.console.write_chunk(text)?;
                }
            }
            "citation" => answer.citations.push(data),
            "run.finished" => answer.end = data.as_object().cloned().unwrap_or_default(),
            "error" => return Err(error_from_event(data)),
            _ => {}
        }
        Ok(())
    }

    /// Cancels the run on the server, and handles its remaining events.
    async fn stop(&mut self, run: &mut RunStream<'_>, answer: &mut Answer) -> Result<(), CliError> {
        run.cancel().await?;
        let deadline = Instant::now() + CANCEL_TIMEOUT;
        loop {
            let event = tokio::select! {
                event = tokio::time::timeout_at(deadline, run.next()) => event,
                _ = self.interrupt.recv() => return Ok(()),
            };
            match event {
                Ok(Ok(Some(event))) => self.handle_event(event, answer)?,
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) | Err(_) => return Ok(()),
            }
        }
    }

    fn end_line(&mut self, answer: &Answer) -> Result<(), CliError> {
        let is_open = !answer.content.is_empty() && !answer.content.ends_with('\n');
        if is_open && !self.console.is_json() { self.console.line("") } else { Ok(()) }
    }

    fn show_end(&mut self, answer: Answer) -> Result<(), CliError> {
        if self.console.is_json() {
            return self.console.json(&answer.document(&self.conversation));
        }
        self.end_line(&answer)?;
        if !answer.citations.is_empty() {
            self.console.line("")?;
            self.console.heading("Sources:")?;
        }
        for source in &answer.citations {
            self.console.line(&to_single_line(&citation_line(source)))?;
        }
        self.console.flush()?;
        if answer.end.get("degraded") == Some(&Value::Bool(true)) {
            self.console.note("this answer may be incomplete: a part of the platform was unavailable");
        }
        Ok(())
    }
}

impl Answer {
    /// The answer as one JSON document.
    fn document(self, conversation: &str) -> Value {
        let mut document = self.end;
        document.insert("conversation_id".to_owned(), json!(conversation));
        document.insert("run_id".to_owned(), self.run_id);
        document.insert("content".to_owned(), json!(self.content));
        document.insert("citations".to_owned(), json!(self.citations));
        Value::Object(document)
    }
}

fn error_from_event(mut data: Value) -> CliError {
    match serde_json::from_value::<Problem>(data["problem"].take()) {
        Ok(problem) => problem.into_error(),
        Err(_) => CliError::Failed("the platform interrupted the answer".to_owned()),
    }
}
