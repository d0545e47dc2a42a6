data "azimage_image_versions" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  constraint          = ">= 1.0.0, < 2.0.0"

  tags = {
    approved = "true"
  }
}

output "approved_versions" {
  value = data.azimage_image_versions.example.versions[*].version
}
