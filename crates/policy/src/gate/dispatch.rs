//! How the list of operations becomes a gate: each command finds its use case by its type.

use domain::command::Command;
use runtime::use_case::UseCase;
use std::sync::Arc;

/// Has the use case of a command.
pub(crate) trait Provides<C: Command> {
    /// The use case.
    fn use_case(&self) -> Arc<dyn UseCase<C>>;
}

/// Defines, from the list of operations, what the gate consists of. The commands after `policy` have use cases of
/// policy's own.
/// - one trait per group: whatever carries out all commands of the group;
/// - `UseCases`, a struct with one trait object per group, and which of them carries out which command;
/// - `Gate`, whatever executes all commands;
/// - `EVENTS`, the audit events of all commands.
macro_rules! operations {
    (
        policy { $($own:ident),+ $(,)? }
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
            /// All groups of `all`.
            #[must_use]
            pub fn of<T: $($group +)+ 'static>(all: T) -> Self {
                let all = Arc::new(all);
                Self { $($field: Arc::clone(&all) as Arc<dyn $group>,)+ }
            }
        }

        $($(
            impl Provides<$command> for PolicyGate {
                fn use_case(&self) -> Arc<dyn UseCase<$command>> {
                    Arc::clone(&self.use_cases.$field) as Arc<dyn UseCase<$command>>
                }
            }
        )+)+

        /// The only way from the gateway to the runtime: authenticates callers and executes all commands.
        pub trait Gate: Authenticate + Idempotency $($(+ Execute<$command>)+)+ $(+ Execute<$own>)+ {}
        impl<T> Gate for T where T: Authenticate + Idempotency $($(+ Execute<$command>)+)+ $(+ Execute<$own>)+ {}

        /// The audit events of all commands, intents and outcomes, in the order of the list; some occur twice.
        pub const EVENTS: &[EventType] = &[
            $($(<$command as Command>::EVENT, <$command as Command>::OUTCOME_EVENT,)+)+
            $(<$own as Command>::EVENT, <$own as Command>::OUTCOME_EVENT,)+
        ];
    };
}
pub(crate) use operations;
