//! Equivalent configurations for every provider: many existing versions, and a few new ones.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::emulator::GROUP;

/// The provider that is measured.
pub enum Subject {
    /// Terraform alone, with the same number of built-in `terraform_data` resources.
    Floor,
    /// This provider.
    Azimage(PathBuf),
    /// hashicorp/azurerm.
    Azurerm(PathBuf),
    /// Azure/azapi.
    Azapi(PathBuf),
}

impl Subject {
    /// The name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Subject::Floor => "terraform_data",
            Subject::Azimage(_) => "azimage",
            Subject::Azurerm(_) => "azurerm",
            Subject::Azapi(_) => "azapi",
        }
    }

    /// The provider's binary.
    pub fn binary(&self) -> Option<&Path> {
        match self {
            Subject::Floor => None,
            Subject::Azimage(path) | Subject::Azurerm(path) | Subject::Azapi(path) => Some(path),
        }
    }

    fn source(&self) -> Option<&'static str> {
        match self {
            Subject::Floor => None,
            Subject::Azimage(_) => Some("azimage/azimage"),
            Subject::Azurerm(_) => Some("hashicorp/azurerm"),
            Subject::Azapi(_) => Some("azure/azapi"),
        }
    }

    fn settings(&self) -> &'static str {
        match self {
            Subject::Azurerm(_) => "  features {}\n  resource_provider_registrations = \"none\"\n",
            _ => "",
        }
    }
}

/// Writes the CLI configuration, in which every provider is a local binary.
pub fn cli_config(dir: &Path, subjects: &[Subject]) -> PathBuf {
    let mut overrides = String::new();
    for (binary, source) in subjects.iter().filter_map(|subject| Some((subject.binary()?, subject.source()?)))
    {
        let name = source.rsplit('/').next().unwrap();
        let folder = dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        symlink(fs::canonicalize(binary).unwrap(), folder.join(format!("terraform-provider-{name}")))
            .unwrap();
        overrides += &format!("    {source:?} = {:?}\n", folder.display().to_string());
    }
    let path = dir.join("terraform.rc");
    let text = format!("provider_installation {{\n  dev_overrides {{\n{overrides}  }}\n  direct {{}}\n}}\n");
    fs::write(&path, text).unwrap();
    path
}

/// The number of versions in one resource block. Terraform's own work for an instance grows with the number of its
/// siblings.
const BLOCK: usize = 1000;

/// Configures one gallery with existing definitions and versions.
pub fn many(folder: &Path, subject: &Subject, definitions: usize, versions: usize) {
    let blocks: Vec<String> = (0..versions.div_ceil(BLOCK)).map(|block| format!("v{block}")).collect();
    let mut locals = format!("  definitions = toset([for d in range({definitions}) : \"d${{d}}\"])\n");
    for (block, name) in blocks.iter().enumerate() {
        let (first, end) = (block * BLOCK, versions.min((block + 1) * BLOCK));
        locals += &format!(
            "  {name} = {{ for n in range({first}, {end}) : \"${{n % {definitions}}}-${{floor(n / {definitions})}}\" => {{\n    \
             definition = \"d${{n % {definitions}}}\", version = \"1.0.${{floor(n / {definitions})}}\"\n  }} }}\n"
        );
    }
    let mut resources = parents(subject, "bench", "local.definitions");
    for name in &blocks {
        resources += &self::versions(subject, name, &format!("local.{name}"));
    }
    write(folder, subject, &format!("locals {{\n{locals}}}\n{resources}"));
}

/// Writes import blocks for the resources of [`many`].
pub fn imports(folder: &Path, subject: &Subject) {
    let Some([gallery, definition, version]) = addresses(subject) else { return };
    let suffix =
        if matches!(subject, Subject::Azapi(_)) { format!("?api-version={AZAPI}") } else { String::new() };
    let base = id("galleries/bench");
    let imports = format!(
        "import {{\n  to = {gallery}\n  id = \"{base}{suffix}\"\n}}\n\
         import {{\n  for_each = local.definitions\n  to = {definition}[each.key]\n  id = \"{base}/images/${{each.key}}{suffix}\"\n}}\n\
         import {{\n  for_each = local.v0\n  to = {version}0[each.key]\n  \
         id = \"{base}/images/${{each.value.definition}}/versions/${{each.value.version}}{suffix}\"\n}}\n"
    );
    fs::write(folder.join("imports.tf"), imports).unwrap();
}

