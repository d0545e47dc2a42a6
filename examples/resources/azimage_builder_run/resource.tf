resource "azimage_builder_template" "example" {
  name                = "web"
  resource_group_name = "images-rg"
  location            = "eastus"

  identity {
    identity_ids = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/image-builder"]
  }

  source {
    marketplace_urn = "Canonical:ubuntu-24_04-lts:server:latest"
  }

  distribute {
    run_output_name = "gallery"
    image_version {
      image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/web"
    }
  }
}

# Builds the images now, and again every month.
resource "azimage_builder_run" "example" {
  template_id = azimage_builder_template.example.id
  keepers = {
    month = "2026-11"
  }
}

output "image_version_id" {
  value = azimage_builder_run.example.image_version_ids[0]
}
