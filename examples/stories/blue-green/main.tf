# Two versions side by side, one of them live. Changing one variable switches between them.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "versions" {
  type        = map(string)
  default     = { blue = "1.0.0", green = "1.1.0" }
  description = "The version of each colour."
}

variable "live" {
  type        = string
  default     = "blue"
  description = "The live colour, which production uses."
}

provider "azimage" {
  environment = "emulator"
}

resource "azimage_gallery" "images" {
  name                = "images"
  resource_group_name = "images"
  location            = "eastus"
}

resource "azimage_image_definition" "shop" {
  name               = "shop"
  gallery_id         = azimage_gallery.images.id
  os_type            = "Linux"
  os_state           = "Specialized"
  hyper_v_generation = "V2"
  security_type      = "Standard" # a machine cannot be the source of TrustedLaunchSupported

  identifier {
    publisher = "platform-engineering"
    offer     = "shop"
    sku       = "standard"
  }
}

resource "azimage_image_version" "shop" {
  for_each = var.versions

  version             = each.value
  image_definition_id = azimage_image_definition.shop.id
  # a rebuilt colour keeps its old version for a rollback
  deletion_policy = "retain"
  # scale sets that use the latest version get the live one
  exclude_from_latest = each.key != var.live
  tags                = { colour = each.key }

  source {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }
}

output "live" {
  description = "The image version that production uses."
  value       = azimage_image_version.shop[var.live].id
}
