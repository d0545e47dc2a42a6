# Packer builds and publishes (image.pkr.hcl), Terraform tests and hands out. Nobody but Packer owns the version.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "manifest" {
  type        = string
  default     = null
  description = "The file that Packer's manifest post-processor has written, once there is one."
}

provider "azimage" {
  environment = "emulator"
}

locals {
  # the last run of Packer, whatever earlier runs are in the file
  built = var.manifest == null ? null : provider::azimage::packer_artifact(file(var.manifest)).builds["web"]
}

# before the first build: where Packer publishes to
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

# after it: what Packer has published, which Terraform only reads
data "azimage_image_version" "built" {
  count = local.built == null ? 0 : 1

  image_definition_id = azimage_image_definition.web.id
  version             = local.built.version
  location            = "eastus"
}

resource "azimage_image_test" "built" {
  count = local.built == null ? 0 : 1

  image_version_id    = data.azimage_image_version.built[0].id
  resource_group_name = "image-tests"
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/image-tests/providers/Microsoft.Network/virtualNetworks/tests/subnets/machines"

  check {
    name   = "nginx runs"
    script = "systemctl is-active nginx"
  }
}

output "image" {
  description = "The tested version, for those who create machines."
  value       = one(azimage_image_test.built[*].image_version_id)
}

output "base" {
  description = "What Packer built it from."
  value       = local.built == null ? null : local.built.custom_data["base"]
}
