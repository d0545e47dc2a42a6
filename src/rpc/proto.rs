//! Plugin protocol 5 as generated from `proto/tfplugin5.proto`.

/// Messages, server trait and client of the `tfplugin5` package.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]
pub mod tfplugin5 {
    tonic::include_proto!("tfplugin5");
}
