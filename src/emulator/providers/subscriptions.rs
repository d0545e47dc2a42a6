//! Subscriptions, tenants, locations, and the registration of resource providers.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::regions::{self, REGIONS};
use super::super::versions_known;
use super::access;

/// The default subscription, which always exists.
pub const DEFAULT: &str = "00000000-0000-0000-0000-000000000000";

/// The display name of every subscription.
pub const NAME: &str = "Emulated subscription";

/// The IDs of the known subscriptions, in lower case.
pub fn known(call: &Call<'_, '_>) -> Vec<String> {
    let mut ids = vec![DEFAULT.to_owned()];
    call.state.scan("sub|", None, |_, record| {
        if let Some(id) = record.text("subscriptionId")
            && !ids.iter().any(|known| known == id)
        {
            ids.push(id.to_owned());
        }
        true
    });
    ids
}

/// `GET /subscriptions`.
pub fn list(call: &mut Call<'_, '_>) -> Outcome {
    let values: Vec<Json> = known(call)
        .iter()
        .filter(|id| access::sees_subscription(call, id))
        .map(|id| show(call, id))
        .collect();
    let count = values.len() as i64;
    Ok(Answer::compact(
        200,
        Json::object()
            .with("value", values)
            .with("count", Json::object().with("type", "Total").with("value", count)),
    ))
}

/// `GET /subscriptions/{s}`.
pub fn one(call: &mut Call<'_, '_>) -> Outcome {
    let id = call.subscription.clone();
    Ok(Answer::compact(200, show(call, &id)))
}

fn show(call: &Call<'_, '_>, id: &str) -> Json {
    Json::object()
        .with("id", format!("/subscriptions/{id}"))
        .with("authorizationSource", "RoleBased")
        .with("managedByTenants", Vec::new())
        .with("subscriptionId", id)
        .with("tenantId", call.tenant.as_str())
        .with("displayName", NAME)
        .with("state", "Enabled")
        .with("subscriptionPolicies", policies())
        .maybe("tags", super::tags::of_subscription(call, id))
}

/// The offer details of a subscription.
pub fn policies() -> Json {
    Json::object()
        .with("locationPlacementId", "Public_2014-09-01")
        .with("quotaId", "PayAsYouGo_2014-09-01")
        .with("spendingLimit", "Off")
}

/// `GET /tenants`.
pub fn tenants(call: &mut Call<'_, '_>) -> Outcome {
    let tenant = Json::object()
        .with("id", format!("/tenants/{}", call.tenant))
        .with("tenantId", call.tenant.as_str())
        .with("countryCode", "NL")
        .with("displayName", "Emulated tenant")
        .with("domains", vec![Json::from("emulator.example")])
        .with("tenantCategory", "Home")
        .with("defaultDomain", "emulator.example")
        .with("tenantType", "AAD");
    Ok(Answer::compact(200, Json::object().with("value", vec![tenant])))
}

/// `GET /subscriptions/{s}/locations`.
pub fn locations(call: &mut Call<'_, '_>) -> Outcome {
    let values: Vec<Json> = REGIONS
        .iter()
        .filter(|region| !region.name.ends_with("stg"))
        .map(|region| regions::describe(region, &call.subscription))
        .collect();
    Ok(Answer::compact(200, Json::object().with("value", values)))
}

fn registration_key(subscription: &str, namespace: &str) -> String {
    format!("reg|{}|{}", subscription.to_ascii_lowercase(), namespace.to_ascii_lowercase())
}

