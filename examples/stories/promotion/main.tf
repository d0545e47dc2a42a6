# Three environments on three versions of one image: dev uses the latest version, qa and prod use constraints.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "versions" {
  type        = set(string)
  default     = ["1.0.0", "1.0.12", "1.1.0", "2.0.0"]
  description = "The published versions."
}

variable "qa" {
  type        = string
  default     = "~> 1.0"
  description = "The constraint of qa, which uses the newest version that satisfies it."
}

variable "prod" {
  type        = string
  default     = "~> 1.0.0"
  description = "The constraint of prod, which uses the newest version that satisfies it."
}

locals {
  machine = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images/providers/Microsoft.Compute/virtualMachines/golden-vm"
}

provider "azimage" {
  environment = "emulator"
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
  os_state           = "Specialized"
  hyper_v_generation = "V2"
  security_type      = "Standard" # a machine cannot be the source of TrustedLaunchSupported

  identifier {
    publisher = "platform-engineering"
    offer     = "web"
    sku       = "standard"
  }
}

resource "azimage_image_version" "web" {
  for_each = var.versions

  version             = each.value
  image_definition_id = azimage_image_definition.web.id
  # a release candidate is used only if it is requested by number
  exclude_from_latest = provider::azimage::version_satisfies(each.value, ">= 3.0.0")

  source {
    virtual_machine_id = local.machine
  }

  target_region {
    name = "eastus"
  }
}

data "azimage_image_version" "dev" {
  image_definition_id = azimage_image_definition.web.id
  version             = "latest"
  location            = "eastus"
  depends_on          = [azimage_image_version.web]
}

data "azimage_image_version" "qa" {
  image_definition_id = azimage_image_definition.web.id
  version             = var.qa
  location            = "eastus"
  depends_on          = [azimage_image_version.web]
}

data "azimage_image_version" "prod" {
  image_definition_id = azimage_image_definition.web.id
  version             = var.prod
  location            = "eastus"
  depends_on          = [azimage_image_version.web]
}

output "environments" {
  description = "The version of each environment."
  value = {
    for name, id in {
      dev  = data.azimage_image_version.dev.id
      qa   = data.azimage_image_version.qa.id
      prod = data.azimage_image_version.prod.id
    } : name => provider::azimage::parse_image_id(id).version
  }
}
