//! A mock of the gate, for tests of the gateway.

use super::{Authenticate, Execute, Idempotency, KeyStatus, KeyedRequest};
use crate::caller::{Caller, RequestOrigin};
use crate::error::GateError;
use async_trait::async_trait;
use domain::command::Command;
use domain::idempotency::StoredOutcome;
use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;

type Handler<C> = Box<dyn Fn(&Caller, C) -> Result<<C as Command>::Output, GateError> + Send + Sync>;
type AuthenticateHandler = Box<dyn Fn(Option<String>, RequestOrigin) -> Result<Caller, GateError> + Send + Sync>;

/// A gate with handlers defined by a test. A command without a handler panics. Every idempotency key counts as new.
#[derive(Default)]
pub struct MockGate {
    authenticate: Option<AuthenticateHandler>,
    handlers: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl MockGate {
    /// Creates a gate without handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Authenticates callers with `authenticate`.
    pub fn on_authenticate(
        &mut self,
        authenticate: impl Fn(Option<String>, RequestOrigin) -> Result<Caller, GateError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.authenticate = Some(Box::new(authenticate));
        self
    }

    /// Handles commands of type `C` with `handler`, and replaces an earlier handler.
    pub fn on<C: Command>(
        &mut self,
        handler: impl Fn(&Caller, C) -> Result<C::Output, GateError> + Send + Sync + 'static,
    ) -> &mut Self {
        let handler: Handler<C> = Box::new(handler);
        self.handlers.insert(TypeId::of::<C>(), Box::new(handler));
        self
    }
}

#[async_trait]
impl Authenticate for MockGate {
    #[expect(clippy::panic, reason = "a test without a handler must fail")]
    async fn authenticate(&self, bearer: Option<String>, origin: RequestOrigin) -> Result<Caller, GateError> {
        let Some(authenticate) = &self.authenticate else { panic!("unexpected authentication") };
        authenticate(bearer, origin)
    }
}

#[async_trait]
impl<C: Command> Execute<C> for MockGate {
    #[expect(clippy::panic, reason = "a test without a handler for this command must fail")]
    async fn execute(&self, caller: &Caller, command: C) -> Result<C::Output, GateError> {
        let handler = self.handlers.get(&TypeId::of::<C>()).and_then(|handler| handler.downcast_ref::<Handler<C>>());
        let Some(handler) = handler else { panic!("unexpected command: {}", type_name::<C>()) };
        handler(caller, command)
    }
}

#[async_trait]
impl Idempotency for MockGate {
    async fn claim(&self, _: &Caller, _: &KeyedRequest) -> Result<KeyStatus, GateError> {
        Ok(KeyStatus::New)
    }

    async fn complete(&self, _: &Caller, _: &KeyedRequest, _: StoredOutcome) -> Result<(), GateError> {
        Ok(())
    }

    async fn release(&self, _: &Caller, _: &KeyedRequest) -> Result<(), GateError> {
        Ok(())
    }
}
