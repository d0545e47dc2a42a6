# An image of existing disks.
resource "azimage_managed_image" "disks" {
  name                = "golden-disks"
  resource_group_name = "images-rg"
  location            = "eastus"
  hyper_v_generation  = "V2"
  zone_resilient      = true

  os_disk {
    os_type         = "Linux"
    os_state        = "Generalized"
    managed_disk_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/disks/os"
  }

  data_disk {
    lun         = 0
    snapshot_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/snapshots/data"
    caching     = "ReadOnly"
  }
}
