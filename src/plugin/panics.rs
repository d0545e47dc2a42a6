//! Panics: one inside a call becomes an error response; any other is reported in the format that Terraform shows.

use super::traces;
use futures_util::FutureExt;
use std::{
    any::Any,
    backtrace::Backtrace,
    future::Future,
    io::Write,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    pin::Pin,
    task::{Context, Poll},
};
use tonic::{
    Status,
    body::Body,
    codegen::{
        Service,
        http::{Request, Response},
    },
    service::Routes,
};
use tracing::Instrument;

tokio::task_local! {
    /// Set during a call, where a panic is caught.
    static IN_CALL: ();
}

/// Replaces Rust's own panic message. Inside a call an error-level log line is enough, because the
/// call's answer carries the rest. Elsewhere the text must begin with `panic: `, which makes Terraform
/// print it with the request to report a crash, logging or not.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        if IN_CALL.try_with(|()| ()).is_ok() {
            // Checked first, because a backtrace takes milliseconds.
            if tracing::enabled!(tracing::Level::ERROR) {
                let backtrace = Backtrace::force_capture();
                tracing::error!(location = %location(info), %backtrace, "panic in a call: {}", message(info.payload()));
            }
        } else {
            let report = report(info, &Backtrace::force_capture());
            let _ = std::io::stderr().write_all(report.as_bytes());
        }
    }));
}

fn report(info: &PanicHookInfo<'_>, backtrace: &Backtrace) -> String {
    let thread = std::thread::current();
    format!(
        "panic: {}\n\nthread {:?} at {}\nterraform-provider-azimage {}\n\n{backtrace}\n",
        message(info.payload()),
        thread.name().unwrap_or("unnamed"),
        location(info),
        env!("CARGO_PKG_VERSION"),
    )
}

fn location(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "an unknown location".to_owned(), ToString::to_string)
}

/// The message of a panic.
pub fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("something that is not text")
}

/// Runs `call` and returns the message of its panic, which is logged and not reported.
pub async fn catch<T>(call: impl Future<Output = T>) -> Result<T, String> {
    let caught = IN_CALL.scope((), AssertUnwindSafe(call).catch_unwind()).await;
    caught.map_err(|payload| message(payload.as_ref()).to_owned())
}

/// All services, with the panics of their calls caught. A service may turn its own panics into a more specific
/// response first; they are logged in either case.
#[derive(Debug, Clone)]
pub struct Guarded(pub Routes);

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = <Routes as Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let span = traces::rpc(&request);
        let answer = self.0.call(request);
        let answer = async {
            catch(answer).await.unwrap_or_else(|panic| {
                let status = Status::internal(format!("the provider panicked: {panic}; this is a bug in it"));
                Ok(status.into_http())
            })
        };
        Box::pin(answer.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_the_message_of_a_panic() {
        assert_eq!(catch(async { 1 }).await, Ok(1));
        assert_eq!(catch(async { panic!("plain") }).await, Err::<(), _>("plain".into()));
        let number = 7;
        assert_eq!(catch(async move { panic!("number {number}") }).await, Err::<(), _>("number 7".into()));
        assert!(
            catch(async { panic::panic_any(7) }).await.is_err_and(|text: String| text.contains("not text"))
        );
    }
}
