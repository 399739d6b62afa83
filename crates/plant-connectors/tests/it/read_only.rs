//! The source holds nothing that could write: not a request, not a function, not a message.

use std::fs;
use std::path::{Path, PathBuf};

/// What would have to be named to write, and what it would write to.
const FORBIDDEN: [(&str, &str); 17] = [
    ("WriteRequest", "OPC UA"),
    ("WriteValue", "OPC UA"),
    ("services::Write", "OPC UA"),
    ("CallMethod", "OPC UA"),
    ("services::Call", "OPC UA"),
    ("HistoryUpdate", "OPC UA"),
    ("AddNodes", "OPC UA"),
    ("DeleteNodes", "OPC UA"),
    ("client::Session", "OPC UA, whose session has every service"),
    ("Publish::new", "MQTT"),
    ("AsyncClient", "MQTT, whose client publishes"),
    ("LastWill", "MQTT"),
    ("NCMD/", "Sparkplug"),
    ("STATE/", "Sparkplug"),
    ("Writer", "Modbus"),
    ("Request::Write", "Modbus"),
    ("Method::PUT", "PI Web API"),
];

#[test]
fn nothing_that_writes_is_named() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "{}", sources.len());
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        // Tests within the source may name what they check.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (word, target) in FORBIDDEN {
            assert!(!code.contains(word), "{} names {word}, which writes to {target}", path.display());
        }
    }
}

#[test]
fn the_only_post_carries_gets() {
    let client = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pi/client.rs")).unwrap();
    assert_eq!(client.matches("Method::POST").count(), 1);
    assert_eq!(client.matches("method: \"GET\"").count(), 1);
    assert_eq!(client.matches("SubRequest {").count(), 2, "its declaration and one use");
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
    files
}
