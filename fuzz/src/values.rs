//! Fuzzes values that Terraform sends and stores: a decoded value is encoded so that it decodes to the same value.

use std::sync::OnceLock;

use azimage::framework::{MoveSource, Private, Server};
use azimage::provider::Provider;
use azimage::schema::{Type, Value, json, msgpack};

/// The server with all schemas.
pub fn server() -> &'static Server<Provider> {
    static SERVER: OnceLock<Server<Provider>> = OnceLock::new();
    SERVER.get_or_init(|| Server::new(Provider))
}

/// The types of all schemas, and some types that no schema has.
pub fn types() -> &'static [Type] {
    static TYPES: OnceLock<Vec<Type>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let leaf = || Type::Tuple(vec![Type::String, Type::Number, Type::Bool, Type::Dynamic]);
        let mut types = vec![
            Type::Dynamic,
            Type::Number,
            Type::String,
            Type::list(Type::map(Type::set(Type::Number))),
            Type::object([("a", leaf()), ("b", Type::set(leaf()))]),
        ];
        let server = server();
        types.push(server.ty().clone());
        types.extend(server.resources().flat_map(|(_, entry)| [entry.ty().clone(), entry.identity_ty()]));
        types.extend(server.data_sources().map(|(_, entry)| entry.ty().clone()));
        types
    })
}

/// The first byte of the input selects a type; the rest is a value of that type.
pub fn msgpack(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let types = types();
    let ty = &types[usize::from(*choice) % types.len()];
    let value = match msgpack::decode(bytes, ty) {
        Ok(value) => value,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = msgpack::encode(&value, ty);
    let again = msgpack::decode(&written, ty).unwrap_or_else(|error| panic!("{error} in {written:x?}"));
    assert_eq!(again, value);
    assert_eq!(msgpack::encode(&again, ty), written, "the canonical form is stable");
    assert_eq!(value.is_wholly_known(), again.is_wholly_known());
    let known = value.unknown_to_null();
    assert!(known.is_wholly_known());
    stored(&known, ty);
}

// Fails unless a known value can be stored and read back.
fn stored(value: &Value, ty: &Type) {
    let stored = json::encode(value);
    let read = json::decode(&stored, ty).unwrap_or_else(|error| panic!("{error} in {stored}"));
    assert_eq!(read, *value, "{stored}");
    assert_eq!(json::encode(&read), stored);
}

/// The input is a stored state. Every resource type upgrades it, and types that can be moved from another provider
/// also read it as the state of that provider.
pub fn state(data: &[u8]) {
    let private = Private::from_bytes(data);
    assert_eq!(Private::from_bytes(&private.to_bytes()), private);
    let server = server();
    let parsed: Option<serde_json::Value> = serde_json::from_slice(data).ok();
    for (name, entry) in server.resources() {
        for version in [0, 1] {
            if let Ok(state) = server.upgrade(entry, version, data) {
                assert!(state.is_known() && state.is_wholly_known());
                stored(&state, entry.ty());
                let bytes = json::encode(&state).to_string();
                let again = server.upgrade(entry, version, bytes.as_bytes());
                assert_eq!(again.ok().as_ref(), Some(&state), "upgrading is idempotent");
                assert_has_type(entry.ty(), &state);
                entry.resource.identify(&state);
                let config = server.generate(entry, &state);
                assert_has_type(entry.ty(), &config);
                server.validate_resource(entry, &config);
            }
        }
        let Some(state) = &parsed else { continue };
        for (provider, type_name) in [
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_shared_image_gallery"),
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_shared_image"),
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_shared_image_version"),
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_image"),
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_marketplace_agreement"),
            ("registry.terraform.io/azure/azapi", "azapi_resource"),
            ("elsewhere.example/azimage/azimage", name),
        ] {
            let source = MoveSource {
                provider: provider.to_owned(),
                type_name: type_name.to_owned(),
                schema_version: 0,
                state: state.clone(),
            };
            match server.move_from(entry, &source) {
                Ok(imported) => {
                    assert_has_type(entry.ty(), &imported.state);
                    assert_has_type(&entry.identity_ty(), &imported.identity);
                }
                Err(found) => assert!(found.has_errors()),
            }
        }
    }
}

/// Fails unless a value for Terraform has its type. (Terraform normalises texts to NFC, as decoding does here.)
pub fn assert_has_type(ty: &Type, value: &Value) {
    let read = msgpack::decode(&msgpack::encode(value, ty), ty).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(msgpack::decode(&msgpack::encode(&read, ty), ty), Ok(read));
}
