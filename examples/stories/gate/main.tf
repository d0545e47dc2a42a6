# A gate for production: a version is published with exclude_from_latest, tested, and promoted only if the test passes.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "versions" {
  type        = set(string)
  default     = ["1.0.0"]
  description = "The published versions. Each is built in a separate resource group."
}

variable "promoted" {
  type        = set(string)
  default     = []
  description = "The versions that production may use as the latest. A pipeline adds a version after an apply in which its test has passed."
}

locals {
  subscription = "/subscriptions/00000000-0000-0000-0000-000000000000"
}

provider "azimage" {
  environment  = "emulator"
  default_tags = { team = "platform-engineering" }
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

# 1. capture the built machine
resource "azimage_managed_image" "web" {
  for_each = var.versions

  name                = "web-${each.key}"
  resource_group_name = "build-${each.key}"
  location            = "eastus"
  hyper_v_generation  = "V2"

  capture {
    virtual_machine_id = "${local.subscription}/resourceGroups/build-${each.key}/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }
}

# 2. publish it, excluded from latest until it is promoted
resource "azimage_image_version" "web" {
  for_each = var.versions

  version             = each.key
  image_definition_id = azimage_image_definition.web.id
  exclude_from_latest = !contains(var.promoted, each.key)

  source {
    managed_image_id = azimage_managed_image.web[each.key].id
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }
}

# 3. boot it and run checks: a failed test stops the apply, and the version stays excluded
resource "azimage_image_test" "web" {
  for_each = var.versions

  image_version_id    = azimage_image_version.web[each.key].id
  resource_group_name = "image-tests"
  subnet_id           = "${local.subscription}/resourceGroups/image-tests/providers/Microsoft.Network/virtualNetworks/tests/subnets/machines"

  check {
    name   = "the web server runs"
    script = "systemctl is-active nginx"
  }

  check {
    name   = "the page is served"
    script = "curl --fail --silent http://localhost/"
  }
}

output "tests" {
  description = "The test results of each version."
  value       = { for version, test in azimage_image_test.web : version => test.check_results }
}

# 4. production uses the latest version
data "azimage_image_version" "production" {
  count = length(var.promoted) > 0 ? 1 : 0

  image_definition_id = azimage_image_definition.web.id
  version             = "latest"
  location            = "eastus"
  depends_on          = [azimage_image_version.web]
}

output "production" {
  description = "The version that production uses."
  value       = one(data.azimage_image_version.production[*].id)
}
