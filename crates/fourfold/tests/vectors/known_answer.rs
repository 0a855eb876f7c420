//! A file with a known answer: what it holds, and whether an operation found the same.

use fourfold::{Algorithm, Content, KeyId, SecretStorageKey};
use serde::Deserialize;
use serde_json::Value;

/// What an operation found: the members of `ok`, or the kind of the error.
pub(crate) type Found = Result<Value, &'static str>;

/// What a file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    #[expect(dead_code, reason = "for the reader of the file")]
    tests: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    origin: String,
    input: Content,
    expect: Expect,
}

impl Vector {
    /// Runs the operation, and says what differs.
    pub(crate) fn compare(self, run: impl Fn(&Input) -> Found) -> Result<(), String> {
        self.expect.compare(run(&Input(self.input)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    ok: Option<Value>,
    error: Option<String>,
    position: Option<usize>,
    character: Option<char>,
}

impl Expect {
    fn compare(&self, found: Found) -> Result<(), String> {
        let expected = match (&self.ok, &self.error) {
            (Some(ok), None) => Ok(ok.clone()),
            (None, Some(error)) => Err(match (self.position, self.character) {
                (Some(position), Some(character)) => format!("{error} {position} {character}"),
                _ => error.clone(),
            }),
            _ => return Err("needs exactly one of ok and error".to_owned()),
        };
        let found = found.map_err(ToOwned::to_owned);
        if found == expected {
            Ok(())
        } else {
            Err(format!("expected {expected:?}, found {found:?}"))
        }
    }
}

/// The input, with every number as it is spelled in the file.
pub(crate) struct Input(Content);

impl Input {
    pub(crate) fn text(&self, member: &str) -> String {
        self.optional_text(member)
            .unwrap_or_else(|| panic!("{member} is missing"))
    }

    pub(crate) fn optional_text(&self, member: &str) -> Option<String> {
        self.0.get(member).map(Result::unwrap)
    }

    pub(crate) fn bytes(&self, member: &str) -> Vec<u8> {
        let text = self.text(member);
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    pub(crate) fn array(&self, member: &str) -> [u8; 32] {
        self.bytes(member).try_into().unwrap()
    }

    pub(crate) fn object(&self, member: &str) -> Content {
        self.0.object(member).unwrap().unwrap()
    }

    pub(crate) fn key(&self, algorithm: Algorithm) -> SecretStorageKey {
        let id = KeyId::new("key").unwrap();
        SecretStorageKey::from_bytes(id, algorithm, self.array("key_hex").into())
    }

    pub(crate) fn flag(&self, member: &str) -> bool {
        self.0.get(member).unwrap().unwrap()
    }
}
