locals {
  # usually file("packer-manifest.json")
  manifest = jsonencode({
    last_run_uuid = "2c711ee4-6548-7a81-6a98-2120c99d43cb"
    builds = [{
      name            = "ubuntu"
      builder_type    = "azure-arm"
      build_time      = 1787302650
      artifact_id     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/web/versions/1.4.2"
      packer_run_uuid = "2c711ee4-6548-7a81-6a98-2120c99d43cb"
      custom_data     = { git = "3f9c2ab" }
    }]
  })
  ubuntu = provider::azimage::packer_artifact(local.manifest).builds["ubuntu"]
}

# "1.4.2 of web, built from 3f9c2ab"
output "built_image" {
  value = "${local.ubuntu.version} of ${local.ubuntu.image}, built from ${local.ubuntu.custom_data["git"]}"
}
