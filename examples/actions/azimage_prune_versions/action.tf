# Lists the versions:   terraform apply -invoke=action.azimage_prune_versions.web
# Deletes the versions: terraform apply -invoke=action.azimage_prune_versions.web -var delete=true
variable "delete" {
  type    = bool
  default = false
}

# versions of this configuration are kept
resource "azimage_image_version" "web" {
  version             = "1.1.0"
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"

  source {
    managed_image_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/images/golden-2026-11"
  }

  target_region {
    name = "eastus"
  }
}

action "azimage_prune_versions" "web" {
  config {
    image_definition_id = azimage_image_version.web.image_definition_id
    keep_latest         = 4
    keep_newer_than     = "90d"
    keep_versions       = [azimage_image_version.web.version]
    dry_run             = !var.delete
  }
}
