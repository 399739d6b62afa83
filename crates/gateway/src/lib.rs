//! HTTP and SSE edge.
