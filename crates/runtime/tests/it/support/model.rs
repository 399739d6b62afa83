//! A chat model that follows a script and records its requests.

use async_trait::async_trait;
use domain::conversation::Message;
use domain::ids::ConversationId;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelTier, ModelToolCall};
use domain::model_call::{FailedAttempt, MicroCost, ModelCaller, Price, ServedBy};
use domain::ports::{ChatModel, Store as _};
use domain::role::Classification;
use domain::run::{FinishReason, TokenUsage};
use domain::scope::TenantScope;
use fakes::InMemoryStore;
use futures::{StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// No backend answers. Must be the only step of its script.
    NoBackend,
    Text(&'static str),
    Call {
        id: &'static str,
        name: &'static str,
        arguments: &'static str,
    },
    Finish,
    Interrupt,
    Hang,
    Panic,
}

pub struct ScriptedModel {
    store: InMemoryStore,
    scope: TenantScope,
    conversation: ConversationId,
    replies: Mutex<VecDeque<Vec<Step>>>,
    requests: Mutex<Vec<ChatRequest>>,
    messages_at_last_request: Mutex<Vec<Message>>,
    open_transactions: Arc<Mutex<Vec<usize>>>,
    /// Whether this is a language model and not the extractive answerer. Initially `true`.
    pub is_language_model: AtomicBool,
    /// Whether the heavy tier is served. Initially `true`.
    pub serves_heavy: AtomicBool,
    /// Price of the model, if it is known in advance.
    pub price: Mutex<Option<Price>>,
    /// The highest classification that the model may see. Initially `restricted`.
    pub max_input_classification: Mutex<Classification>,
}

impl ScriptedModel {
    pub fn new(
        store: InMemoryStore,
        scope: TenantScope,
        conversation: ConversationId,
        replies: impl IntoIterator<Item = Vec<Step>>,
    ) -> Arc<Self> {
        let replies = Mutex::new(replies.into_iter().collect());
        let (requests, stored, open_transactions) = (Mutex::default(), Mutex::default(), Arc::default());
        let (generative, heavy) = (AtomicBool::new(true), AtomicBool::new(true));
        let (price, highest) = (Mutex::default(), Mutex::new(Classification::Restricted));
        Arc::new(Self {
            store,
            scope,
            conversation,
            replies,
            requests,
            messages_at_last_request: stored,
            open_transactions,
            is_language_model: generative,
            serves_heavy: heavy,
            price,
            max_input_classification: highest,
        })
    }

    /// Returns the requests so far, in order.
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().expect("no panic under the lock").clone()
    }

    /// Returns the messages of the conversation as they were stored at the time of the last request.
    pub fn messages_at_last_request(&self) -> Vec<Message> {
        self.messages_at_last_request.lock().expect("no panic under the lock").clone()
    }

    /// Returns the number of open transactions at each request and each delta.
    pub fn open_transactions(&self) -> Vec<usize> {
        self.open_transactions.lock().expect("no panic under the lock").clone()
    }
}

#[async_trait]
impl ChatModel for ScriptedModel {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        let (store, counts) = (self.store.clone(), Arc::clone(&self.open_transactions));
        let record_open_transactions =
            move || counts.lock().expect("no panic under the lock").push(store.open_transactions());
        record_open_transactions();
        let mut tx = self.store.begin(&self.scope).await.expect("in memory");
        let messages = tx.messages().newest(self.conversation, 100).await.expect("in memory");
        drop(tx);
        *self.messages_at_last_request.lock().expect("no panic under the lock") = messages;
        self.requests.lock().expect("no panic under the lock").push(request);
        let steps = self.replies.lock().expect("no panic under the lock").pop_front().expect("a reply in the script");
        if matches!(steps.as_slice(), [Step::NoBackend]) {
            let last = Box::new(ModelError::Timeout { backend: "second".to_owned(), waited_s: 9 });
            let failed = |backend: &str, error: &str| FailedAttempt { backend: backend.into(), error: error.into() };
            return Err(ModelError::Exhausted {
                attempts: vec![failed("first", "refused"), failed("second", "timeout")],
                last,
            });
        }
        let price = self.price.lock().expect("no panic under the lock").unwrap_or_default();
        let served_by = ServedBy { price, ..ServedBy::embedded("scripted", "script-1") };
        Ok(ChatStream {
            served_by,
            deltas: stream::iter(steps).inspect(move |_| record_open_transactions()).then(delta).boxed(),
        })
    }

    fn is_language_model(&self) -> bool {
        self.is_language_model.load(Ordering::Relaxed)
    }

    fn is_configured(&self, tier: ModelTier) -> bool {
        tier == ModelTier::Fast || self.serves_heavy.load(Ordering::Relaxed)
    }

    fn highest_price(&self, _: ModelTier, _: &ModelCaller) -> Option<Price> {
        *self.price.lock().expect("no panic under the lock")
    }

    fn max_input_classification(&self, _: ModelTier, _: &ModelCaller) -> Classification {
        *self.max_input_classification.lock().expect("no panic under the lock")
    }
}

async fn delta(step: Step) -> Result<ChatDelta, ModelError> {
    match step {
        Step::Text(text) => Ok(ChatDelta::Text(text.to_owned())),
        Step::Call { id, name, arguments } => {
            let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
            Ok(ChatDelta::ToolCall(ModelToolCall { id, name, arguments }))
        }
        Step::Finish => {
            let usage = TokenUsage { input_tokens: 100, output_tokens: 7 };
            Ok(ChatDelta::Finished { reason: FinishReason::Stop, usage, tokens_estimated: false, cost: MicroCost(9) })
        }
        Step::Interrupt => {
            Err(ModelError::Interrupted { backend: "scripted".to_owned(), reason: "as the script says".to_owned() })
        }
        Step::Hang => std::future::pending().await,
        Step::NoBackend => unreachable!("it is the only step of its script"),
        Step::Panic => panic!("as the script says"),
    }
}