/// Turns a state with one version per definition into a state with all `versions`, and removes the import blocks.
/// Terraform itself would need minutes, because it copies the whole state for every imported resource. `published`
/// contains the published date of each version.
pub fn multiply(folder: &Path, published: &[HashMap<String, String>], versions: usize) {
    let definitions = published.len();
    let _ = fs::remove_file(folder.join("imports.tf"));
    let path = folder.join("terraform.tfstate");
    let mut state: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let resources = state["resources"].as_array_mut().unwrap();
    let place = resources.iter().position(|resource| resource["name"] == "v0").unwrap();
    let one_each = resources.remove(place);
    let of = |definition: usize| {
        let key = format!("{definition}-0");
        one_each["instances"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["index_key"] == key)
            .unwrap()
            .to_string()
    };
    let firsts: Vec<String> = (0..definitions).map(of).collect();
    for (block, first) in (0..versions).step_by(BLOCK).enumerate() {
        let mut resource = one_each.clone();
        resource["name"] = format!("v{block}").into();
        resource["instances"] = (first..versions.min(first + BLOCK))
            .map(|number| {
                let (definition, version) = (number % definitions, number / definitions);
                let (dates, name) = (&published[definition], format!("1.0.{version}"));
                let text = firsts[definition].replace(&dates["1.0.0"], &dates[&name]).replace("1.0.0", &name);
                let mut instance: Json = serde_json::from_str(&text).unwrap();
                instance["index_key"] = format!("{definition}-{version}").into();
                instance
            })
            .collect::<Vec<_>>()
            .into();
        resources.push(resource);
    }
    fs::write(&path, state.to_string()).unwrap();
}

/// Configures one gallery with one definition and two versions that do not exist yet.
pub fn few(folder: &Path, subject: &Subject) {
    let gallery = format!("few_{}", subject.name());
    let versions = "{ for v in range(2) : tostring(v) => { definition = \"few\", version = \"1.0.${v}\" } }";
    let parents = parents(subject, &gallery, "toset([\"few\"])");
    write(folder, subject, &(parents + &self::versions(subject, "v", versions)));
}

const AZAPI: &str = "2024-03-03";

fn id(rest: &str) -> String {
    let subscription = std::env::var("ARM_SUBSCRIPTION_ID").unwrap();
    format!("/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/Microsoft.Compute/{rest}")
}

fn write(folder: &Path, subject: &Subject, resources: &str) {
    fs::create_dir_all(folder).unwrap();
    let head = match subject.source() {
        None => String::new(),
        Some(source) => {
            let name = source.rsplit('/').next().unwrap();
            format!(
                "terraform {{\n  required_providers {{\n    {name} = {{ source = {source:?} }}\n  }}\n}}\n\
                 provider {name:?} {{\n{}}}\n",
                subject.settings()
            )
        }
    };
    fs::write(folder.join("main.tf"), head + resources).unwrap();
}

fn addresses(subject: &Subject) -> Option<[&'static str; 3]> {
    match subject {
        Subject::Floor => None,
        Subject::Azimage(_) => {
            Some(["azimage_gallery.g", "azimage_image_definition.d", "azimage_image_version.v"])
        }
        Subject::Azurerm(_) => Some([
            "azurerm_shared_image_gallery.g",
            "azurerm_shared_image.d",
            "azurerm_shared_image_version.v",
        ]),
        Subject::Azapi(_) => Some(["azapi_resource.g", "azapi_resource.d", "azapi_resource.v"]),
    }
}

