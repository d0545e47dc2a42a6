import {
  to = azimage_version_retention.example
  identity = {
    subscription_id     = "00000000-0000-0000-0000-000000000000"
    resource_group_name = "images-rg"
    gallery_name        = "golden"
    image_name          = "ubuntu-24.04"
  }
}
