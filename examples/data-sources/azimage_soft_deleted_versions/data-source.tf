data "azimage_soft_deleted_versions" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
}

output "restorable_versions" {
  value = {
    for version in data.azimage_soft_deleted_versions.example.versions : version.version => version.gone_at
  }
}
