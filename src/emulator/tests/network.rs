//! Network resources as azurerm and the Azure CLI expect them: arrays that are always present, and children within their
//! parent.

use super::*;

#[test]
fn networks_need_a_location_that_exists() {
    let world = World::new();
    let url = |kind: &str| format!("{S}/resourceGroups/my-rg/providers/{kind}?api-version=2024-05-01");
    for (kind, body, code) in [
        ("Microsoft.Network/virtualNetworks/v", "{}", "LocationRequired"),
        (
            "Microsoft.Network/virtualNetworks/v",
            r#"{"location":"nowhere"}"#,
            "LocationNotAvailableForResourceType",
        ),
        ("Microsoft.Network/virtualNetworks/v", r#"{"location":"eastus"}"#, ""),
        ("Microsoft.Network/virtualNetworks/v", r#"{"location":"westus"}"#, "InvalidResourceLocation"),
        ("Microsoft.Network/privateDnsZones/z", r#"{"location":"Global"}"#, ""),
        ("Contoso.Things/things/t", "{}", ""),
    ] {
        let got = world.ask("PUT", &url(kind), body);
        let found = if got.status < 300 { "" } else { got.code() };
        assert_eq!(found, code, "{kind} {body}: {}", got.raw);
    }
}

fn network(tail: &str) -> String {
    format!("{S}/resourceGroups/my-rg/providers/Microsoft.Network/{tail}?api-version=2024-05-01")
}

#[test]
fn load_balancer_has_all_arrays_and_contains_its_children() {
    let world = World::new();
    let balancer = network("loadBalancers/lb");
    let body = r#"{"location":"eastus","sku":{"name":"Standard"},"properties":{"frontendIPConfigurations":[{"name":"front","properties":{"publicIPAddress":{"id":"x"}}}]}}"#;
    assert_eq!(world.ask("PUT", &balancer, body).status, 201);
    let pool = network("loadBalancers/lb/backendAddressPools/pool");
    assert_eq!(world.ask("GET", &pool, "").code(), "NotFound");
    assert_eq!(world.ask("PUT", &pool, r#"{"properties":{}}"#).status, 201);
    assert_eq!(world.ask("PUT", &pool, r#"{"properties":{}}"#).status, 200);
    let shown = world.ask("GET", &balancer, "").body;
    for array in ["probes", "loadBalancingRules", "inboundNatRules", "inboundNatPools", "outboundRules"] {
        assert_eq!(shown.at(&format!("properties.{array}")), Some(&Json::Array(Vec::new())), "{array}");
    }
    let (front, pools) =
        (&shown.list("properties.frontendIPConfigurations")[0], shown.list("properties.backendAddressPools"));
    assert!(front.text("id").unwrap().ends_with("/loadBalancers/lb/frontendIPConfigurations/front"));
    assert_eq!(pools.len(), 1);
    assert_eq!(world.ask("GET", &pool, "").body, pools[0]);
    // A probe is written with the load balancer; the pool is kept because the request repeats it.
    let mut changed = shown.clone();
    changed.entry("properties").set("probes", vec![Json::object().with("name", "http")]);
    assert_eq!(world.ask("PUT", &balancer, &changed.compact()).status, 200);
    assert_eq!(world.ask("GET", &network("loadBalancers/lb/probes/http"), "").status, 200);
    assert_eq!(world.ask("PUT", &network("loadBalancers/lb/probes/tcp"), "{}").status, 405);
    assert_eq!(
        world.ask("GET", &network("loadBalancers/lb/backendAddressPools"), "").body.list("value").len(),
        1
    );
    assert_eq!(world.ask("DELETE", &pool, "").status, 200);
    assert_eq!(world.ask("DELETE", &pool, "").status, 204);
    let missing = network("loadBalancers/none/backendAddressPools/pool");
    assert_eq!(world.ask("PUT", &missing, "{}").code(), "ParentResourceNotFound");
}

#[test]
fn networks_contain_subnets_and_interfaces_get_addresses() {
    let world = World::new();
    let body = r#"{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}}]}}"#;
    assert_eq!(world.ask("PUT", &network("virtualNetworks/v"), body).status, 201);
    assert_eq!(world.ask("GET", &network("virtualNetworks/v/subnets/a"), "").status, 200);
    assert_eq!(world.ask("PUT", &network("virtualNetworks/v/subnets/b"), r#"{"properties":{}}"#).status, 201);
    let again = r#"{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}"#;
    let kept = world.ask("PUT", &network("virtualNetworks/v"), again).body;
    assert_eq!(kept.list("properties.subnets").len(), 2);
    let interface =
        r#"{"location":"eastus","properties":{"ipConfigurations":[{"name":"i","properties":{}}]}}"#;
    let made = world.ask("PUT", &network("networkInterfaces/n"), interface).body;
    let configuration = &made.list("properties.ipConfigurations")[0];
    assert_eq!(configuration.text("properties.privateIPAddress"), Some("10.0.0.4"));
    let address = world.ask("PUT", &network("publicIPAddresses/p"), r#"{"location":"eastus"}"#).body;
    assert_eq!(address.text("properties.ipAddress"), Some("203.0.113.4"));
}
