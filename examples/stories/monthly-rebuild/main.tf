# A monthly rebuild: the pin moves, a new version is published, and old versions are deleted once they are unused.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "month" {
  type        = string
  default     = "2026-06"
  description = "The month of the build. Changing it moves the pin and publishes the next version."
}

variable "delete_versions" {
  type        = bool
  default     = true
  description = "Whether versions that no rule keeps are deleted, or only listed."
}

locals {
  subscription = "/subscriptions/00000000-0000-0000-0000-000000000000"
  # 2026-06 is version 2026.6.0
  version = format("%d.%d.0", split("-", var.month)...)
}

provider "azimage" {
  environment = "emulator"
}

data "azimage_marketplace_image" "ubuntu" {
  location  = "eastus"
  publisher = "Canonical"
  offer     = "0001-com-ubuntu-server-jammy"
  sku       = "22_04-lts-gen2"
  version   = "latest"
}

resource "azimage_marketplace_pin" "ubuntu" {
  location = "eastus"
  urn      = data.azimage_marketplace_image.ubuntu.urn
  keepers  = { rebuild = var.month }
}

resource "azimage_managed_image" "web" {
  name                = "web-${var.month}"
  resource_group_name = "build-${var.month}"
  location            = "eastus"
  hyper_v_generation  = "V2"
  tags                = { base = azimage_marketplace_pin.ubuntu.urn }

  capture {
    virtual_machine_id = "${local.subscription}/resourceGroups/build-${var.month}/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }
}

resource "azimage_gallery" "images" {
  name                = "images"
  resource_group_name = "images"
  location            = "eastus"
}

resource "azimage_image_definition" "web" {
  name               = "web"
  gallery_id         = azimage_gallery.images.id
  os_type            = "Linux"
  hyper_v_generation = "V2"

  identifier {
    publisher = "platform-engineering"
    offer     = "web"
    sku       = "standard"
  }
}

# next month the resource has another version, and this month's version stays in Azure
resource "azimage_image_version" "web" {
  version             = local.version
  image_definition_id = azimage_image_definition.web.id
  deletion_policy     = "retain"
  tags                = { base = azimage_marketplace_pin.ubuntu.urn }

  source {
    managed_image_id = azimage_managed_image.web.id
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }

  target_region {
    name                   = "westeurope"
    regional_replica_count = 2
  }
}

# keeps the four newest versions, and all versions in use
resource "azimage_version_retention" "web" {
  image_definition_id = azimage_image_definition.web.id
  keep_latest         = 4
  keep_in_use         = true
  delete_versions     = var.delete_versions
  depends_on          = [azimage_image_version.web]
}

data "azimage_image_usage" "web" {
  image_definition_id = azimage_image_definition.web.id
  depends_on          = [azimage_version_retention.web]
}

data "azimage_image_cost" "web" {
  image_definition_id = azimage_image_definition.web.id
  prices              = { eastus = 0.05, westeurope = 0.054 }
  depends_on          = [azimage_version_retention.web]
}

output "kept" {
  description = "The versions that are kept, with the reasons."
  value       = azimage_version_retention.web.kept
}

output "prunable" {
  description = "The versions that the next apply deletes."
  value       = azimage_version_retention.web.prunable
}

output "in_use" {
  description = "The number of machines, scale sets and disks that use each version."
  value       = data.azimage_image_usage.web.versions_in_use
}

output "monthly_cost" {
  description = "The maximum monthly cost of all replicas, in US dollars."
  value       = data.azimage_image_cost.web.monthly_cost
}
