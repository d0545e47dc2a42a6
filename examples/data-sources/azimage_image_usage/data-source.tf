data "azimage_image_usage" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
}

output "machines_by_version" {
  value = data.azimage_image_usage.example.versions_in_use

  precondition {
    condition     = data.azimage_image_usage.example.complete
    error_message = "Usage is not fully known: ${coalesce(data.azimage_image_usage.example.incomplete_reason, "-")}"
  }
}
