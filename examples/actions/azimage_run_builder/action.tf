action "azimage_run_builder" "web" {
  config {
    template_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.VirtualMachineImages/imageTemplates/web"
  }
}

# Builds the images when the month changes, or on request:
# terraform apply -invoke=action.azimage_run_builder.web
resource "terraform_data" "month" {
  input = "2026-11"

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.azimage_run_builder.web]
    }
  }
}
