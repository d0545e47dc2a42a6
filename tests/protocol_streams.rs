//! The calls with a streamed response, over gRPC with the built binary: listing resources and running actions.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/plugin_client.rs"]
mod plugin_client;

use azimage::rpc::proto::tfplugin5::{
    self as pb, DynamicValue, configure, get_metadata, get_provider_schema, invoke_action, list_resource,
    plan_action, provider_client::ProviderClient, validate_action_config, validate_list_resource_config,
};
use azimage::schema::{Value, msgpack};
use azimage::{framework::Server, provider::Provider};
use plugin_client::{Launch, Plugin, connect};
use serde_json::{Value as Json, json};
use std::path::Path;
use tempfile::TempDir;
use tonic::transport::Channel;

const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");
const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute";

/// One host's connection to a provider process, and the emulator in its configuration.
struct Host {
    _dir: TempDir,
    _plugin: Option<Plugin>,
    provider: ProviderClient<Channel>,
    server: Server<Provider>,
}

impl Host {
    /// Starts a process with this many galleries.
    async fn start(galleries: usize) -> Host {
        let plugin = Launch::new(BINARY).start().await;
        let mut host = Host::connect(plugin.channel().await, galleries, 0).await;
        host._plugin = Some(plugin);
        host
    }

    /// Connects to a running process.
    async fn connect(channel: Channel, galleries: usize, time_scale: usize) -> Host {
        let dir = TempDir::new().unwrap();
        let state = dir.path().join("state.json");
        let emulator = azimage::emulator::Emulator::open(&state).unwrap();
        let put = |path: String, body: &str| {
            let request = azimage::emulator::Request {
                method: "PUT".to_owned(),
                url: path,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            };
            let answer = emulator.handle(&request, time::OffsetDateTime::now_utc());
            assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
        };
        put("/_emulator/settings".to_owned(), r#"{"time_scale":0}"#);
        for number in (0..galleries).rev() {
            put(
                format!("{GROUP}/galleries/gal{number:03}?api-version=2026-03-03"),
                r#"{"location":"eastus"}"#,
            );
        }
        put("/_emulator/settings".to_owned(), &format!(r#"{{"time_scale":{time_scale}}}"#));
        drop(emulator);
        let mut provider = ProviderClient::new(channel);
        let server = Server::new(Provider);
        let block = json!({"environment": "emulator", "emulator": {"state_path": state}});
        let request = configure::Request {
            terraform_version: "1.15.5".to_owned(),
            config: dynamic(&block, server.ty()),
            ..configure::Request::default()
        };
        let answer = provider.configure(request).await.unwrap().into_inner();
        assert!(answer.diagnostics.iter().all(|found| found.severity != 1), "{answer:?}");
        Host { _dir: dir, _plugin: None, provider, server }
    }

    async fn list(&mut self, config: Json, with_resource: bool, limit: i64) -> Vec<list_resource::Event> {
        let ty = self.server.list_resource("azimage_gallery").unwrap().ty();
        let request = list_resource::Request {
            type_name: "azimage_gallery".to_owned(),
            config: dynamic(&config, ty),
            include_resource_object: with_resource,
            limit,
        };
        let mut events = self.provider.list_resource(request).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(event) = events.message().await.unwrap() {
            all.push(event);
        }
        all
    }

    async fn invoke(&mut self, name: &str, config: Json) -> Vec<invoke_action::Event> {
        let config = self.server.action(name).ok().and_then(|entry| dynamic(&config, entry.ty()));
        let request =
            invoke_action::Request { action_type: name.to_owned(), config, client_capabilities: None };
        let mut events = self.provider.invoke_action(request).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(event) = events.message().await.unwrap() {
            all.push(event);
        }
        all
    }
}

fn dynamic(config: &Json, ty: &azimage::schema::Type) -> Option<DynamicValue> {
    let value = azimage::schema::json::decode(config, ty).unwrap();
    Some(DynamicValue { msgpack: msgpack::encode(&value, ty), json: Vec::new() })
}

fn machine(name: &str) -> String {
    format!("{GROUP}/virtualMachines/{name}")
}

#[tokio::test]
async fn schema_and_metadata_name_list_resources_and_actions() {
    let mut host = Host::start(0).await;
    let schema = host.provider.get_schema(get_provider_schema::Request {}).await.unwrap().into_inner();
    let metadata = host.provider.get_metadata(get_metadata::Request {}).await.unwrap().into_inner();
    let listed: Vec<&String> = schema.list_resource_schemas.keys().collect();
    assert_eq!(metadata.list_resources.iter().map(|list| &list.type_name).collect::<Vec<_>>(), listed);
    assert!(listed.iter().all(|name| schema.resource_schemas.contains_key(*name)), "{listed:?}");
    assert!(listed.iter().any(|name| *name == "azimage_image_version"));
    assert!(schema.action_schemas["azimage_generalize"].schema.is_some());
    assert!(metadata.actions.iter().any(|action| action.type_name == "azimage_generalize"));
}

#[tokio::test]
async fn lists_in_order_up_to_the_limit_with_state_only_on_request() {
    let mut host = Host::start(30).await;
    let all = host.list(json!({}), false, 100).await;
    let names: Vec<&str> = all.iter().map(|event| event.display_name.as_str()).collect();
    assert_eq!(names, (0..30).map(|number| format!("gal{number:03}")).collect::<Vec<_>>());
    assert!(all.iter().all(|event| event.identity.is_some() && event.resource_object.is_none()));
    assert!(
        all.iter().all(|event| event.diagnostic.is_empty()),
        "a warning would make Terraform drop events"
    );

    let some = host.list(json!({"name_regex": "1$"}), true, 2).await;
    assert_eq!(
        some.iter().map(|event| event.display_name.as_str()).collect::<Vec<_>>(),
        ["gal001", "gal011"]
    );
    let ty = host.server.resource("azimage_gallery").unwrap().ty();
    let state = some[0].resource_object.as_ref().unwrap();
    let state = msgpack::decode(&state.msgpack, ty).unwrap();
    assert_eq!(state.get("location"), &Value::string("eastus"));
    assert!(host.list(json!({}), true, 0).await.is_empty());
    let other = host.list(json!({"resource_group_name": "other"}), true, 100).await;
    assert!(matches!(&other[..], [event] if event.diagnostic[0].detail.contains("ResourceGroupNotFound")));
}

#[tokio::test]
async fn list_stops_when_the_host_disconnects() {
    let mut host = Host::start(30).await;
    let request = list_resource::Request {
        type_name: "azimage_gallery".to_owned(),
        config: None,
        include_resource_object: true,
        limit: 100,
    };
    let mut events = host.provider.list_resource(request).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());
    drop(events);
    assert_eq!(host.list(json!({}), false, 100).await.len(), 30, "the process keeps running");
}

#[tokio::test]
async fn wrong_names_and_configurations_return_diagnostics() {
    let mut host = Host::start(0).await;
    let request = list_resource::Request { type_name: "azimage_nothing".to_owned(), ..Default::default() };
    let mut events = host.provider.list_resource(request).await.unwrap().into_inner();
    let event = events.message().await.unwrap().unwrap();
    assert!(event.diagnostic[0].summary.contains("azimage_nothing"), "{event:?}");

    let ty = host.server.list_resource("azimage_gallery").unwrap().ty().clone();
    let request = validate_list_resource_config::Request {
        type_name: "azimage_gallery".to_owned(),
        config: dynamic(&json!({"name_regex": "("}), &ty),
        include_resource_object: None,
        limit: None,
    };
    let answer = host.provider.validate_list_resource_config(request).await.unwrap().into_inner();
    assert!(answer.diagnostics[0].detail.contains("regular expression"), "{answer:?}");

    let ty = host.server.action("azimage_generalize").unwrap().ty().clone();
    let config = || dynamic(&json!({"virtual_machine_id": "vm"}), &ty);
    let request =
        validate_action_config::Request { type_name: "azimage_generalize".to_owned(), config: config() };
    let answer = host.provider.validate_action_config(request).await.unwrap().into_inner();
    assert_eq!(answer.diagnostics.len(), 1, "{answer:?}");
    let request = plan_action::Request {
        action_type: "azimage_generalize".to_owned(),
        config: config(),
        client_capabilities: None,
    };
    let answer = host.provider.plan_action(request).await.unwrap().into_inner();
    let text = format!("{} {}", answer.diagnostics[0].summary, answer.diagnostics[0].detail);
    assert!(text.contains("virtual_machine_id"), "{text}");

    let events = host.invoke("azimage_nothing", json!({})).await;
    assert!(matches!(&completed(&events)[..], [found] if found.summary.contains("azimage_nothing")));
}

#[tokio::test]
async fn action_reports_progress_and_completion() {
    let mut host = Host::start(1).await;
    let config = json!({"virtual_machine_id": machine("golden-vm")});
    let events = host.invoke("azimage_generalize", config.clone()).await;
    assert!(completed(&events).is_empty(), "{events:?}");
    let progress = progress(&events);
    assert!(progress.starts_with("deallocating the virtual machine"), "{progress}");
    assert!(progress.contains("marking the virtual machine as generalized"), "{progress}");
    let again = host.invoke("azimage_generalize", config).await;
    assert!(completed(&again).is_empty());

    let events = host.invoke("azimage_generalize", json!({"virtual_machine_id": machine("none")})).await;
    let found = completed(&events);
    assert_eq!(found[0].severity, pb::diagnostic::Severity::Error as i32);
    assert!(found[0].detail.contains("virtual_machine_id"), "{}", found[0].detail);
}

#[tokio::test]
async fn debug_connections_have_separate_configurations_and_interrupts() {
    let dir = TempDir::new().unwrap();
    let launch = Launch::new(BINARY).env_remove("TF_PLUGIN_MAGIC_COOKIE").env("TMPDIR", dir.path());
    let running = launch.args(["-debug"]).run();
    let variable = running.first_line_with("\tTF_REATTACH_PROVIDERS='").await;
    let value = variable.trim().trim_start_matches("TF_REATTACH_PROVIDERS='").trim_end_matches('\'');
    let value: Json = serde_json::from_str(value).unwrap();
    let socket =
        value["registry.terraform.io/azimage/azimage"]["Addr"]["String"].as_str().unwrap().to_owned();
    let channel = async || connect(Path::new(&socket), None).await.unwrap();

    let mut few = Host::connect(channel().await, 2, 1).await;
    let mut many = Host::connect(channel().await, 5, 0).await;
    assert_eq!(few.list(json!({}), false, 100).await.len(), 2);
    assert_eq!(many.list(json!({}), false, 100).await.len(), 5);

    // One host is interrupted, a second disconnects, and the action of a third completes.
    let (mut interrupted, mut hung_up) =
        (Host::connect(channel().await, 1, 0).await, Host::connect(channel().await, 1, 1).await);
    let config = json!({"virtual_machine_id": machine("golden-vm")});
    let working = few.invoke("azimage_generalize", config.clone());
    let others = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        interrupted.provider.stop(pb::stop::Request {}).await.unwrap();
        let _ = tokio::time::timeout(
            std::time::Duration::from_millis(300),
            hung_up.invoke("azimage_generalize", config.clone()),
        )
        .await;
        drop(hung_up);
    };
    let (events, ()) = tokio::join!(working, others);
    assert!(completed(&events).is_empty(), "{events:?}");
    running.signal("INT");
    running.ended().await;
}

fn progress(events: &[invoke_action::Event]) -> String {
    let texts = events.iter().filter_map(|event| match event.r#type.as_ref()? {
        invoke_action::event::Type::Progress(progress) => Some(progress.message.clone()),
        invoke_action::event::Type::Completed(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The diagnostics of the last event, which must be the only event that completes the action.
fn completed(events: &[invoke_action::Event]) -> Vec<pb::Diagnostic> {
    let (last, before) = events.split_last().expect("an event");
    let is_end =
        |event: &invoke_action::Event| matches!(event.r#type, Some(invoke_action::event::Type::Completed(_)));
    assert!(!before.iter().any(is_end), "{events:?}");
    match &last.r#type {
        Some(invoke_action::event::Type::Completed(completed)) => completed.diagnostics.clone(),
        other => panic!("{other:?}"),
    }
}
