//! The provider: its block, and the lists that register all of its types.

mod config;
mod configure;
#[cfg(feature = "emulator")]
mod emulated;
mod environment;
mod run;

use async_trait::async_trait;

use crate::azure::context::scope;
use crate::azure::{Context, fault};
use crate::framework::action::AnyAction;
use crate::framework::data_source::AnyDataSource;
use crate::framework::list::AnyListResource;
use crate::framework::resource::AnyResource;
use crate::framework::{self, Function, Op};
use crate::schema::{Body, Diagnostics, Model, Slot, Value};
use crate::{actions, data_sources, functions, list_resources, resources};

pub use config::{Config, EmulatorSettings};

/// The provider `azimage`.
pub struct Provider;

#[async_trait]
impl framework::Provider for Provider {
    type Context = Context;

    fn body(&self) -> Body {
        <Config as Model>::body()
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource<Context>>> {
        resources::all()
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource<Context>>> {
        data_sources::all()
    }

    fn list_resources(&self) -> Vec<Box<dyn AnyListResource<Context>>> {
        list_resources::all()
    }

    fn actions(&self) -> Vec<Box<dyn AnyAction<Context>>> {
        actions::all()
    }

    fn functions(&self) -> Vec<Box<dyn Function>> {
        functions::all()
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        config::validate(config, found);
    }

    async fn check(&self, context: &Context, op: &Op, found: &mut Diagnostics) {
        let scope = scope(op, "signing in");
        if let Err(error) = context.client.sign_in(&scope).await {
            found.push(fault::bare(&error, scope.what()));
        }
    }

    fn configure(&self, config: &Value, terraform_version: &str, found: &mut Diagnostics) -> Option<Context> {
        let env = |name: &str| std::env::var(name).ok();
        configure::configure(Config::decode(config), &env, terraform_version, found)
    }
}
