//! Template deployments, as the Azure CLI and Bicep send them.

use super::*;

fn url(name: &str) -> String {
    format!(
        "{S}/resourceGroups/my-rg/providers/Microsoft.Resources/deployments/{name}?api-version=2024-03-01"
    )
}

fn action(name: &str, action: &str) -> String {
    url(name).replace('?', &format!("/{action}?"))
}

/// The body of a deployment as the CLI sends it: the template verbatim, under an unquoted key.
fn body(members: &str, more: &str) -> String {
    format!(
        r#"{{"properties": {{"mode": "Incremental", "parameters": {{}}{more}, template: {{
            // a comment
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", {members} }}}}}}"#
    )
}

/// A gallery, a definition and a version, out of order, as Bicep emits them.
const GALLERY: &str = r#"
    "languageVersion": "2.0",
    "parameters": {"name": {"type": "string", "defaultValue": "[format('gal{0}', 7)]"}, "secret": {"type": "securestring", "defaultValue": "x"}},
    "variables": {"generation": "V2"},
    "resources": {
        "image": {
            "type": "Microsoft.Compute/galleries/images", "apiVersion": "2026-03-03",
            "name": "[format('{0}/{1}', parameters('name'), 'img')]", "location": "[resourceGroup().location]",
            "properties": {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "[variables('generation')]", "description": null,
                "identifier": {"publisher": "p", "offer": "o", "sku": "s"}},
            "dependsOn": ["gallery"]
        },
        "gallery": {
            "type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "[parameters('name')]",
            "location": "[resourceGroup().location]", "tags": {"of": "[deployment().name]"}
        },
        "machine": {
            "existing": true, "type": "Microsoft.Compute/virtualMachines", "apiVersion": "2024-03-01", "name": "golden-vm"
        }
    },
    "outputs": {
        "id": {"type": "string", "value": "[resourceId('Microsoft.Compute/galleries', parameters('name'))]"},
        "state": {"type": "string", "value": "[reference('image').provisioningState]"},
        "size": {"type": "string", "value": "[reference('machine').hardwareProfile.vmSize]"},
        "hidden": {"type": "securestring", "value": "[parameters('secret')]"}
    }"#;