/// The gallery and its definitions.
fn parents(subject: &Subject, gallery: &str, definitions: &str) -> String {
    let group = id("").split("/providers/").next().unwrap().to_owned();
    match subject {
        Subject::Floor => format!(
            r#"
resource "terraform_data" "g" {{
  input = {{ name = "{gallery}", location = "westeurope" }}
}}
resource "terraform_data" "d" {{
  for_each = {definitions}
  input    = {{ name = each.key, gallery_id = terraform_data.g.id, os_type = "Linux", sku = each.key }}
}}
"#
        ),
        Subject::Azimage(_) => parents_in_blocks(
            ["azimage_gallery", "azimage_image_definition"],
            [gallery, definitions],
            "gallery_id = azimage_gallery.g.id",
        ),
        Subject::Azurerm(_) => parents_in_blocks(
            ["azurerm_shared_image_gallery", "azurerm_shared_image"],
            [gallery, definitions],
            &format!(
                "gallery_name = azurerm_shared_image_gallery.g.name\n  resource_group_name = \"{GROUP}\"\n  \
                 location = \"westeurope\""
            ),
        ),
        Subject::Azapi(_) => format!(
            r#"
resource "azapi_resource" "g" {{
  type                      = "Microsoft.Compute/galleries@{AZAPI}"
  parent_id                 = "{group}"
  name                      = "{gallery}"
  location                  = "westeurope"
  schema_validation_enabled = false
  body                      = {{ properties = {{}} }}
}}
resource "azapi_resource" "d" {{
  for_each                  = {definitions}
  type                      = "Microsoft.Compute/galleries/images@{AZAPI}"
  parent_id                 = azapi_resource.g.id
  name                      = each.key
  location                  = "westeurope"
  schema_validation_enabled = false
  body = {{ properties = {{
    osType           = "Linux"
    osState          = "Generalized"
    hyperVGeneration = "V2"
    identifier       = {{ publisher = "contoso", offer = "linux", sku = each.key }}
  }} }}
}}
"#
        ),
    }
}

/// The gallery and its definitions with the arguments that azimage and azurerm have in common; `parent` refers from a
/// definition to the gallery.
fn parents_in_blocks(types: [&str; 2], [gallery, definitions]: [&str; 2], parent: &str) -> String {
    let [gallery_type, definition_type] = types;
    format!(
        r#"
resource "{gallery_type}" "g" {{
  name                = "{gallery}"
  resource_group_name = "{GROUP}"
  location            = "westeurope"
}}
resource "{definition_type}" "d" {{
  for_each           = {definitions}
  name               = each.key
  {parent}
  os_type            = "Linux"
  hyper_v_generation = "V2"
  identifier {{
    publisher = "contoso"
    offer     = "linux"
    sku       = each.key
  }}
}}
"#
    )
}

/// The versions of one block.
fn versions(subject: &Subject, name: &str, each: &str) -> String {
    let image = id("images/golden");
    match subject {
        Subject::Floor => format!(
            r#"resource "terraform_data" "{name}" {{
  for_each = {each}
  input = {{
    version             = each.value.version
    image_definition_id = terraform_data.d[each.value.definition].id
    tags                = {{ build = each.value.version }}
    source              = "{image}"
    target_region       = "westeurope"
  }}
}}
"#
        ),
        Subject::Azimage(_) => format!(
            r#"resource "azimage_image_version" "{name}" {{
  for_each            = {each}
  version             = each.value.version
  image_definition_id = azimage_image_definition.d[each.value.definition].id
  tags                = {{ build = each.value.version }}
  source {{
    managed_image_id = "{image}"
  }}
  target_region {{
    name                   = "westeurope"
    regional_replica_count = 1
  }}
}}
"#
        ),
        Subject::Azurerm(_) => format!(
            r#"resource "azurerm_shared_image_version" "{name}" {{
  for_each            = {each}
  name                = each.value.version
  gallery_name        = azurerm_shared_image_gallery.g.name
  image_name          = azurerm_shared_image.d[each.value.definition].name
  resource_group_name = "{GROUP}"
  location            = "westeurope"
  managed_image_id    = "{image}"
  tags                = {{ build = each.value.version }}
  target_region {{
    name                   = "westeurope"
    regional_replica_count = 1
  }}
}}
"#
        ),
        Subject::Azapi(_) => format!(
            r#"resource "azapi_resource" "{name}" {{
  for_each                  = {each}
  type                      = "Microsoft.Compute/galleries/images/versions@{AZAPI}"
  parent_id                 = azapi_resource.d[each.value.definition].id
  name                      = each.value.version
  location                  = "westeurope"
  tags                      = {{ build = each.value.version }}
  schema_validation_enabled = false
  body = {{ properties = {{
    publishingProfile = {{ targetRegions = [{{ name = "West Europe", regionalReplicaCount = 1 }}] }}
    storageProfile    = {{ source = {{ id = "{image}" }} }}
  }} }}
}}
"#
        ),
    }
}
