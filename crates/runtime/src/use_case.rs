//! Interface of the runtime: one use case per command.

use crate::error::RuntimeError;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::Command;

/// Executes one type of command, after the policy gate has authorized and recorded it.
///
/// The use case manages its own transactions. Its output is returned to the caller; the command type defines which
/// parts of it are written to the outcome row of the audit log.
#[async_trait]
pub trait UseCase<C: Command>: Send + Sync {
    /// Executes the command.
    ///
    /// # Errors
    /// If the command conflicts with the current state, or a dependency fails.
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

    /// A mock of all use cases. A test sets a handler for each command that it expects; other commands panic.
    #[derive(Default)]
    pub struct MockUseCases {
        handlers: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    }

    impl MockUseCases {
        /// Creates a mock without handlers.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Handles commands of type `C` with `handler`, and replaces an earlier handler.
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
