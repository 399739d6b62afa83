//! The platform's vocabulary: ids, scopes, commands, ports. No I/O.
