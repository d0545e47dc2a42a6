//! Failures: an error or a panic becomes a diagnostic in the response and does not end the process.

use std::future::Future;

use tonic::{Response, Status};

use super::convert::diagnostics;
use super::proto::tfplugin5 as pb;
use crate::plugin::{panics, traces};
use crate::schema::{Diagnostic, Diagnostics};

/// A response that can report a failure.
pub trait Answer: Default {
    /// A response with only the diagnostics `found`.
    fn failed(found: Diagnostics) -> Self;
}

/// Runs `work` and converts its errors and panics into diagnostics about `what`.
pub async fn guarded<T: Answer>(
    what: &str,
    work: impl Future<Output = Result<T, Diagnostics>>,
) -> Result<Response<T>, Status> {
    traces::about(what);
    let caught = panics::catch(work).await;
    if !matches!(caught, Ok(Ok(_))) {
        traces::failed();
    }
    let answer = match caught {
        Ok(Ok(answer)) => answer,
        Ok(Err(found)) => T::failed(found),
        Err(panic) => T::failed(panicked(what, &panic)),
    };
    Ok(Response::new(answer))
}

/// The end of the summary of a diagnostic that reports a panic.
pub const BUG: &str = "the provider has a bug";

/// The diagnostic for a panic in the work on `what`.
pub fn panicked(what: &str, panic: &str) -> Diagnostics {
    Diagnostic::error(
        format!("{what}: {BUG}"),
        format!(
            "It panicked: {panic}. Nothing is lost: run terraform plan to see the current state. \
             Please report this with the output of TF_LOG=debug."
        ),
    )
    .into()
}

macro_rules! answers {
    ($($module:ident),* $(,)?) => {$(
        impl Answer for pb::$module::Response {
            #[allow(clippy::needless_update)] // some responses have no other field
            fn failed(found: Diagnostics) -> Self {
                Self { diagnostics: diagnostics(found), ..Default::default() }
            }
        }
    )*};
}

answers!(
    apply_resource_change,
    configure,
    generate_resource_config,
    get_provider_schema,
    import_resource_state,
    move_resource_state,
    plan_action,
    plan_resource_change,
    prepare_provider_config,
    read_data_source,
    read_resource,
    upgrade_resource_identity,
    upgrade_resource_state,
    validate_action_config,
    validate_data_source_config,
    validate_list_resource_config,
    validate_resource_type_config,
);

impl Answer for pb::call_function::Response {
    fn failed(found: Diagnostics) -> Self {
        let text =
            found.into_iter().map(|d| format!("{}. {}", d.summary, d.detail)).collect::<Vec<_>>().join(" ");
        pb::call_function::Response {
            result: None,
            error: Some(pb::FunctionError { text, function_argument: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panic_becomes_a_diagnostic() {
        let answer = guarded::<pb::configure::Response>("Configure", async { panic!("oh {}", 1) }).await;
        let found = answer.unwrap().into_inner().diagnostics;
        assert_eq!(found.len(), 1);
        assert!(found[0].summary.ends_with(BUG) && found[0].detail.contains("oh 1"), "{:?}", found[0]);
        assert_eq!(found[0].severity, pb::diagnostic::Severity::Error as i32);
    }
}
