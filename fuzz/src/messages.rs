//! The format of messages in a corpus: a first line, headers, an empty line, and a body. A line of three dashes
//! separates messages.

/// One message.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The first line.
    pub first: &'a str,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The rest, which may be binary.
    pub body: &'a [u8],
}

const LINE: &[u8] = b"\n---\n";

/// Parses up to `most` messages. Lines that are not UTF-8 are empty.
pub fn read(data: &[u8], most: usize) -> Vec<Message<'_>> {
    let mut found = Vec::new();
    let mut rest = Some(data);
    while let Some(data) = rest.take().filter(|_| found.len() < most) {
        let end = data.windows(LINE.len()).position(|part| part == LINE);
        let (this, next) = match end {
            Some(end) => (&data[..end], Some(&data[end + LINE.len()..])),
            None => (data, None),
        };
        found.push(message(this));
        rest = next;
    }
    found
}

fn message(data: &[u8]) -> Message<'_> {
    let mut lines = data.split_inclusive(|byte| *byte == b'\n');
    let mut taken = 0;
    let mut line = || {
        let line = lines.next()?;
        taken += line.len();
        Some((std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).unwrap_or_default(), taken))
    };
    let (first, mut end) = line().unwrap_or_default();
    let mut headers = Vec::new();
    while let Some((text, to)) = line() {
        end = to;
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(':') {
            headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    Message { first, headers, body: &data[end..] }
}
