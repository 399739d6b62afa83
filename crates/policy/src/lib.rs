//! Authentication and the hard gate: decide, audit, grant.
