//! Looking for a secret value, in every form that it may have been written in.

use std::path::{Path, PathBuf};

/// A value that must not be found, and all the forms that it is looked for in.
pub(crate) struct Canary {
    what: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// A secret that is text: as it is, and its bytes in other encodings.
    pub(crate) fn new(what: &'static str, text: &str) -> Self {
        assert!(text.len() >= 8, "too short to be told from chance");
        let mut forms = of_bytes(text.as_bytes());
        forms.push(text.as_bytes().to_vec());
        // As JSON, HTML or a URL would write it.
        forms.push(serde_json::to_vec(text).unwrap()[1..][..text.len()].to_vec());
        forms.push(text.replace(' ', "%20").into_bytes());
        forms.push(text.replace(' ', "+").into_bytes());
        Self { what, forms }
    }

    /// A key, as it is and in every encoding.
    pub(crate) fn bytes(what: &'static str, bytes: &[u8]) -> Self {
        let mut forms = of_bytes(bytes);
        forms.push(bytes.to_vec());
        Self { what, forms }
    }

    /// A recovery key: its text with and without spaces, and the key in it.
    pub(crate) fn recovery_key(what: &'static str, text: &str) -> Self {
        let mut canary = Self::new(what, text);
        let key = *fourfold::recovery_key::decode(text).unwrap();
        let without_spaces = text.replace(' ', "");
        canary.forms.extend(of_bytes(&key));
        canary.forms.extend(of_bytes(without_spaces.as_bytes()));
        canary.forms.push(without_spaces.into_bytes());
        canary.forms.push(key.to_vec());
        canary
    }

    /// Fails when it is in this text.
    #[track_caller]
    pub(crate) fn is_not_in(&self, place: &str, haystack: &[u8]) {
        assert!(!self.is_in(haystack), "{} is in {place}", self.what);
    }

    /// Fails when it is in any file of a folder.
    #[track_caller]
    pub(crate) fn is_in_no_file(&self, folder: &Path) {
        let files = files(folder);
        assert!(!files.is_empty(), "nothing to search");
        for file in files {
            self.is_not_in(&file.display().to_string(), &std::fs::read(&file).unwrap());
        }
    }

    /// As [`is_in`](Self::is_in), for the megabytes of a memory: bytes as the characters of the same
    /// numbers, because text is searched fast without optimisation too.
    pub(crate) fn is_in_latin_1(&self, haystack: &str) -> bool {
        let text = |form: &Vec<u8>| form.iter().copied().map(char::from).collect::<String>();
        self.forms.iter().any(|form| haystack.contains(&text(form)))
    }

    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    pub(crate) fn is_in(&self, haystack: &[u8]) -> bool {
        let is_there = |form: &Vec<u8>| haystack.windows(form.len()).any(|window| window == form);
        self.forms.iter().any(is_there)
    }
}

/// All files of a folder and its folders.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// The encodings of bytes: hexadecimal, base58, and base64 as it looks at each of three offsets.
fn of_bytes(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        hexadecimal.to_uppercase().into_bytes(),
        hexadecimal.into_bytes(),
        base58(bytes).into_bytes(),
    ];
    for offset in 0..3 {
        // Whatever stands before shifts the digits; those that depend on the neighbours are left out.
        let mut shifted = vec![0; offset];
        shifted.extend(bytes);
        let text = fourfold::base64::encode(&shifted);
        let first = [0, 2, 3][offset];
        let last = shifted.len() / 3 * 4;
        let digits = &text[first..last];
        let url_safe = digits.replace('+', "-").replace('/', "_");
        forms.push(digits.as_bytes().to_vec());
        forms.push(url_safe.into_bytes());
    }
    forms
}

fn base58(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<usize> = Vec::new();
    for byte in bytes {
        let mut carry = usize::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let leading = bytes.iter().take_while(|byte| **byte == 0).map(|_| 0);
    digits.extend(leading);
    let text = digits.iter().rev().map(|digit| char::from(DIGITS[*digit]));
    text.collect()
}

#[test]
fn every_form_is_found() {
    let text = "four folds of paper";
    let canary = Canary::new("the canary", text);
    let bytes = text.as_bytes();
    assert!(canary.is_in(b"before four folds of paper after"));
    assert!(canary.is_in(b"?q=four%20folds%20of%20paper"));
    assert!(canary.is_in(b"666f757220666f6c6473206f66207061706572"));
    assert!(canary.is_in(base58(bytes).as_bytes()));
    for before in ["", "x", "xy", "xyz"] {
        let encoded = fourfold::base64::encode(format!("{before}{text}, and more").as_bytes());
        assert!(canary.is_in(encoded.as_bytes()), "{encoded}");
    }
    assert!(!canary.is_in(b"four folds of pape"));
    let key = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d";
    let canary = Canary::recovery_key("the key", key);
    assert!(canary.is_in(key.replace(' ', "").as_bytes()));
    assert!(canary.is_in(fourfold::recovery_key::decode(key).unwrap().as_slice()));
    assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
}
