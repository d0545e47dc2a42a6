# A pinned base image: new versions appear, but nothing changes until the pin is moved.

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

# The newest version that satisfies the constraint, looked up in every plan.
data "azimage_marketplace_image" "debian" {
  location  = "westeurope"
  publisher = "Debian"
  offer     = "debian-12"
  sku       = "12-gen2"
  version   = ">= 0.20240101.1"
}

# The version that builds use. It moves only when the keepers change.
resource "azimage_marketplace_pin" "debian" {
  location = "westeurope"
  urn      = data.azimage_marketplace_image.debian.urn
  keepers  = { rebuild = var.rebuild }
}

output "base" {
  description = "The URN that builds use."
  value       = azimage_marketplace_pin.debian.urn
}

output "newest" {
  description = "The newest available URN."
  value       = data.azimage_marketplace_image.debian.urn
}

# Packer, Image Builder and virtual machines need the four parts of the pinned URN.
output "packer_variables" {
  description = "The pinned image as arguments of Packer's azure-arm builder."
  value = {
    image_publisher = azimage_marketplace_pin.debian.publisher
    image_offer     = azimage_marketplace_pin.debian.offer
    image_sku       = azimage_marketplace_pin.debian.sku
    image_version   = azimage_marketplace_pin.debian.version
  }
}
