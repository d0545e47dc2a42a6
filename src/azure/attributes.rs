//! Common attributes of Azure resources: locations, IDs, dates and names, each with its checks and equivalence.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::tags;
use crate::arm::{ResourceId, id, region};
use crate::schema::spec::{optional, required};
use crate::schema::{Attribute, Diagnostics, Path, Value};

/// A required location. A change replaces the resource.
pub fn location() -> Attribute {
    required().force_new().equivalent_if(region::same_region).check_text(check_location)
}

/// The name of a resource group.
pub fn resource_group_name() -> Attribute {
    required().force_new().equivalent_if(eq_ignore_case).check_text(check_resource_group)
}

/// A subscription; defaults to the provider's.
pub fn subscription_id() -> Attribute {
    crate::schema::spec::optional_computed().force_new().equivalent_if(eq_ignore_case).check_text(check_guid)
}

/// The resource's own tags.
pub fn tags() -> Attribute {
    optional().or_empty().check(tags::check)
}

/// A date with time and offset. Spellings of the same instant are equivalent.
pub fn date(attribute: Attribute) -> Attribute {
    attribute.equivalent_if(same_instant).check_text(check_date)
}

/// The ID of a resource of type `kind` (such as `Microsoft.Compute/galleries`), ignoring case.
pub fn id_of(attribute: Attribute, kind: &'static str) -> Attribute {
    attribute.equivalent_if(id::same_id).check(move |value| match value.as_str() {
        Some(id) => check_id(id, kind),
        None => Ok(()),
    })
}

/// Checks a regular expression.
pub fn check_regex(text: &str) -> Result<(), String> {
    regex_lite::Regex::new(text)
        .map(drop)
        .map_err(|error| format!("is not a valid regular expression: {error}"))
}

