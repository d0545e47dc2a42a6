# "1.0.12"
output "newest" {
  value = provider::azimage::version_latest(["1.0.9", "1.0.12", "2.0.0"], "~> 1.0")
}
