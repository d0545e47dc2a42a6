list "azimage_image_version" "web" {
  provider = azimage
  limit    = 500

  config {
    image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/web"
    name_regex          = "^1\\."
  }
}
