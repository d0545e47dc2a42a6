# Packer builds and publishes a version (image.pkr.hcl). Terraform only reads, tests and passes on the version.

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
  description = "The file of Packer's manifest post-processor, if it exists."
}

provider "azimage" {
  environment = "emulator"
}

locals {
  # the last run of Packer; earlier runs in the file are ignored
  built = var.manifest == null ? null : provider::azimage::packer_artifact(file(var.manifest)).builds["web"]
}

# before the first build: the definition that Packer publishes to
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

# after the build: the version that Packer published, which Terraform only reads
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
  description = "The tested version, for use by machines."
  value       = one(azimage_image_test.built[*].image_version_id)
}

output "base" {
  description = "The base image of the Packer build."
  value       = local.built == null ? null : local.built.custom_data["base"]
}
