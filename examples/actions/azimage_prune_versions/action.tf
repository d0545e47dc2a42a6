# what would be deleted: terraform apply -invoke=action.azimage_prune_versions.web
# deletes it:            terraform apply -invoke=action.azimage_prune_versions.web -var delete=true
variable "delete" {
  type    = bool
  default = false
}

action "azimage_prune_versions" "web" {
  config {
    image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
    keep_latest         = 4
    keep_newer_than     = "90d"
    dry_run             = !var.delete
  }
}
