# The newest version that satisfies the constraint at the time of the plan.
data "azimage_marketplace_image" "example" {
  location  = "eastus"
  publisher = "Canonical"
  offer     = "0001-com-ubuntu-server-jammy"
  sku       = "22_04-lts-gen2"
  version   = "~> 22.04.202401010"
}

# The version in use. It moves to the newest version only when the keeper changes.
resource "azimage_marketplace_pin" "example" {
  location = "eastus"
  urn      = data.azimage_marketplace_image.example.urn

  keepers = {
    rebuild = "2026-11"
  }
}

output "base_image" {
  value = azimage_marketplace_pin.example.urn
}
