data "azimage_marketplace_image" "example" {
  location  = "eastus"
  publisher = "Canonical"
  offer     = "0001-com-ubuntu-server-jammy"
  sku       = "22_04-lts-gen2"
  version   = "~> 22.04.202401010"
}

output "urn" {
  value = data.azimage_marketplace_image.example.urn
}

# Fails the run before a machine is created from an image that will be deprecated.
check "base_image" {
  assert {
    condition     = data.azimage_marketplace_image.example.deprecation_state == "Active"
    error_message = "The base image is deprecated; use ${coalesce(data.azimage_marketplace_image.example.alternative_urn, "another one")}."
  }
}
