# The security team publishes. The application teams may only create machines from the image.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "teams" {
  type        = map(string)
  default     = {}
  description = "The object ID of each team's service principal."
}

provider "azimage" {
  environment = "emulator"
}

resource "azimage_gallery" "images" {
  name                = "images"
  resource_group_name = "security"
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
    publisher = "security"
    offer     = "web"
    sku       = "standard"
  }
}

resource "azimage_image_version" "web" {
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.web.id

  source {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/security/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }

  target_region {
    name = "eastus"
  }
}

# on the definition, not on the gallery, so that each team sees only its own images
resource "azimage_role_assignment" "consumers" {
  for_each = var.teams

  scope_id       = azimage_image_definition.web.id
  role_name      = "Compute Gallery Image Reader"
  principal_id   = each.value
  principal_type = "ServicePrincipal"
  description    = "${each.key} creates machines from this image"
}
