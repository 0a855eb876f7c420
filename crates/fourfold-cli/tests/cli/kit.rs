//! The emergency kit: a page that needs nothing else, and a key that opens something.

use std::os::unix::fs::PermissionsExt as _;

use crate::account_data::{Made, recovery_key};
use crate::homeserver::Homeserver;
use crate::invocation::{Folder, fourfold};
use crate::terminal::Terminal;

/// The page for an account, and its recovery key.
fn page() -> (String, String) {
    let folder = Folder::new();
    let (made, key) = Made::with_key();
    let outcome = fourfold(["kit", "--snapshot", &made.write(&folder)])
        .arguments(["--recovery-key-file", "-"])
        .stdin(recovery_key(&key))
        .run();
    (outcome.succeeds(), recovery_key(&key))
}

#[test]
fn the_page_needs_nothing_else() {
    let (html, _) = page();
    let lower = html.to_lowercase();
    for forbidden in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "<object",
        "<base",
        "src=",
        "href=",
        "url(",
        "@import",
        "javascript:",
        "http-equiv",
        " onload",
        " onclick",
    ] {
        assert!(!lower.contains(forbidden), "{forbidden}");
    }
    // The only address is the name of the drawing's format.
    let addresses: Vec<_> = lower.match_indices("://").collect();
    assert_eq!(
        addresses.len(),
        lower.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(html.starts_with("<!doctype html>"));
    assert_eq!(html.matches("<svg").count(), 1);
    assert!(!html.contains("<?xml"));
}

#[test]
fn the_key_stands_there_in_twelve_groups() {
    let (html, key) = page();
    let groups: Vec<_> = html
        .split("<span>")
        .skip(1)
        .map(|rest| rest.split("</span>").next().unwrap())
        .collect();
    assert_eq!(groups.len(), 12);
    assert_eq!(groups.join(" "), key);
    assert!(html.contains("@alice:localhost"));
}

#[test]
fn the_code_is_the_recovery_key() {
    let (html, key) = page();
    assert_eq!(scan(&html), key);
}

#[test]
fn a_key_that_may_be_wrong_gets_no_page() {
    let folder = Folder::new();
    let (mut made, key) = Made::with_key();
    let stranger = recovery_key(&Made::with_key().1);
    let out = folder.name_of("kit.html");
    let kit = |made: &Made, key: &str| {
        fourfold(["kit", "--out", &out, "--snapshot", &made.write(&folder)])
            .arguments(["--recovery-key-file", "-"])
            .stdin(key)
            .run()
    };
    kit(&made, &stranger).fails(3);
    // Nothing can be checked: no check data, and nothing to open.
    made.edit(&crate::account_data::description_of(&key), |description| {
        let description = description.as_object_mut().unwrap();
        description.remove("iv");
        description.remove("mac");
    });
    kit(&made, &recovery_key(&key))
        .fails(3)
        .says("may be wrong");
    assert!(!folder.join("kit.html").exists());
    // Something that opens is proof enough.
    made.store("org.example.wallet", "four folds of paper", &[&key]);
    kit(&made, &recovery_key(&key)).says("print ").succeeds();
    let mode = std::fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    kit(&made, &recovery_key(&key))
        .fails(1)
        .says("exists already");
}

#[test]
fn it_is_not_printed_on_a_terminal() {
    let folder = Folder::new();
    let (made, _) = Made::with_key();
    let (code, shown) = Terminal::run(&["kit", "--snapshot", &made.write(&folder)]).finish();
    assert_eq!(code, Some(6));
    assert!(shown.contains("use --out FILE, or a pipe"));
    assert!(!shown.contains("--show"));
}

#[test]
fn a_new_key_comes_with_its_page() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let kit = |name: &str| alice.folder.name_of(name);
    let first = [
        "setup",
        "--storage-only",
        "--yes",
        "--kit",
        &kit("first.html"),
        "--name",
        "<b>home</b>",
    ];
    alice.call(&first).run().says("print ").succeeds();
    let html = alice.folder.read("first.html");
    assert!(html.contains("@alice:localhost") && html.contains(&server.address));
    assert!(html.contains(&alice.default_key()));
    assert!(html.contains("&lt;b&gt;home&lt;/b&gt;") && !html.contains("<b>home"));
    alice.folder.write("first", scan(&html));
    alice
        .put("org.example.wallet", "four folds of paper", "first")
        .run()
        .succeeds();

    let both = [
        "key",
        "rotate",
        "--kit",
        &kit("second.html"),
        "--recovery-key-out",
        &kit("second"),
    ];
    alice.change(&both, &["first"]).run().succeeds();
    assert_eq!(
        scan(&alice.folder.read("second.html")),
        alice.folder.read("second").trim()
    );
    assert_eq!(
        alice.get("org.example.wallet", "second").run().succeeds(),
        "four folds of paper"
    );
    let mode = std::fs::metadata(kit("second.html"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let before = server.other_client("alice").everything();
    let there = ["key", "new", "--yes", "--kit", &kit("second.html")];
    alice.call(&there).run().fails(1).says("exists already");
    assert_eq!(server.other_client("alice").everything(), before);
}

/// Reads the code on a page, as the camera of a phone would.
fn scan(html: &str) -> String {
    const SCALE: usize = 4;
    let drawing = html
        .split("<svg")
        .nth(1)
        .unwrap()
        .split("</svg>")
        .next()
        .unwrap();
    let size: usize = attribute(drawing, "width").parse().unwrap();
    let mut dark = vec![false; size * size];
    // The path is rectangles: "M{x} {y}h{width}v{height}H{x}V{y}".
    let path = drawing
        .split(" d=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    for rectangle in path.split('M').filter(|rectangle| !rectangle.is_empty()) {
        let numbers: Vec<usize> = rectangle
            .split(|character: char| !character.is_ascii_digit())
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().unwrap())
            .collect();
        let [x, y, width, height, ..] = numbers[..] else {
            panic!("{rectangle}");
        };
        for row in y..y + height {
            dark[row * size + x..][..width].fill(true);
        }
    }
    let is_dark = |x: usize, y: usize| dark[y / SCALE * size + x / SCALE];
    let pixels = size * SCALE;
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(pixels, pixels, |x, y| {
        if is_dark(x, y) { 0 } else { 255 }
    });
    let codes = image.detect_grids();
    assert_eq!(codes.len(), 1);
    codes[0].decode().unwrap().1
}

fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    element
        .split(&start)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
}
