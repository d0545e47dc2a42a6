import {
  to = azimage_managed_image.example
  id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/images/golden-2026-11"
}
