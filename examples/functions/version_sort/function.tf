# ["1.0.9", "1.0.10", "1.0.12"]
output "sorted" {
  value = provider::azimage::version_sort(["1.0.10", "1.0.9", "1.0.12"])
}
