list "azimage_gallery_application" "golden" {
  provider         = azimage
  include_resource = true

  config {
    gallery_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden"
  }
}
