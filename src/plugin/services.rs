//! The services that a host expects besides the provider: controller, broker, stdio and health.

use super::{
    lifetime::Lifetime,
    proto::{
        health::{
            HealthCheckRequest, HealthCheckResponse,
            health_check_response::ServingStatus,
            health_server::{Health, HealthServer},
        },
        plugin::{
            ConnInfo, Empty, StdioData,
            grpc_broker_server::{GrpcBroker, GrpcBrokerServer},
            grpc_controller_server::{GrpcController, GrpcControllerServer},
            grpc_stdio_server::{GrpcStdio, GrpcStdioServer},
        },
    },
};
use futures_util::{FutureExt, StreamExt, future::ready, stream};
use std::future::Future;
use tonic::{Request, Response, Status, Streaming, async_trait, codegen::BoxStream, service::Routes};

/// Adds the four services to the provider's own.
pub fn add_to(routes: Routes, lifetime: &Lifetime) -> Routes {
    routes
        .add_service(GrpcControllerServer::new(Controller(lifetime.clone())))
        .add_service(GrpcBrokerServer::new(Broker(lifetime.clone())))
        .add_service(GrpcStdioServer::new(Stdio(lifetime.clone())))
        .add_service(HealthServer::new(Healthy(lifetime.clone())))
}

/// Ends the process on request. The response is still sent, because running calls are completed.
struct Controller(Lifetime);

#[async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        tracing::debug!("the host requested shutdown");
        self.0.end();
        Ok(Response::new(Empty {}))
    }
}

/// Reads the host's connection offers and never answers: a provider needs no second connection, and the host would
/// read an echo as an offer.
struct Broker(Lifetime);

#[async_trait]
impl GrpcBroker for Broker {
    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        let mut offers = request.into_inner();
        let ended = self.0.ended();
        Ok(Response::new(silent_until(async move {
            tokio::select! {
                () = async { while let Some(Ok(_)) = offers.next().await {} } => {}
                () = ended.cancelled() => {}
            }
        })))
    }
}

/// Open and silent, because the host logs every byte as unexpected.
struct Stdio(Lifetime);

#[async_trait]
impl GrpcStdio for Stdio {
    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<BoxStream<StdioData>>, Status> {
        Ok(Response::new(silent_until(self.0.ended().cancelled_owned())))
    }
}

/// The process is healthy as long as it can answer.
struct Healthy(Lifetime);

/// The service name that the host checks; the empty name means the whole process.
const SERVED: [&str; 2] = ["plugin", ""];

#[async_trait]
impl Health for Healthy {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if SERVED.contains(&service.as_str()) {
            Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
        } else {
            Err(Status::not_found(format!("there is no service {service:?} here; ask for \"plugin\"")))
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckResponse>>, Status> {
        let served = SERVED.contains(&request.into_inner().service.as_str());
        let status = if served { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        let first = stream::once(ready(Ok(HealthCheckResponse { status: status.into() })));
        Ok(Response::new(first.chain(silent_until(self.0.ended().cancelled_owned())).boxed()))
    }
}

/// A stream without items that ends when `end` does.
fn silent_until<T: Send + 'static>(end: impl Future<Output = ()> + Send + 'static) -> BoxStream<T> {
    end.into_stream().filter_map(|()| ready(None)).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health_request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    #[tokio::test]
    async fn health_reports_only_the_plugin_service() {
        let health = Healthy(Lifetime::for_tests());
        for (service, serving) in [("plugin", true), ("", true), ("tfplugin5.Provider", false), ("x", false)]
        {
            match health.check(health_request(service)).await {
                Ok(response) => {
                    assert!(serving, "{service}");
                    assert_eq!(response.into_inner().status(), ServingStatus::Serving);
                }
                Err(status) => {
                    assert!(!serving, "{service}");
                    assert_eq!(status.code(), tonic::Code::NotFound);
                }
            }
        }
    }

    #[tokio::test]
    async fn watching_yields_one_status_and_ends_with_the_process() {
        for (service, status) in [("plugin", ServingStatus::Serving), ("x", ServingStatus::ServiceUnknown)] {
            let lifetime = Lifetime::for_tests();
            let mut watch =
                Healthy(lifetime.clone()).watch(health_request(service)).await.unwrap().into_inner();
            assert_eq!(watch.next().await.unwrap().unwrap().status(), status);
            assert!(watch.next().now_or_never().is_none());
            lifetime.ended().cancel();
            assert!(watch.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn stdio_is_silent_until_the_end() {
        let lifetime = Lifetime::for_tests();
        let mut stdio = Stdio(lifetime.clone()).stream_stdio(Request::new(())).await.unwrap().into_inner();
        assert!(stdio.next().now_or_never().is_none());
        lifetime.ended().cancel();
        assert!(stdio.next().await.is_none());
    }
}
