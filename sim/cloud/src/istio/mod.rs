//! Istio's own decisions, as pure functions and small state machines: what is read goes in,
//! what is decided comes out.
//!
//! Must never know the event queue, where chance comes from (draws are handed in), or how a
//! request travels: each file can be held against its original on its own.

pub mod ambient;
pub mod authentication;
pub mod authorization;
pub mod certificate;
pub mod config;
pub mod debounce;
pub mod distribution;
pub mod drain;
pub mod host;
pub mod jwks;
pub mod locality;
pub mod machine;
pub mod network;
pub mod protocol;
pub mod push;
pub mod queue;
pub mod range;
pub mod readiness;
pub mod registration;
pub mod stream;
pub mod translate;
pub mod version;
pub mod webhook;
