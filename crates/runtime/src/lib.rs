//! Use cases: conversations, chat turns, documents, search.
