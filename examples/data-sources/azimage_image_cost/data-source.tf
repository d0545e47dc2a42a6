data "azimage_image_cost" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"

  # The occupied size of one version. Without it, the cost is computed from the size of the disks, as an upper bound.
  used_gb = 4
}

output "cost_a_month" {
  value = "${data.azimage_image_cost.example.monthly_cost} USD"
}
