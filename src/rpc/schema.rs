//! Converts schemas to messages, and declares the provider's capabilities.

use std::collections::BTreeMap;

use super::proto::tfplugin5 as pb;
use crate::framework::function::Parameter;
use crate::framework::import::{IDENTITY_VERSION, SCHEMA_VERSION};
use crate::framework::resource::IdentityField;
use crate::framework::{Provider, Server};
use crate::schema::spec::Mode;
use crate::schema::{Attribute, Block, Body, Nesting, Type};

/// The capabilities that core may rely on.
pub fn capabilities() -> pb::ServerCapabilities {
    pb::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: true,
    }
}

/// The complete response to `GetProviderSchema`.
pub fn provider<P: Provider>(server: &Server<P>) -> pb::get_provider_schema::Response {
    pb::get_provider_schema::Response {
        provider: Some(schema(server.body())),
        resource_schemas: server
            .resources()
            .map(|(name, entry)| (name.to_owned(), schema(entry.body())))
            .collect(),
        data_source_schemas: server
            .data_sources()
            .map(|(name, entry)| (name.to_owned(), schema(entry.body())))
            .collect(),
        list_resource_schemas: server
            .list_resources()
            .map(|(name, entry)| (name.to_owned(), schema(entry.body())))
            .collect(),
        action_schemas: server
            .actions()
            .map(|(name, entry)| (name.to_owned(), pb::ActionSchema { schema: Some(schema(entry.body())) }))
            .collect(),
        functions: functions(server),
        server_capabilities: Some(capabilities()),
        ..Default::default()
    }
}

/// The names only.
pub fn metadata<P: Provider>(server: &Server<P>) -> pb::get_metadata::Response {
    use pb::get_metadata::{
        ActionMetadata, DataSourceMetadata, FunctionMetadata, ListResourceMetadata, ResourceMetadata,
        Response,
    };
    Response {
        server_capabilities: Some(capabilities()),
        resources: server
            .resources()
            .map(|(name, _)| ResourceMetadata { type_name: name.to_owned() })
            .collect(),
        data_sources: server
            .data_sources()
            .map(|(name, _)| DataSourceMetadata { type_name: name.to_owned() })
            .collect(),
        list_resources: server
            .list_resources()
            .map(|(name, _)| ListResourceMetadata { type_name: name.to_owned() })
            .collect(),
        actions: server.actions().map(|(name, _)| ActionMetadata { type_name: name.to_owned() }).collect(),
        functions: server
            .functions()
            .map(|function| FunctionMetadata { name: function.name().to_owned() })
            .collect(),
        ..Default::default()
    }
}

/// The identity schema of every resource type.
pub fn identities<P: Provider>(server: &Server<P>) -> pb::get_resource_identity_schemas::Response {
    let identity_schemas = server
        .resources()
        .map(|(name, entry)| (name.to_owned(), identity(entry.resource.identity())))
        .collect();
    pb::get_resource_identity_schemas::Response { identity_schemas, diagnostics: Vec::new() }
}

/// All functions.
pub fn functions<P: Provider>(server: &Server<P>) -> BTreeMap<String, pb::Function> {
    server
        .functions()
        .map(|function| {
            let signature = function.signature();
            let function_schema = pb::Function {
                parameters: signature.parameters.iter().map(parameter).collect(),
                variadic_parameter: None,
                r#return: Some(pb::function::Return { r#type: signature.returns.to_bytes() }),
                summary: signature.summary.to_owned(),
                description: signature.doc.to_owned(),
                description_kind: pb::StringKind::Markdown as i32,
                deprecation_message: String::new(),
            };
            (function.name().to_owned(), function_schema)
        })
        .collect()
}

fn parameter(parameter: &Parameter) -> pb::function::Parameter {
    pb::function::Parameter {
        name: parameter.name.to_owned(),
        r#type: parameter.ty.to_bytes(),
        allow_null_value: false,
        allow_unknown_values: false,
        description: parameter.doc.to_owned(),
        description_kind: pb::StringKind::Markdown as i32,
    }
}

fn identity(fields: &[IdentityField]) -> pb::ResourceIdentitySchema {
    pb::ResourceIdentitySchema {
        version: IDENTITY_VERSION,
        identity_attributes: fields
            .iter()
            .map(|field| pb::resource_identity_schema::IdentityAttribute {
                name: field.name.to_owned(),
                r#type: Type::String.to_bytes(),
                required_for_import: field.required,
                optional_for_import: !field.required,
                description: field.doc.to_owned(),
            })
            .collect(),
    }
}

fn schema(body: &Body) -> pb::Schema {
    pb::Schema { version: SCHEMA_VERSION, block: Some(block(body)) }
}

fn block(body: &Body) -> pb::schema::Block {
    pb::schema::Block {
        version: 0,
        attributes: body.attributes.iter().map(attribute).collect(),
        block_types: body.blocks.iter().map(nested).collect(),
        description: body.doc.clone(),
        description_kind: pb::StringKind::Markdown as i32,
        deprecated: false,
        deprecation_message: String::new(),
    }
}

fn attribute(attribute: &Attribute) -> pb::schema::Attribute {
    pb::schema::Attribute {
        name: attribute.name.to_owned(),
        r#type: attribute.ty.to_bytes(),
        description: attribute.doc.clone(),
        description_kind: pb::StringKind::Markdown as i32,
        required: attribute.mode == Mode::Required,
        optional: matches!(attribute.mode, Mode::Optional | Mode::OptionalComputed),
        computed: attribute.is_computed(),
        sensitive: attribute.sensitive,
        deprecated: attribute.deprecated.is_some(),
        write_only: false,
        deprecation_message: attribute.deprecated.unwrap_or_default().to_owned(),
    }
}

fn nested(nested: &Block) -> pb::schema::NestedBlock {
    use pb::schema::nested_block::NestingMode;
    let (nesting, min, max) = match nested.nesting {
        Nesting::Single => (NestingMode::Single, nested.min.min(1), nested.min.min(1)),
        Nesting::Group => (NestingMode::Group, 0, 0),
        Nesting::List => (NestingMode::List, nested.min, nested.max),
        Nesting::Set => (NestingMode::Set, nested.min, nested.max),
    };
    pb::schema::NestedBlock {
        type_name: nested.name.to_owned(),
        block: Some(block(&nested.body)),
        nesting: nesting as i32,
        min_items: min as i64,
        max_items: max as i64,
    }
}
