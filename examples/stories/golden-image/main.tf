# A golden image, from the Marketplace to two regions. It runs on the built-in emulator: no Azure account is needed.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "resource_group_name" {
  type        = string
  default     = "golden-rg"
  description = "The resource group of all objects. It already contains golden-vm."
}

variable "versions" {
  type        = set(string)
  default     = ["1.0.0"]
  description = "The published versions of the image."
}

variable "rebuild" {
  type        = string
  default     = "2026-11"
  description = "Change it to move the pin to the newest base image."
}

provider "azimage" {
  environment  = "emulator"
  default_tags = { team = "platform-engineering" }
}

# The newest Ubuntu image that satisfies the constraint at the time of the plan.
data "azimage_marketplace_image" "ubuntu" {
  location  = "eastus"
  publisher = "Canonical"
  offer     = "0001-com-ubuntu-server-jammy"
  sku       = "22_04-lts-gen2"
  version   = "~> 22.04.202401010"
}

# The base of this image. It moves to the newest version only when var.rebuild changes.
resource "azimage_marketplace_pin" "ubuntu" {
  location = "eastus"
  urn      = data.azimage_marketplace_image.ubuntu.urn
  keepers  = { rebuild = var.rebuild }
}

# Stops, generalizes and captures the machine that was built from the base image.
resource "azimage_managed_image" "golden" {
  name                = "golden-${var.rebuild}"
  resource_group_name = var.resource_group_name
  location            = "East US"
  hyper_v_generation  = "V2"

  capture {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/${var.resource_group_name}/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }

  tags = { base = azimage_marketplace_pin.ubuntu.urn }
}

resource "azimage_gallery" "golden" {
  name                = "golden"
  resource_group_name = var.resource_group_name
  location            = "eastus"
  description         = "Production images"
}

resource "azimage_image_definition" "ubuntu" {
  name               = "ubuntu-22.04"
  gallery_id         = azimage_gallery.golden.id
  os_type            = "Linux"
  hyper_v_generation = "V2"
  description        = "Ubuntu 22.04, hardened"

  identifier {
    publisher = "platform-engineering"
    offer     = "ubuntu"
    sku       = "22.04"
  }
}

resource "azimage_image_version" "ubuntu" {
  for_each = var.versions

  version             = each.value
  image_definition_id = azimage_image_definition.ubuntu.id
  tags                = { base = azimage_marketplace_pin.ubuntu.urn }

  source {
    managed_image_id = azimage_managed_image.golden.id
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }

  target_region {
    name                   = "West Europe"
    regional_replica_count = 2
  }
}

output "base" {
  description = "The URN of the base image."
  value       = azimage_marketplace_pin.ubuntu.urn
}

output "image" {
  description = "The ID with which a scale set uses the newest version."
  value       = azimage_image_definition.ubuntu.id
}

output "versions" {
  description = "The replication state of each version, by region."
  value       = { for name, version in azimage_image_version.ubuntu : name => version.replication_state }
}
