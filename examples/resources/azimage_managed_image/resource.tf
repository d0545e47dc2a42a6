# Stops the machine, generalizes it, and captures the image. Steps that are already done are skipped.
resource "azimage_managed_image" "example" {
  name                = "golden-2026-11"
  resource_group_name = "images-rg"
  location            = "eastus"
  hyper_v_generation  = "V2"

  capture {
    virtual_machine_id    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
    require_deprovisioned = true
  }
}
