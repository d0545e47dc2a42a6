action "azimage_generalize" "build" {
  config {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }
}

# Generalizes the machine for every new build, or on request:
# terraform apply -invoke=action.azimage_generalize.build
resource "terraform_data" "build" {
  input = "2026-11"

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.azimage_generalize.build]
    }
  }
}
