//! The gate's interface, and the macro that generates it from the list of operations. The type of a command selects its
//! use case.

use crate::caller::{Caller, RequestOrigin};
use crate::error::GateError;
use async_trait::async_trait;
use domain::command::Command;
use runtime::use_case::UseCase;
use std::sync::Arc;

/// Authenticates callers by bearer token.
#[async_trait]
pub trait Authenticate: Send + Sync {
    /// Verifies a bearer token (RFC 6750) and finds its user. Creates the user on the first login.
    async fn authenticate(&self, bearer: Option<String>, origin: RequestOrigin) -> Result<Caller, GateError>;
}

/// Executes one type of command. [`crate::gate::PolicyGate`] implements this for every command.
#[async_trait]
pub trait Execute<C: Command>: Send + Sync {
    /// Decides (user and tenant active, role, ownership, clearance), records the intent, runs the use case and records
    /// the outcome. A refusal is recorded too. If the intent cannot be recorded, the use case does not run.
    ///
    /// The work continues if the future is dropped, so that the outcome is recorded even if the client disconnects.
    ///
    /// # Errors
    /// If the command is refused, the audit log cannot be written, or the use case fails.
    async fn execute(&self, caller: &Caller, command: C) -> Result<C::Output, GateError>;
}

/// Maps a command type to its use case.
pub(crate) trait HasUseCase<C: Command> {
    /// Use case that executes the command.
    fn use_case(&self) -> Arc<dyn UseCase<C>>;
}

/// Defines the parts of the gate from the list of operations:
/// - one trait per group, implemented by every type that has the use cases of all commands of the group;
/// - `UseCases`, a struct with one trait object per group, and the mapping from commands to groups;
/// - `Gate`, implemented by every type that authenticates callers and executes all commands;
/// - `EVENTS`, the audit events of all commands.
macro_rules! operations {
    (
        $($(#[$doc:meta])* $field:ident: $group:ident { $($command:ident),+ $(,)? })+
    ) => {
        $(
            $(#[$doc])*
            pub trait $group: $(UseCase<$command> +)+ Send + Sync {}
            impl<T> $group for T where T: $(UseCase<$command> +)+ Send + Sync {}
        )+

        /// The use cases behind the gate, by group.
        #[derive(Clone)]
        pub struct UseCases {
            $($(#[$doc])* pub $field: Arc<dyn $group>,)+
        }

        impl UseCases {
            /// Creates the struct with `all` as the implementation of every group.
            #[must_use]
            pub fn new<T: $($group +)+ 'static>(all: T) -> Self {
                let all = Arc::new(all);
                Self { $($field: Arc::clone(&all) as Arc<dyn $group>,)+ }
            }
        }

        $($(
            impl HasUseCase<$command> for UseCases {
                fn use_case(&self) -> Arc<dyn UseCase<$command>> {
                    Arc::clone(&self.$field) as Arc<dyn UseCase<$command>>
                }
            }
        )+)+

        /// The only way from the gateway to the runtime: authenticates callers and executes all commands.
        pub trait Gate: Authenticate + Idempotency $($(+ Execute<$command>)+)+ {}
        impl<T> Gate for T where T: Authenticate + Idempotency $($(+ Execute<$command>)+)+ {}

        /// The audit events of all commands, for intents and outcomes, in the order of the list. May contain
        /// duplicates.
        pub const EVENTS: &[EventType] = &[
            $($(<$command as Command>::EVENT, <$command as Command>::OUTCOME_EVENT,)+)+
        ];
    };
}
pub(crate) use operations;
