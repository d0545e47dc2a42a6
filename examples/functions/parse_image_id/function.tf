locals {
  image = provider::azimage::parse_image_id("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04/versions/1.2.0")
}

# "image_version 1.2.0 of ubuntu-24.04 in golden"
output "image" {
  value = "${local.image.kind} ${local.image.version} of ${local.image.image} in ${local.image.gallery}"
}
