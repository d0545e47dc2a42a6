# Three galleries, one for each environment: a version is promoted by copying it into the next gallery.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "versions" {
  type        = map(set(string))
  default     = { dev = ["1.0.0", "1.1.0"], qa = ["1.0.0"], prod = [] }
  description = "The versions in each environment. A version of qa must be in dev, and one of prod in qa."

  validation {
    condition     = length(setsubtract(var.versions.qa, var.versions.dev)) == 0
    error_message = "A version of qa is not in dev."
  }

  validation {
    condition     = length(setsubtract(var.versions.prod, var.versions.qa)) == 0
    error_message = "A version of prod is not in qa."
  }
}

provider "azimage" {
  environment = "emulator"
}

resource "azimage_gallery" "images" {
  for_each = toset(["dev", "qa", "prod"])

  name                = "images_${each.key}"
  resource_group_name = "images-${each.key}"
  location            = "eastus"
}

resource "azimage_image_definition" "web" {
  for_each = azimage_gallery.images

  name               = "web"
  gallery_id         = each.value.id
  os_type            = "Linux"
  os_state           = "Specialized"
  hyper_v_generation = "V2"
  security_type      = "Standard" # a machine cannot be the source of TrustedLaunchSupported

  identifier {
    publisher = "platform-engineering"
    offer     = "web"
    sku       = "standard"
  }
}

# dev gets the built version,
resource "azimage_image_version" "dev" {
  for_each = var.versions.dev

  version             = each.key
  image_definition_id = azimage_image_definition.web["dev"].id

  source {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-dev/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }

  target_region {
    name = "eastus"
  }
}

# qa gets a copy of the version in dev,
resource "azimage_image_version" "qa" {
  for_each = var.versions.qa

  version             = each.key
  image_definition_id = azimage_image_definition.web["qa"].id

  source {
    image_version_id = azimage_image_version.dev[each.key].id
  }

  target_region {
    name = "eastus"
  }
}

# and prod gets a copy of the version in qa, in more regions, which does not depend on dev
resource "azimage_image_version" "prod" {
  for_each = var.versions.prod

  version             = each.key
  image_definition_id = azimage_image_definition.web["prod"].id

  source {
    image_version_id = azimage_image_version.qa[each.key].id
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

output "prod" {
  description = "The versions in prod, with their regions."
  value       = { for name, version in azimage_image_version.prod : name => keys(version.replication_state) }
}
