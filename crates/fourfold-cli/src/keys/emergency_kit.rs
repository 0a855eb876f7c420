//! The emergency kit: a page to print, with a recovery key and what to do with it.

use std::fmt::{self, Write as _};

use fourfold::KeyId;
use fourfold_client::escape_untrusted;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::terminal::shown::wiped;

/// The content of the page.
pub(crate) struct EmergencyKit<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) homeserver: Option<&'a str>,
    pub(crate) key_id: &'a KeyId,
    pub(crate) key_name: Option<&'a str>,
    pub(crate) recovery_key: &'a str,
}

impl EmergencyKit<'_> {
    /// One HTML file that needs nothing else: no script, no font, no network.
    pub(crate) fn to_html(&self) -> Result<Zeroizing<String>> {
        let code = QrCode::with_error_correction_level(self.recovery_key, EcLevel::M)
            .map_err(|error| Error::usage(format!("no QR code can be made: {error}")))?;
        let svg = Zeroizing::new(
            code.render::<svg::Color<'_>>()
                .min_dimensions(220, 220)
                .quiet_zone(true)
                .build(),
        );
        // The XML declaration has no place inside HTML.
        let svg = svg
            .find("<svg")
            .and_then(|start| svg.get(start..))
            .unwrap_or_default();
        let mut rows = String::new();
        let mut row = |name: &str, value: &str| {
            let value = escape(&escape_untrusted(value));
            let _ = write!(rows, "<tr><th>{name}</th><td>{value}</td></tr>");
        };
        row("User", self.user_id);
        if let Some(homeserver) = self.homeserver {
            row("Homeserver", homeserver);
        }
        row("Key", self.key_id.as_str());
        if let Some(name) = self.key_name {
            row("Name of the key", name);
        }
        row("Made on", &today());
        Ok(wiped(format_args!(
            r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<title>Emergency kit of {user}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Emergency kit</h1>
<p class="lead">This key opens the encrypted messages and all other secrets of a Matrix account. Print
this page, put it where you keep your passport, and delete the file.</p>
<section class="key" aria-label="Recovery key">{groups}</section>
<section class="facts">{svg}<table>{rows}</table></section>
<h2>When you need it</h2>
<ol>
<li>Sign in on a new device with your user name and your password. This page is not the password.</li>
<li>When the device asks for the recovery key (some call it security key), scan the code or type the
twelve groups. Upper and lower case differ; spaces do not matter. There is no zero, no capital O, no
capital I and no small L in it.</li>
<li>To try it at any time: <code>fourfold key check</code></li>
</ol>
<h2>When somebody else may have seen it</h2>
<ol>
<li>Make a new key: <code>fourfold key rotate</code>. The key on this page opens nothing after that.</li>
<li>What it opened before may have been read. Replace those secrets too.</li>
</ol>
<p class="note">Notes:</p>
</main>
</body>
</html>
"#,
            user = escape(&escape_untrusted(self.user_id)),
            groups = Groups(self.recovery_key),
        )))
    }
}

/// The groups of a recovery key, which has nothing in it that HTML would take for more than text.
struct Groups<'a>(&'a str);

impl fmt::Display for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = self.0.split(' ');
        groups.try_for_each(|group| write!(f, "<span>{group}</span>"))
    }
}

const STYLE: &str = "
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #111; font: 12pt/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 2.5rem 1.5rem; }
h1 { margin: 0 0 .5rem; font-size: 22pt; }
h2 { margin: 1.75rem 0 .25rem; font-size: 13pt; }
.lead { margin: 0 0 1.5rem; }
.key { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; padding: 1.25rem;
  border: 2px solid #111; border-radius: .5rem;
  font: 600 19pt/1.2 ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; text-align: center; }
.facts { display: flex; gap: 1.5rem; align-items: center; margin-top: 1.5rem; }
.facts svg { flex: none; width: 11rem; height: 11rem; }
table { border-collapse: collapse; }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { white-space: nowrap; font-weight: 600; }
ol { margin: 0; padding-left: 1.25rem; }
code { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
.note { margin-top: 2rem; padding-bottom: 5rem; border-bottom: 1px solid #999; }
@page { margin: 15mm; }
@media print { main { padding: 0; } }
";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_server_cannot_change_the_page() {
        let kit = EmergencyKit {
            user_id: "@a\"><script>:b",
            homeserver: Some("https://example.org/?a&b"),
            key_id: &KeyId::new("<img src=x>").unwrap(),
            key_name: Some("</td><style>"),
            recovery_key: "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d",
        };
        let html = kit.to_html().unwrap();
        assert!(!html.contains("<script"));
        assert!(!html.contains("<img"));
        assert_eq!(html.matches("<style>").count(), 1);
        assert!(html.contains("a&amp;b"));
        assert_eq!(html.matches("<span>").count(), 12);
    }
}
