# The version does not wait for replication, …
resource "azimage_image_version" "example" {
  version              = "1.0.0"
  image_definition_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  wait_for_replication = "none"

  source {
    managed_image_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/images/golden-2026-11"
  }

  target_region {
    name = "eastus"
  }

  target_region {
    name = "westeurope"
  }
}

# … so resources that need the image in westeurope depend on this resource.
resource "azimage_image_replication" "example" {
  image_version_id = azimage_image_version.example.id
  regions          = ["westeurope"]

  timeouts {
    create = "2h"
  }
}
