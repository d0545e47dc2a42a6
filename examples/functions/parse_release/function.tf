locals {
  release = provider::azimage::parse_release("v1.4.0-rc.1+build.5")
}

# "1.4.0": the version of an azimage_image_version
output "version" {
  value = local.release.version
}

# true: exclude_from_latest of that version
output "exclude_from_latest" {
  value = local.release.is_prerelease
}