const NAMESPACES: &[&str] = &[
    "Microsoft.Compute",
    "Microsoft.Resources",
    "Microsoft.MarketplaceOrdering",
    "Microsoft.Authorization",
    "Microsoft.Network",
    "Microsoft.Storage",
    "Microsoft.ManagedIdentity",
    "Microsoft.KeyVault",
    "Microsoft.VirtualMachineImages",
    "Microsoft.AlertsManagement",
    "Microsoft.ApiManagement",
    "Microsoft.App",
    "Microsoft.AppConfiguration",
    "Microsoft.AppPlatform",
    "Microsoft.Automation",
    "Microsoft.AVS",
    "Microsoft.Blueprint",
    "Microsoft.BotService",
    "Microsoft.Cache",
    "Microsoft.Cdn",
    "Microsoft.CognitiveServices",
    "Microsoft.ContainerInstance",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.CostManagement",
    "Microsoft.CustomProviders",
    "Microsoft.Dashboard",
    "Microsoft.Databricks",
    "Microsoft.DataFactory",
    "Microsoft.DataLakeAnalytics",
    "Microsoft.DataLakeStore",
    "Microsoft.DataMigration",
    "Microsoft.DataProtection",
    "Microsoft.DBforMariaDB",
    "Microsoft.DBforMySQL",
    "Microsoft.DBforPostgreSQL",
    "Microsoft.DesktopVirtualization",
    "Microsoft.Devices",
    "Microsoft.DevTestLab",
    "Microsoft.DocumentDB",
    "Microsoft.EventGrid",
    "Microsoft.EventHub",
    "Microsoft.GuestConfiguration",
    "Microsoft.HDInsight",
    "Microsoft.HealthcareApis",
    "Microsoft.Insights",
    "Microsoft.IoTCentral",
    "Microsoft.Kusto",
    "Microsoft.Logic",
    "Microsoft.MachineLearningServices",
    "Microsoft.Maintenance",
    "Microsoft.ManagedServices",
    "Microsoft.Management",
    "Microsoft.Maps",
    "Microsoft.MixedReality",
    "Microsoft.Monitor",
    "Microsoft.NotificationHubs",
    "Microsoft.OperationalInsights",
    "Microsoft.OperationsManagement",
    "Microsoft.PolicyInsights",
    "Microsoft.PowerBIDedicated",
    "Microsoft.RecoveryServices",
    "Microsoft.Relay",
    "Microsoft.ResourceGraph",
    "Microsoft.Search",
    "Microsoft.Security",
    "Microsoft.SecurityInsights",
    "Microsoft.ServiceBus",
    "Microsoft.ServiceFabric",
    "Microsoft.SignalRService",
    "Microsoft.Sql",
    "Microsoft.StreamAnalytics",
    "Microsoft.Web",
];

/// `GET /subscriptions/{s}/providers`, and the same for one namespace.
pub fn providers(call: &mut Call<'_, '_>, namespace: Option<&str>) -> Outcome {
    match namespace {
        Some(namespace) => {
            let shown = show_provider(call, namespace)?;
            Ok(Answer::compact(200, shown))
        }
        None => {
            let values = NAMESPACES
                .iter()
                .map(|namespace| show_provider(call, namespace))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Answer::compact(200, Json::object().with("value", values)))
        }
    }
}

/// `POST /subscriptions/{s}/providers/{ns}/register` and `unregister`.
pub fn register(call: &mut Call<'_, '_>, namespace: &str, on: bool) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), namespace));
    }
    let key = registration_key(&call.subscription, namespace);
    call.state.put(&key, Json::object().with("registered", on));
    let shown = show_provider(call, namespace)?;
    Ok(Answer::compact(200, shown))
}

fn show_provider(call: &Call<'_, '_>, namespace: &str) -> Result<Json, ArmError> {
    let name = NAMESPACES.iter().find(|known| known.eq_ignore_ascii_case(namespace)).ok_or_else(|| {
        ArmError::gateway(
            404,
            "InvalidResourceNamespace",
            format!("The resource namespace '{namespace}' is invalid."),
        )
    })?;
    let registered = call
        .record(&registration_key(&call.subscription, name))
        .and_then(|record| record.flag("registered"))
        .unwrap_or(true);
    // At tenant scope the path has no subscription.
    let scope = match call.subscription.as_str() {
        "" => String::new(),
        subscription => format!("/subscriptions/{subscription}"),
    };
    Ok(Json::object()
        .with("id", format!("{scope}/providers/{name}"))
        .with("namespace", *name)
        .with("resourceTypes", types_of(name))
        .with("registrationState", if registered { "Registered" } else { "NotRegistered" })
        .with("registrationPolicy", "RegistrationRequired"))
}

fn types_of(namespace: &str) -> Vec<Json> {
    let places: Vec<Json> = REGIONS.iter().map(|region| region.display.into()).collect();
    versions_known::types(namespace)
        .iter()
        .map(|(kind, versions)| {
            let mut newest_first: Vec<Json> = versions.iter().rev().map(|version| (*version).into()).collect();
            newest_first.dedup();
            Json::object()
                .with("resourceType", *kind)
                .with("locations", places.clone())
                .with("apiVersions", newest_first)
                .with("capabilities", "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation")
        })
        .collect()
}

/// `GET /subscriptions/{s}/providers/{ns}/resourceTypes`.
pub fn resource_types(call: &Call<'_, '_>, namespace: &str) -> Outcome {
    let shown = show_provider(call, namespace)?;
    let types = shown.list("resourceTypes").to_vec();
    Ok(Answer::compact(200, Json::object().with("value", types)))
}

/// 409 if a namespace is not registered.
pub fn check_registered(call: &Call<'_, '_>, namespace: &str) -> Result<(), ArmError> {
    let off = call
        .record(&registration_key(&call.subscription, namespace))
        .is_some_and(|record| record.flag("registered") == Some(false));
    if off {
        return Err(ArmError::gateway(
            409,
            "MissingSubscriptionRegistration",
            format!(
                "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions."
            ),
        ));
    }
    Ok(())
}
