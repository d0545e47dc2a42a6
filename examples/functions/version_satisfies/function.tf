variable "image_version" {
  type    = string
  default = "1.10.2"

  # Numbers are compared as numbers: 1.10 is newer than 1.9.
  validation {
    condition     = provider::azimage::version_satisfies(var.image_version, "~> 1.9")
    error_message = "Production runs on 1.9 or a later 1.x."
  }
}
