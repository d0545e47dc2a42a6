//! A small client for Azure Resource Manager that knows nothing about Terraform.
//!
//! Bottom up: [`transport`] sends one request, over [`http`]; [`retry`] decides, as a pure function, what to do with the
//! response; [`throttle`] keeps the process within the service's request budgets; [`send`] makes the attempts of one call;
//! [`operation`] reads the state of a long-running operation; [`page`] reads lists; [`client`] combines them into `get`,
//! `get_opt`, `list`, `put`, `patch`, `post`, `delete` and `wait`. A [`target`] is a path, its API version comes from
//! [`versions`], and a [`scope`] is the deadline and interrupt signal of one piece of work. Tokens come from [`token`] and
//! [`credentials`].

// An error is created once per failed call, after a network round trip, so its size does not matter.
#![allow(clippy::result_large_err)]

pub mod client;
pub mod clouds;
pub mod credentials;
pub mod duration;
pub mod error;
pub mod failure_memory;
pub mod host_request;
pub mod http;
pub mod id;
pub mod operation;
pub mod page;
pub mod proxy;
pub mod redact;
pub mod region;
pub mod retry;
pub mod retry_after;
pub mod scope;
pub mod secret;
pub mod send;
pub mod target;
pub mod throttle;
pub mod token;
pub mod transport;
pub mod versions;

#[cfg(test)]
mod arbitrary_input_tests;
#[cfg(test)]
mod log_tests;

pub use client::{Accepted, Client};
pub use clouds::{Cloud, CloudSource};
pub use credentials::Credentials;
pub use error::{Error, ErrorDetail, Kind};
pub use http::HttpTransport;
pub use id::ResourceId;
pub use operation::Operation;
pub use scope::Scope;
pub use secret::Secret;
pub use send::Options;
pub use target::Target;
pub use token::{StaticTokens, Tokens};
pub use transport::{Method, Request, Response, Transport, TransportError};
pub use versions::ApiVersion;
