//! The 64-bit hash behind `uniqueString()` and `templateHash`, with the same results as in Azure.
//!
//! Azure does not document it. The hash is MurmurHash3 of two 32-bit halves with other constants; the tests contain published
//! results of Azure and Bicep.

use super::super::json::Json;

const FIRST: u32 = 0x239b_961b;
const SECOND: u32 = 0xab0e_9789;

/// The result of `uniqueString()`: thirteen letters and digits.
pub fn unique_string(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    // Each letter encodes five bits, from the highest down; the last letter encodes the remaining four.
    let hash = u128::from(hash(text.as_bytes())) << 1;
    (0..13).map(|at| char::from(ALPHABET[(hash >> (60 - 5 * at) & 31) as usize])).collect()
}

/// The `templateHash` of a template: the hash of its minified JSON in upper case, without the hash that Bicep adds.
pub fn of_template(template: &Json) -> String {
    let mut hashed = template.clone();
    if hashed.at("metadata._generator.templateHash").is_some() {
        hashed.entry("metadata").entry("_generator").remove("templateHash");
    }
    hash(hashed.compact().to_uppercase().as_bytes()).to_string()
}

fn hash(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0_u32, 0_u32);
    let mut blocks = bytes.chunks_exact(8);
    for block in &mut blocks {
        low ^= mix_low(number(&block[..4]));
        low = low.rotate_left(19).wrapping_add(high).wrapping_mul(5).wrapping_add(0x561c_cd1b);
        high ^= mix_high(number(&block[4..]));
        high = high.rotate_left(13).wrapping_add(low).wrapping_mul(5).wrapping_add(0x0bca_a747);
    }
    let rest = blocks.remainder();
    let (first, second) = rest.split_at(rest.len().min(4));
    low ^= mix_low(number(first));
    high ^= mix_high(number(second));
    let length = bytes.len() as u32;
    (low, high) = sums(low ^ length, high ^ length);
    (low, high) = sums(scatter(low), scatter(high));
    u64::from(high) << 32 | u64::from(low)
}

/// Converts up to four bytes, the lowest first.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn mix_low(number: u32) -> u32 {
    number.wrapping_mul(FIRST).rotate_left(15).wrapping_mul(SECOND)
}

fn mix_high(number: u32) -> u32 {
    number.wrapping_mul(SECOND).rotate_left(17).wrapping_mul(FIRST)
}

fn sums(low: u32, high: u32) -> (u32, u32) {
    let low = low.wrapping_add(high);
    (low, high.wrapping_add(low))
}

fn scatter(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ number >> 13).wrapping_mul(0xc2b2_ae35);
    number ^ number >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_strings_are_those_of_azure() {
        for (text, wanted) in [
            ("", "aaaaaaaaaaaaa"),
            ("tyeth", "zcztcwvu6iyg6"),
            ("hello-world", "a7wkljktk6wne"),
            (
                "/subscriptions/3c7f956b-55ee-4686-9d30-da1eb631dc59/resourceGroups/rg-devopsshieldek010dev",
                "fd63l2gacbtca",
            ),
        ] {
            assert_eq!(unique_string(text), wanted, "{text}");
        }
    }

    #[test]
    fn template_hashes_are_those_of_bicep() {
        let template = |hash: &str| {
            let text = format!(
                r#"{{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{{"_generator":{{"name":"bicep","version":"0.4.1.14562"{hash}}}}},"parameters":{{"yourName":{{"type":"string"}}}},"functions":[],"variables":{{"hello":"Hello World! - Hi"}},"resources":[],"outputs":{{"helloWorld":{{"type":"string","value":"[format('{{0}} {{1}}', variables('hello'), parameters('yourName'))]"}}}}}}"#
            );
            of_template(&Json::parse(text.as_bytes()).unwrap())
        };
        assert_eq!(template(r#","templateHash":"14009903274351708763""#), "14009903274351708763");
        assert_eq!(template(""), "14009903274351708763");
    }
}
