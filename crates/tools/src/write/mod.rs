//! Tools that write to plant systems. They are executed by a worker, once an approval for exactly this call was given.

mod approved_call;
mod error;
mod maintenance;
mod tool;

pub use approved_call::ApprovedCall;
pub use error::WriteError;
pub(crate) use maintenance::name_of;
pub use maintenance::{
    Attribution, MaintenanceSystem, MaintenanceSystems, OrderDraft, RemoteAccess, StoredOrder, check_settings,
};
pub(crate) use tool::ErasedWriteTool;
pub use tool::{PreparedWrite, WriteContext, WriteDraft, WriteTool};
