//! Tests of authentication and the gate with the in-memory store.

#[cfg(test)]
mod access_tokens;
#[cfg(test)]
mod authn;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod export;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod jwks;
#[cfg(test)]
mod models;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shared_transaction;
#[cfg(test)]
mod support;
