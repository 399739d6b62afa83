//! Generates the gate from the list of operations. The type of a command selects its use case.

use domain::command::Command;
use runtime::use_case::UseCase;
use std::sync::Arc;

/// Provides the use case of a command.
pub(crate) trait Provides<C: Command> {
    /// Use case that executes the command.
    fn use_case(&self) -> Arc<dyn UseCase<C>>;
}

/// Defines the parts of the gate from the list of operations. Policy itself implements the use cases of the commands
/// after `policy`.
/// - one trait per group, implemented by every type that has the use cases of all commands of the group;
/// - `UseCases`, a struct with one trait object per group, and the mapping from commands to groups;
/// - `Gate`, implemented by every type that authenticates callers and executes all commands;
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
            /// Uses `all` for every group.
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