#[test]
fn deploys_resources_in_dependency_order() {
    let mut world = World::new();
    let put = world.ask("PUT", &url("first"), &body(GALLERY, ""));
    assert_eq!(put.status, 201, "{}", put.raw);
    assert_eq!(put.body.text("properties.provisioningState"), Some("Accepted"));
    assert!(put.header("Azure-AsyncOperation").contains("/deployments/first/operationStatuses/"));
    let active = world.ask("PUT", &url("first"), &body(GALLERY, ""));
    assert_eq!((active.status, active.code()), (409, "DeploymentActive"));
    let poll = put.header("Azure-AsyncOperation").to_owned();
    assert_eq!(world.ask("GET", &poll, "").body.text("status"), Some("Running"));
    world.wait(60.0);
    assert_eq!(world.ask("GET", &poll, "").body.text("status"), Some("Succeeded"));
    let shown = world.ask("GET", &url("first"), "").body;
    assert_eq!(shown.text("properties.outputs.id.value"), Some(rg("galleries/gal7").as_str()));
    assert_eq!(shown.text("properties.outputs.state.value"), Some("Succeeded"));
    assert!(shown.text("properties.outputs.size.value").is_some());
    assert_eq!(shown.at("properties.outputs.hidden").unwrap().compact(), r#"{"type":"SecureString"}"#);
    assert_eq!(shown.at("properties.parameters.secret").unwrap().compact(), r#"{"type":"SecureString"}"#);
    assert_eq!(shown.text("properties.parameters.name.value"), Some("gal7"));
    assert_eq!(shown.list("properties.outputResources").len(), 2);
    let gallery = world.ask("GET", &rg("galleries/gal7?api-version=2026-03-03"), "").body;
    assert_eq!(gallery.text("tags.of"), Some("first"));
    let operations = world.ask("GET", &action("first", "operations"), "").body;
    let states: Vec<_> = operations
        .list("value")
        .iter()
        .map(|one| one.text("properties.provisioningState").unwrap().to_owned())
        .collect();
    assert_eq!(states, ["Succeeded", "Succeeded"]);
    let exported = world.ask("POST", &action("first", "exportTemplate"), "").body;
    assert_eq!(exported.text("template.languageVersion"), Some("2.0"));
    let list = world.ask("GET", &url("").replace("/?", "?"), "").body;
    assert_eq!(list.list("value").len(), 1);
    let resources =
        world.ask("GET", &format!("{S}/resourceGroups/my-rg/resources?api-version=2022-09-01"), "").raw;
    assert!(!resources.contains("Microsoft.Resources/deployments"), "{resources}");
    assert_eq!(world.ask("HEAD", &url("first"), "").status, 204);
    assert_eq!(world.ask("DELETE", &url("first"), "").status, 204);
    assert_eq!(world.ask("GET", &url("first"), "").code(), "DeploymentNotFound");
}

#[test]
fn invalid_template_is_reported_and_creates_nothing() {
    const DISK: &str =
        r#""type": "Microsoft.Compute/disks", "apiVersion": "2023-04-02", "name": "d", "location": "eastus""#;
    let world = World::new();
    for (members, more, code, why) in [
        (r#""resources": [], "extra": 1"#, "", "InvalidTemplate", "extra"),
        (
            r#""resources": [], "parameters": {"p": {"type": "string"}}"#,
            "",
            "InvalidTemplate",
            "'p' is not provided",
        ),
        (
            r#""resources": [], "outputs": {}"#,
            r#", "onErrorDeployment": {}"#,
            "NotEmulated",
            "onErrorDeployment",
        ),
        (r#""resources": []"#, r#", "templateLink": {"uri": "https://x"}"#, "NotEmulated", "templateLink"),
        (
            &format!(r#""resources": [{{{DISK}, "tags": {{"a": "[nope()]"}}}}]"#),
            "",
            "InvalidTemplate",
            "nope",
        ),
        (
            &format!(
                r#""resources": [{{{DISK}, "tags": {{"a": "[reference('golden', '2024-03-01').id]"}}}}]"#
            ),
            "",
            "",
            "neither a resource of the template",
        ),
        (
            r#""resources": [{"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "g-a-l", "location": "eastus"}]"#,
            "",
            "InvalidTemplateDeployment",
            "See inner errors",
        ),
    ] {
        for (method, url) in [("PUT", url("bad")), ("POST", action("bad", "validate"))] {
            let got = world.ask(method, &url, &body(members, more));
            if code.is_empty() {
                // Detected only during the deployment, which then fails with the reason.
                if method == "PUT" {
                    assert_eq!(got.status, 201, "{}", got.raw);
                    let shown = world.ask("GET", &url, "");
                    assert_eq!(
                        shown.body.text("properties.provisioningState"),
                        Some("Failed"),
                        "{}",
                        shown.raw
                    );
                    assert!(shown.raw.contains(why), "{}", shown.raw);
                }
                continue;
            }
            assert_eq!((got.status, got.code()), (400, code), "{method} {members}: {}", got.raw);
            assert!(got.raw.contains(why), "{}", got.raw);
        }
    }
    assert_eq!(world.ask("GET", &rg("disks/d?api-version=2023-04-02"), "").status, 404);
}

#[test]
fn supports_loops_conditions_children_and_nested_deployments() {
    let mut world = World::new();
    let members = r#"
        "functions": [{"namespace": "our", "members": {"name": {"parameters": [{"name": "i", "type": "int"}], "output": {"type": "string", "value": "[concat('g', parameters('i'))]"}}}}],
        "resources": [
            {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "[our.name(copyIndex(1))]", "location": "eastus", "copy": {"name": "all", "count": 3}},
            {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "never", "location": "eastus", "condition": "[equals(1, 2)]"},
            {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "parent", "location": "eastus", "resources": [
                {"type": "images", "apiVersion": "2026-03-03", "name": "child", "location": "eastus", "dependsOn": ["parent"],
                 "properties": {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": {"publisher": "p", "offer": "o", "sku": "s"}}}]},
            {"type": "Microsoft.Authorization/locks", "apiVersion": "2020-05-01", "name": "keep", "scope": "Microsoft.Compute/galleries/parent", "dependsOn": ["parent"], "properties": {"level": "CanNotDelete"}},
            {"type": "Microsoft.Resources/deployments", "apiVersion": "2024-03-01", "name": "inner", "dependsOn": ["all"], "properties": {
                "mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"name": {"value": "[concat('in', 'ner')]"}},
                "template": {"$schema": "x", "contentVersion": "1.0.0.0", "parameters": {"name": {"type": "string"}},
                    "resources": [{"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "[parameters('name')]", "location": "eastus"}],
                    "outputs": {"made": {"type": "string", "value": "[parameters('name')]"}}}}},
            {"type": "Microsoft.Resources/deployments", "apiVersion": "2024-03-01", "name": "outer", "properties": {
                "mode": "Incremental", "template": {"$schema": "x", "contentVersion": "1.0.0.0",
                    "resources": [{"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "[our.name(9)]", "location": "eastus"}]}}}
        ],
        "outputs": {
            "made": {"type": "string", "value": "[reference('inner').outputs.made.value]"},
            "names": {"type": "array", "copy": {"count": 2, "input": "[our.name(copyIndex())]"}}
        }"#;
    assert_eq!(world.ask("PUT", &url("many"), &body(members, "")).status, 201);
    world.wait(120.0);
    let shown = world.ask("GET", &url("many"), "");
    assert_eq!(shown.body.text("properties.provisioningState"), Some("Succeeded"), "{}", shown.raw);
    assert_eq!(shown.body.text("properties.outputs.made.value"), Some("inner"));
    assert_eq!(shown.body.at("properties.outputs.names.value").unwrap().compact(), r#"["g0","g1"]"#);
    for (name, status) in
        [("g1", 200), ("g2", 200), ("g3", 200), ("g9", 200), ("parent", 200), ("inner", 200), ("never", 404)]
    {
        assert_eq!(
            world.ask("GET", &rg(&format!("galleries/{name}?api-version=2026-03-03")), "").status,
            status,
            "{name}"
        );
    }
    assert_eq!(world.ask("DELETE", &rg("galleries/parent?api-version=2026-03-03"), "").code(), "ScopeLocked");
}

#[test]
fn failed_deployment_keeps_created_resources_and_reports_the_cause() {
    let mut world = World::new();
    world.gallery();
    world.definition();
    let lock = format!("{}/providers/Microsoft.Authorization/locks/l?api-version=2020-05-01", gal(""));
    world.done("PUT", &lock, r#"{"properties":{"level":"ReadOnly"}}"#);
    let members = r#""resources": [
        {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "gal", "location": "eastus", "tags": {"a": "b"}},
        {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "fine", "location": "eastus"},
        {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "after", "location": "eastus", "dependsOn": ["gal"]}]"#;
    assert_eq!(world.ask("PUT", &url("bad"), &body(members, "")).status, 201);
    world.wait(60.0);
    let shown = world.ask("GET", &url("bad"), "").body;
    assert_eq!(shown.text("properties.provisioningState"), Some("Failed"));
    assert_eq!(shown.text("properties.error.code"), Some("DeploymentFailed"));
    assert_eq!(shown.list("properties.error.details")[0].text("code"), Some("ScopeLocked"));
    assert_eq!(world.ask("GET", &rg("galleries/fine?api-version=2026-03-03"), "").status, 200);
    assert_eq!(world.ask("GET", &rg("galleries/after?api-version=2026-03-03"), "").status, 404);
}

#[test]
fn cancelled_deployment_creates_no_further_resources() {
    let mut world = World::new();
    world.done("PUT", "/_emulator/settings", r#"{"time_scale":1}"#);
    let members = r#""resources": [
        {"type": "Microsoft.Compute/disks", "apiVersion": "2023-04-02", "name": "one", "location": "eastus", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}},
        {"type": "Microsoft.Compute/disks", "apiVersion": "2023-04-02", "name": "two", "location": "eastus", "dependsOn": ["one"], "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}]"#;
    assert_eq!(world.ask("PUT", &url("stop"), &body(members, "")).status, 201);
    assert_eq!(world.ask("POST", &action("stop", "cancel"), "").status, 204);
    world.wait(60.0);
    let shown = world.ask("GET", &url("stop"), "").body;
    assert_eq!(shown.text("properties.provisioningState"), Some("Canceled"));
    assert_eq!(world.ask("GET", &rg("disks/one?api-version=2023-04-02"), "").status, 200);
    assert_eq!(world.ask("GET", &rg("disks/two?api-version=2023-04-02"), "").status, 404);
    assert_eq!(world.ask("POST", &action("stop", "cancel"), "").status, 409);
}

#[test]
fn supports_what_if_and_complete_mode() {
    let mut world = World::new();
    world.done("PUT", &rg("galleries/old?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
    let child = r#"{"location":"eastus","properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#;
    world.done("PUT", &rg("galleries/old/images/child?api-version=2026-03-03"), child);
    world.gallery();
    world.definition();
    let members = r#""resources": [
        {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "gal", "location": "eastus", "tags": {"a": "b"}},
        {"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "new", "location": "eastus"}]"#;
    let kinds = |answer: &Got| -> Vec<String> {
        let show = |change: &Json| {
            let name = change.text("resourceId").unwrap().rsplit('/').next().unwrap().to_owned();
            format!("{} {name}", change.text("changeType").unwrap())
        };
        answer
            .body
            .list("properties.changes")
            .iter()
            .map(show)
            .filter(|line| !line.contains("golden") && !line.ends_with("img") && !line.ends_with("child"))
            .collect()
    };
    let incremental = world.ask("POST", &action("try", "whatIf"), &body(members, ""));
    assert_eq!(kinds(&incremental), ["Modify gal", "Create new", "Ignore old"], "{}", incremental.raw);
    assert!(incremental.raw.contains(r#""path":"tags""#), "{}", incremental.raw);
    assert_eq!(world.ask("GET", &rg("galleries/new?api-version=2026-03-03"), "").status, 404);
    let complete = body(members, "").replace("Incremental", "Complete");
    assert!(
        kinds(&world.ask("POST", &action("try", "whatIf"), &complete)).contains(&"Delete old".to_owned())
    );
    assert_eq!(world.ask("PUT", &url("all"), &complete).status, 201);
    world.wait(120.0);
    let shown = world.ask("GET", &url("all"), "").body;
    assert_eq!(shown.text("properties.provisioningState"), Some("Succeeded"), "{}", shown.compact());
    assert_eq!(world.ask("GET", &rg("galleries/old?api-version=2026-03-03"), "").status, 404);
    assert_eq!(world.ask("GET", &rg("virtualMachines/golden-vm?api-version=2024-03-01"), "").status, 404);
    assert_eq!(world.ask("GET", &rg("galleries/gal?api-version=2026-03-03"), "").status, 200);
    assert_eq!(world.ask("GET", &gal("/images/img?api-version=2026-03-03"), "").status, 404);
    let again = world.ask("POST", &action("try", "whatIf"), &body(members, ""));
    assert_eq!(kinds(&again), ["NoChange gal", "NoChange new"], "{}", again.raw);
    let broken = world.ask("POST", &action("try", "whatIf"), &body(r#""resources": 1"#, ""));
    assert_eq!(broken.body.text("status"), Some("Failed"));
}

#[test]
fn calculates_the_hash_that_bicep_writes() {
    let world = World::new();
    let template = r#"{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{"_generator":{"name":"bicep","version":"0.4.1.14562","templateHash":"14009903274351708763"}},"parameters":{"yourName":{"type":"string"}},"functions":[],"variables":{"hello":"Hello World! - Hi"},"resources":[],"outputs":{"helloWorld":{"type":"string","value":"[format('{0} {1}', variables('hello'), parameters('yourName'))]"}}}"#;
    let url = "/providers/Microsoft.Resources/calculateTemplateHash?api-version=2024-03-01";
    let got = world.ask("POST", url, template);
    assert_eq!(got.body.text("templateHash"), Some("14009903274351708763"), "{}", got.raw);
    assert_eq!(got.body.text("minifiedTemplate"), Some(template));
    assert_eq!(world.ask("POST", url, "[]").code(), "InvalidTemplate");
}

#[test]
fn supports_subscription_deployments() {
    let mut world = World::new();
    let url = format!("{S}/providers/Microsoft.Resources/deployments/base?api-version=2024-03-01");
    let members = r#""resources": [
        {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2024-03-01", "name": "made-rg", "location": "eastus"},
        {"type": "Microsoft.Resources/deployments", "apiVersion": "2024-03-01", "name": "inside", "resourceGroup": "made-rg",
         "dependsOn": ["[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'made-rg')]"],
         "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "template": {"$schema": "x", "contentVersion": "1.0.0.0",
            "resources": [{"type": "Microsoft.Compute/galleries", "apiVersion": "2026-03-03", "name": "gal", "location": "[resourceGroup().location]"}]}}}]"#;
    assert_eq!(world.ask("PUT", &url, &body(members, "")).code(), "InvalidDeployment");
    let located = body(members, "").replacen('{', r#"{"location": "westeurope", "#, 1);
    let put = world.ask("PUT", &url, &located);
    assert_eq!(put.status, 201, "{}", put.raw);
    world.wait(60.0);
    let shown = world.ask("GET", &url, "").body;
    assert_eq!(shown.text("properties.provisioningState"), Some("Succeeded"), "{}", shown.compact());
    assert_eq!(shown.text("location"), Some("westeurope"));
    let gallery = format!(
        "{S}/resourceGroups/made-rg/providers/Microsoft.Compute/galleries/gal?api-version=2026-03-03"
    );
    assert_eq!(world.ask("GET", &gallery, "").status, 200);
    let moved = located.replace("westeurope", "northeurope");
    assert_eq!(world.ask("PUT", &url, &moved).code(), "InvalidDeploymentLocation");
}
