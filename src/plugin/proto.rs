//! The services of every plugin process besides its own, as generated from `proto/plugin` and `proto/grpc`.

/// Controller, broker and stdio.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]
pub mod plugin {
    tonic::include_proto!("plugin");
}

/// The gRPC health check.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
