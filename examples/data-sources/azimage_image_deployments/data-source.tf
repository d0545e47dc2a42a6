data "azimage_image_deployments" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  since               = "7d"
}

output "median_seconds_by_version" {
  value = { for version in data.azimage_image_deployments.example.by_version : version.version => version.p50_seconds }
}