/// Equal, ignoring case.
pub fn eq_ignore_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Whether both are spellings of the same instant.
pub fn same_instant(a: &str, b: &str) -> bool {
    match (instant(a), instant(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// The instant of an RFC 3339 date.
pub fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// Checks that `id` is the ID of a resource of type `kind`. The error shows the expected form.
pub fn check_id(id: &str, kind: &str) -> Result<(), String> {
    if id.trim() != id {
        return Err("must not begin or end with a space or a line break".to_owned());
    }
    ResourceId::parse_as(id, kind).map(drop).map_err(|error| error.to_string())
}

/// Adds an error at the first of `names` unless exactly one of them is set in `config`. An unknown value may turn out to
/// be null, so it counts as either.
pub fn check_exactly_one(config: &Value, names: &[&'static str], found: &mut Diagnostics) {
    let is_set = |name: &&&str| config.get(name).is_known() && !config.get(name).is_null();
    let set = names.iter().filter(is_set).count();
    let may_be_set = names.iter().any(|name| config.get(name).is_unknown());
    if set == 1 || set == 0 && may_be_set {
        return;
    }
    let [start @ .., last] = names else { return };
    found.error(
        Path::attribute(names[0]),
        if set == 0 { "A required argument is missing" } else { "Only one of these arguments may be set" },
        format!("Set exactly one of {} and {last}.", start.join(", ")),
    );
}

/// Name of a gallery: letters, digits, and `_` or `.` in the middle, at most 80.
pub fn check_gallery_name(name: &str) -> Result<(), String> {
    check_name(
        name,
        "_.",
        "letters, digits, underscores and full stops; the service does not allow hyphens in gallery names",
    )
}

/// Name of an image definition: letters, digits, and `_`, `.` or `-` in the middle, at most 80.
pub fn check_definition_name(name: &str) -> Result<(), String> {
    check_name(name, "_.-", "letters, digits, underscores, full stops and hyphens")
}

/// Name of a managed image: as a definition's, but may end in `_`.
pub fn check_image_name(name: &str) -> Result<(), String> {
    check_name(
        name.strip_suffix('_').filter(|rest| !rest.is_empty()).unwrap_or(name),
        "_.-",
        "letters, digits, underscores, full stops and hyphens",
    )
}

/// Name of a gallery application: letters, digits, `_`, `.` and `-`, at most 117, not ending in a full stop.
pub fn check_application_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 117 {
        return Err(format!("must have 1 to 117 characters, and has {}", name.chars().count()));
    }
    if let Some(bad) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.-".contains(*c)) {
        return Err(format!(
            "must not contain {bad:?}: allowed are letters, digits, underscores, full stops and hyphens"
        ));
    }
    if name.ends_with('.') {
        return Err("must not end with a full stop".to_owned());
    }
    Ok(())
}

fn check_name(name: &str, middle: &str, allowed: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || middle.contains(c);
    if name.is_empty() || name.len() > 80 {
        return Err(format!("must have 1 to 80 characters, and has {}", name.chars().count()));
    }
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        return Err(format!("must not contain {bad:?}; allowed are {allowed}"));
    }
    let ends = [name.chars().next(), name.chars().last()];
    if ends.iter().flatten().any(|c| !c.is_ascii_alphanumeric()) {
        return Err("must start and end with a letter or a digit".to_owned());
    }
    Ok(())
}

/// Part of an image definition's identifier (publisher, offer or sku) of at most `longest` characters.
pub fn check_identifier(text: &str, longest: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > longest {
        return Err(format!("must have 1 to {longest} characters, and has {}", text.chars().count()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        return Err(format!(
            "must not contain {bad:?}; allowed are letters, digits, full stops, underscores and hyphens"
        ));
    }
    if text.ends_with('.') {
        return Err("must not end with a full stop".to_owned());
    }
    Ok(())
}

/// An http or https URI.
pub fn check_uri(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => Err("must be a web address that starts with https:// or http://".to_owned()),
    }
}

/// Not empty.
pub fn check_filled(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

/// A GUID.
pub fn check_guid(text: &str) -> Result<(), String> {
    match uuid::Uuid::try_parse(text) {
        Ok(_) if text.len() == 36 => Ok(()),
        _ => Err("must be a GUID such as 00000000-0000-0000-0000-000000000000".to_owned()),
    }
}

/// A date with time and offset.
pub fn check_date(text: &str) -> Result<(), String> {
    if instant(text).is_none() {
        return Err("is not a valid RFC 3339 date; use a date such as 2027-12-31T00:00:00Z".to_owned());
    }
    // The service does not store these, so every plan would show a change.
    if text.get(17..19) == Some("60") {
        return Err("must not have a leap second (60)".to_owned());
    }
    let digits = text.get(20..).unwrap_or_default().chars().take_while(char::is_ascii_digit).count();
    if text.get(19..20) == Some(".") && digits > FRACTION_DIGITS {
        return Err(format!("must not have more than {FRACTION_DIGITS} digits after the decimal point"));
    }
    Ok(())
}

/// The number of digits of a fraction of a second that the service stores.
const FRACTION_DIGITS: usize = 7;

/// A region's name, in any spelling. The plan checks whether the region exists.
pub fn check_location(text: &str) -> Result<(), String> {
    let name = region::normalise(text);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        let hint = region::nearest(&name.replace(['-', '_'], ""))
            .map(|near| format!(" (did you mean {near:?}?)"))
            .unwrap_or_default();
        return Err(format!(
            "is not a region name; use a name such as \"westeurope\" or \"West Europe\"{hint}"
        ));
    }
    Ok(())
}

/// Checks the name of a resource group.
pub fn check_resource_group(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > 90 {
        return Err(format!("must have 1 to 90 characters, and has {}", text.chars().count()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_alphanumeric() && !"._-()".contains(*c)) {
        return Err(format!("must not contain {bad:?}"));
    }
    if text.ends_with('.') {
        return Err("must not end with a full stop".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_names() {
        let rows: &[(fn(&str) -> Result<(), String>, &str, bool)] = &[
            (check_gallery_name, "gal.Golden_1", true),
            (check_gallery_name, "gal-golden", false),
            (check_gallery_name, "_gal", false),
            (check_gallery_name, "gal.", false),
            (check_gallery_name, "", false),
            (check_definition_name, "ubuntu-24.04_web", true),
            (check_definition_name, "-ubuntu", false),
            (check_definition_name, "ü", false),
            (check_application_name, "_agent-1.2_x", true),
            (check_application_name, "agent.", false),
            (check_application_name, "my agent", false),
            (check_image_name, "img_", true),
            (check_image_name, "img-", false),
            (check_resource_group, "rg-(a).b", true),
            (check_resource_group, "rg.", false),
            (check_location, "West Europe", true),
            (check_location, "west-europe", false),
            (check_guid, "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10", true),
            (check_guid, "5d1f0c4e7a2b4c399e551b0c8a6d2f10", false),
            (check_date, "2027-12-31T00:00:00Z", true),
            (check_date, "2027-12-31", false),
            (check_uri, "https://x.example/y", true),
            (check_uri, "x.example", false),
        ];
        for (check, text, ok) in rows {
            assert_eq!(check(text).is_ok(), *ok, "{text}: {:?}", check(text));
        }
        assert!(check_gallery_name(&"a".repeat(81)).is_err());
        assert!(check_identifier("a.", 64).is_err());
    }

    #[test]
    fn refuses_dates_that_the_service_cannot_store() {
        for (text, good) in [
            ("2027-12-31T00:00:00Z", true),
            ("2027-12-31T00:00:00.1234567+01:00", true),
            ("2027-12-31T00:00:00.12345678Z", false),
            ("2027-12-31T00:00:00.123456789012Z", false),
            ("2027-12-31T23:59:60Z", false),
            ("2027-12-31", false),
        ] {
            assert_eq!(check_date(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn refuses_ids_with_surrounding_spaces() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g";
        assert_eq!(check_id(id, "Microsoft.Compute/galleries"), Ok(()));
        for wrong in [format!("{id} "), format!("{id}\n"), format!(" {id}")] {
            assert!(check_id(&wrong, "Microsoft.Compute/galleries").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn compares_dates_by_instant() {
        assert!(same_instant("2027-12-31T00:00:00Z", "2027-12-31T01:00:00+01:00"));
        assert!(same_instant("2027-12-31T00:00:00Z", "2027-12-31T00:00:00+00:00"));
        assert!(!same_instant("2027-12-31T00:00:00Z", "2027-12-31T00:00:01Z"));
    }
}
