//! What a server says of the current version of the key backup.

use super::ShownVersion;
use crate::{BackupVersion, Snapshot};

/// What a server says of the current version of the key backup.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each needs words and a way out")]
pub enum CurrentBackup {
    /// Nobody knows: it was not asked, or did not say. Why, in words, when it was asked.
    Unavailable(Option<String>),
    /// There is none.
    Missing,
    /// There is one.
    Shown(Box<ShownVersion>),
}

impl CurrentBackup {
    /// Of an account at one moment.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        match snapshot.backup_version() {
            None => {
                let why = snapshot.why_unavailable(Snapshot::BACKUP_VERSION);
                Self::Unavailable(why.map(str::to_owned))
            }
            Some("null") => Self::Missing,
            Some(body) => Self::Shown(Box::new(ShownVersion::from_json(body))),
        }
    }

    /// The version that is shown.
    #[must_use]
    pub fn shown(&self) -> Option<&ShownVersion> {
        match self {
            Self::Shown(shown) => Some(shown),
            _ => None,
        }
    }

    /// The version, when it can be used.
    #[must_use]
    pub fn usable(&self) -> Option<&BackupVersion> {
        self.shown()?.usable()
    }

    /// What is wrong with it, in words, when it is there or not and cannot be used. `None` when there
    /// is none, when it can be used, and when nobody asked.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Unavailable(why) => why.clone(),
            Self::Missing => None,
            Self::Shown(shown) => shown.read.as_ref().err().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountData;

    fn current(body: Option<&str>) -> CurrentBackup {
        let body = body.map(str::to_owned);
        let snapshot = Snapshot::new("@a:b", AccountData::default(), None, body).unwrap();
        CurrentBackup::of(&snapshot)
    }

    #[test]
    fn whatever_is_shown_has_words() {
        let key = crate::base64::encode([9; 32]);
        let good = format!(
            r#"{{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","version":"3","count":7,
                "auth_data":{{"public_key":"{key}"}}}}"#
        );
        let shown = current(Some(&good));
        assert!(shown.problem().is_none() && shown.usable().is_some());
        assert_eq!(shown.shown().unwrap().count, Some(7));
        assert_eq!(shown.shown().unwrap().version.as_deref(), Some("3"));
        for (from, to) in [
            ("m.megolm_backup.v1.curve25519-aes-sha2", "org.example"),
            (key.as_str(), "AAAA"),
            ("auth_data", "auth"),
            (r#""3""#, "3"),
        ] {
            let shown = current(Some(&good.replace(from, to)));
            assert!(
                shown.problem().is_some() && shown.usable().is_none(),
                "{from}"
            );
        }
        for body in ["7", "[]", "{}", r#""text""#] {
            assert!(current(Some(body)).problem().is_some(), "{body}");
        }
        assert!(matches!(current(Some("null")), CurrentBackup::Missing));
        assert!(current(None).problem().is_none());
        let snapshot = Snapshot::new("@a:b", AccountData::default(), None, None).unwrap();
        let snapshot = snapshot.without(Snapshot::BACKUP_VERSION, "it is ill");
        let problem = CurrentBackup::of(&snapshot).problem();
        assert_eq!(problem.as_deref(), Some("it is ill"));
    }
}
