resource "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
  location            = "eastus"
  description         = "Production images"

  soft_delete {
    enabled        = true
    retention_days = 14
  }

  tags = {
    environment = "production"
  }
}
