data "azimage_image_cost" "example" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"

  # The occupied size of one version. Without it the size of the disks counts, and the result is an upper bound.
  used_gb = 4
}

output "cost_a_month" {
  value = "${data.azimage_image_cost.example.monthly_cost} USD"
}
