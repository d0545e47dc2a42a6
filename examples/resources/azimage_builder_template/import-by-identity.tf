import {
  to = azimage_builder_template.example
  identity = {
    subscription_id     = "00000000-0000-0000-0000-000000000000"
    resource_group_name = "images-rg"
    name                = "web"
  }
}
