import {
  to = azimage_builder_run.example
  identity = {
    template_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.VirtualMachineImages/imageTemplates/web"
  }
}
