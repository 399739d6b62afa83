//! The way into the runtime: one use case per command.

use crate::error::RuntimeError;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::Command;

/// Carries out one kind of command, once the policy gate has authorized and recorded it.
///
/// The use case owns its transactions. Its output goes to the caller; the command declares which facts of it go into
/// the outcome row of the audit log.
#[async_trait]
pub trait UseCase<C: Command>: Send + Sync {
    /// Carries the command out.
    ///
    /// # Errors
    /// If the command is not possible in the present state, or a part that it needs fails.
    async fn execute(&self, command: Authorized<C>) -> Result<C::Output, RuntimeError>;
}

#[cfg(feature = "mocks")]
pub use mock::MockUseCases;

#[cfg(feature = "mocks")]
mod mock {
    use super::{Authorized, Command, RuntimeError, UseCase, async_trait};
    use std::any::{Any, TypeId, type_name};
    use std::collections::HashMap;

    type Handler<C> = Box<dyn Fn(Authorized<C>) -> Result<<C as Command>::Output, RuntimeError> + Send + Sync>;

    /// Use cases with a handler for each command that a test expects. Any other command panics.
    #[derive(Default)]
    pub struct MockUseCases {
        handlers: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    }

    impl MockUseCases {
        /// Use cases without handlers.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Handles commands of type `C`.
        pub fn on<C: Command>(
            &mut self,
            handler: impl Fn(Authorized<C>) -> Result<C::Output, RuntimeError> + Send + Sync + 'static,
        ) -> &mut Self {
            let handler: Handler<C> = Box::new(handler);
            self.handlers.insert(TypeId::of::<C>(), Box::new(handler));
            self
        }
    }

    #[async_trait]
    impl<C: Command> UseCase<C> for MockUseCases {
        #[expect(clippy::panic, reason = "a test that did not expect this command fails here")]
        async fn execute(&self, command: Authorized<C>) -> Result<C::Output, RuntimeError> {
            let handler =
                self.handlers.get(&TypeId::of::<C>()).and_then(|handler| handler.downcast_ref::<Handler<C>>());
            let Some(handler) = handler else { panic!("unexpected command: {}", type_name::<C>()) };
            handler(command)
        }
    }
}
