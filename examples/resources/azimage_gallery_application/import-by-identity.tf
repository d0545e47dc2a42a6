import {
  to = azimage_gallery_application.example
  identity = {
    subscription_id     = "00000000-0000-0000-0000-000000000000"
    resource_group_name = "images-rg"
    gallery_name        = "golden"
    name                = "monitoring-agent"
  }
}
