# The newest 1.x version that machines in westeurope can be created from.
data "azimage_image_version" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  version             = "~> 1.0"
  location            = "westeurope"
}

output "image" {
  value = data.azimage_image_version.example.id
}

# The versions that were skipped, with the reasons.
output "skipped" {
  value = data.azimage_image_version.example.skipped
}
