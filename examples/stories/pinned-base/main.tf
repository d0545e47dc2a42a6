# A base image that does not move under the pipeline: new versions appear, and nothing changes until somebody says so.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "rebuild" {
  type        = string
  default     = "2026-11"
  description = "Change it to move the pin to the newest base image."
}

provider "azimage" {
  environment = "emulator"

  guardrails {
    deny_latest     = true
    deny_deprecated = true
  }
}

# The newest that satisfies the constraint, looked up at every plan …
data "azimage_marketplace_image" "debian" {
  location  = "westeurope"
  publisher = "Debian"
  offer     = "debian-12"
  sku       = "12-gen2"
  version   = ">= 0.20240101.1"
}

# … and the one that builds use, which moves only with its keepers.
resource "azimage_marketplace_pin" "debian" {
  location = "westeurope"
  urn      = data.azimage_marketplace_image.debian.urn
  keepers  = { rebuild = var.rebuild }
}

output "base" {
  description = "What builds use."
  value       = azimage_marketplace_pin.debian.urn
}

output "newest" {
  description = "What they could use."
  value       = data.azimage_marketplace_image.debian.urn
}

# Packer, Image Builder or a virtual machine take the four parts of the pinned URN apart.
output "packer_variables" {
  description = "The pinned image as Packer's azure-arm builder wants it."
  value = {
    image_publisher = azimage_marketplace_pin.debian.publisher
    image_offer     = azimage_marketplace_pin.debian.offer
    image_sku       = azimage_marketplace_pin.debian.sku
    image_version   = azimage_marketplace_pin.debian.version
  }
}
