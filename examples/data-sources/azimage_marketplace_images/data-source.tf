data "azimage_marketplace_images" "example" {
  location   = "eastus"
  publisher  = "Canonical"
  offer      = "0001-com-ubuntu-server-jammy"
  sku        = "22_04-lts-gen2"
  constraint = ">= 22.04.202401010"
  limit      = 5
}

output "newest_five" {
  value = data.azimage_marketplace_images.example.versions
}
