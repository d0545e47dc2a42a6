resource "azimage_version_retention" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"

  # Keeps the four newest versions, all versions of the last 90 days, and all versions in use.
  keep_latest     = 4
  keep_newer_than = "90d"
  keep_in_use     = true

  delete_versions = true
}

output "versions_to_delete" {
  value = azimage_version_retention.example.prunable
}
