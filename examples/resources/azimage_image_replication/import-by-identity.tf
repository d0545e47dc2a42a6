import {
  to = azimage_image_replication.example
  identity = {
    image_version_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04/versions/1.0.0"
  }
}
