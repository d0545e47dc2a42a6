import {
  to = azimage_image_definition.example
  identity = {
    subscription_id     = "00000000-0000-0000-0000-000000000000"
    resource_group_name = "images-rg"
    gallery_name        = "golden"
    name                = "ubuntu-24.04"
  }
}
