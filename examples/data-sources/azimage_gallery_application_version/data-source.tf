# The newest 2.x version that machines in eastus can install.
data "azimage_gallery_application_version" "example" {
  gallery_application_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/applications/monitoring-agent"
  name                   = "~> 2.0"
  location               = "eastus"
}

output "package_reference_id" {
  value = data.azimage_gallery_application_version.example.id
}
