//! A configuration with a managed image, a gallery, an image definition, an image version, and a Marketplace lookup.
#![allow(dead_code, reason = "each test file uses its own part")]

use crate::support::{HEAD, SUBSCRIPTION, definition};

/// The configuration, with a provider block for a service principal.
pub fn golden() -> String {
    let definition = definition("d", "g", "");
    format!(
        r#"{HEAD}
provider "azimage" {{
  default_tags = {{ team = "images" }}
}}
data "azimage_marketplace_image" "windows" {{
  location = "West Europe"
  urn      = "MicrosoftWindowsServer:WindowsServer:2025-datacenter-g2:latest"
}}
resource "azimage_managed_image" "i" {{
  name                = "img"
  resource_group_name = "my-rg"
  location            = "East US"
  capture {{
    virtual_machine_id = "/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }}
}}
resource "azimage_gallery" "g" {{
  name                = "gal"
  resource_group_name = "my-rg"
  location            = "East US"
}}
{definition}resource "azimage_image_version" "v" {{
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.d.id
  end_of_life_date    = "2039-04-30T02:00:00+02:00"
  source {{
    managed_image_id = azimage_managed_image.i.id
  }}
  target_region {{
    name                   = "eastus"
    regional_replica_count = 2
  }}
  target_region {{
    name = "West Europe"
  }}
}}
"#
    )
}

/// The path of the image version below the provider.
pub const VERSION: &str = "/galleries/gal/images/def/versions/1.0.0";

/// The ID of the object with this path below the provider.
pub fn id(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Compute{rest}")
}
