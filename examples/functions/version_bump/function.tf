# "1.3.0"
output "next" {
  value = provider::azimage::version_bump("1.2.9", "minor")
}
