import {
  to = azimage_gallery_application_version.example
  id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/applications/monitoring-agent/versions/2.3.0"
}
