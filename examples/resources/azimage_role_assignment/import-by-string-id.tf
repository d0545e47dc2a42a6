import {
  to = azimage_role_assignment.example
  id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04/providers/Microsoft.Authorization/roleAssignments/66666666-7777-8888-9999-000000000000"
}
