import {
  to = azimage_marketplace_pin.example
  identity = {
    location = "eastus"
    urn      = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202410020"
  }
}
