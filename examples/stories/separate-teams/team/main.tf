# An application team with its own credentials: it can read the newest version, but not publish one.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
  }
}

variable "publish" {
  type        = bool
  default     = false
  description = "Whether the team tries to publish a version."
}

provider "azimage" {}

locals {
  definition = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/security/providers/Microsoft.Compute/galleries/images/images/web"
}

data "azimage_image_version" "web" {
  image_definition_id = local.definition
  version             = "~> 1.0"
  location            = "eastus"
}

resource "azimage_image_version" "own" {
  count = var.publish ? 1 : 0

  version             = "1.0.1"
  image_definition_id = local.definition
  location            = "eastus"

  source {
    image_version_id = data.azimage_image_version.web.id
  }

  target_region {
    name = "eastus"
  }
}

output "image" {
  value       = data.azimage_image_version.web.id
  description = "The image version of the team's machines."
}
