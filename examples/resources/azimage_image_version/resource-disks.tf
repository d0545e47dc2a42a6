# A version from the snapshots of two disks. Apply does not wait for replication.
resource "azimage_image_version" "disks" {
  version              = "1.1.0"
  image_definition_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  wait_for_replication = "home"

  source {
    os_disk {
      snapshot_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/snapshots/os"
    }

    data_disk {
      lun         = 0
      snapshot_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/snapshots/data"
    }
  }

  target_region {
    name = "eastus"
  }

  target_region {
    name                = "westeurope"
    exclude_from_latest = true
  }

  timeouts {
    create = "4h"
  }
}
