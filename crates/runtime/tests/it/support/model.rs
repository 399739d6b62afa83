//! A model that says what a script tells it, and remembers what it was asked.

use async_trait::async_trait;
use domain::conversation::Message;
use domain::ids::ConversationId;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelTier, ModelToolCall};
use domain::model_call::{FailedAttempt, MicroCost, ModelCaller, Price, ServedBy};
use domain::ports::{ChatModel, Store as _};
use domain::role::Classification;
use domain::run::{FinishReason, TokenUsage};
use domain::scope::TenantScope;
use fakes::MemoryStore;
use futures::{StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One thing that the model does.
#[derive(Clone, Debug)]
pub enum Step {
    /// No backend begins to answer: stands by itself.
    Refuse,
    Text(&'static str),
    Call {
        id: &'static str,
        name: &'static str,
        arguments: &'static str,
    },
    Finish,
    BreakOff,
    Hang,
    Panic,
}

pub struct ScriptedModel {
    store: MemoryStore,
    scope: TenantScope,
    conversation: ConversationId,
    replies: Mutex<VecDeque<Vec<Step>>>,
    requests: Mutex<Vec<ChatRequest>>,
    stored: Mutex<Vec<Message>>,
    /// Whether it writes, rather than quotes; it does unless told.
    pub generative: AtomicBool,
    /// Whether there is one for hard questions; there is unless told.
    pub heavy: AtomicBool,
    /// What it asks, if that is known beforehand.
    pub price: Mutex<Option<Price>>,
    /// What it may see; everything unless told.
    pub highest: Mutex<Classification>,
}

impl ScriptedModel {
    pub fn new(
        store: MemoryStore,
        scope: TenantScope,
        conversation: ConversationId,
        replies: impl IntoIterator<Item = Vec<Step>>,
    ) -> Arc<Self> {
        let replies = Mutex::new(replies.into_iter().collect());
        let (requests, stored) = (Mutex::default(), Mutex::default());
        let (generative, heavy) = (AtomicBool::new(true), AtomicBool::new(true));
        let (price, highest) = (Mutex::default(), Mutex::new(Classification::Restricted));
        Arc::new(Self { store, scope, conversation, replies, requests, stored, generative, heavy, price, highest })
    }

    /// What it was asked, in order.
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().expect("no panic under the lock").clone()
    }

    /// The conversation as stored when it was called last.
    pub fn stored(&self) -> Vec<Message> {
        self.stored.lock().expect("no panic under the lock").clone()
    }
}

#[async_trait]
impl ChatModel for ScriptedModel {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        let mut tx = self.store.begin(&self.scope).await.expect("in memory");
        let stored = tx.messages().newest(self.conversation, 100).await.expect("in memory");
        *self.stored.lock().expect("no panic under the lock") = stored;
        self.requests.lock().expect("no panic under the lock").push(request);
        let steps = self.replies.lock().expect("no panic under the lock").pop_front().expect("a reply in the script");
        if matches!(steps.as_slice(), [Step::Refuse]) {
            let last = Box::new(ModelError::Timeout { backend: "second".to_owned(), waited_s: 9 });
            let tried = |backend: &str, error: &str| FailedAttempt { backend: backend.into(), error: error.into() };
            return Err(ModelError::Exhausted {
                tried: vec![tried("first", "refused"), tried("second", "timeout")],
                last,
            });
        }
        let price = self.price.lock().expect("no panic under the lock").unwrap_or_default();
        let served_by = ServedBy { price, ..ServedBy::embedded("scripted", "script-1") };
        Ok(ChatStream { served_by, deltas: stream::iter(steps).then(carry_out).boxed() })
    }

    fn is_generative(&self) -> bool {
        self.generative.load(Ordering::Relaxed)
    }

    fn has(&self, tier: ModelTier) -> bool {
        tier == ModelTier::Fast || self.heavy.load(Ordering::Relaxed)
    }

    fn highest_price(&self, _: ModelTier, _: &ModelCaller) -> Option<Price> {
        *self.price.lock().expect("no panic under the lock")
    }

    fn highest_classification(&self, _: ModelTier, _: &ModelCaller) -> Classification {
        *self.highest.lock().expect("no panic under the lock")
    }
}

async fn carry_out(step: Step) -> Result<ChatDelta, ModelError> {
    match step {
        Step::Text(text) => Ok(ChatDelta::Text(text.to_owned())),
        Step::Call { id, name, arguments } => {
            let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
            Ok(ChatDelta::ToolCall(ModelToolCall { id, name, arguments }))
        }
        Step::Finish => {
            let usage = TokenUsage { input_tokens: 100, output_tokens: 7 };
            Ok(ChatDelta::Finished { reason: FinishReason::Stop, usage, estimated: false, cost: MicroCost(9) })
        }
        Step::BreakOff => {
            Err(ModelError::Interrupted { backend: "scripted".to_owned(), reason: "as the script says".to_owned() })
        }
        Step::Hang => std::future::pending().await,
        Step::Refuse => unreachable!("it stands by itself"),
        Step::Panic => panic!("as the script says"),
    }
}
