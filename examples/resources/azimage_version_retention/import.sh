terraform import azimage_version_retention.example /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04
