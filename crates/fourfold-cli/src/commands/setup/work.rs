//! What is there of an identity, and what is to be done about the rest.

use fourfold::{
    BackupVersion, Evidence, NewKeyBackup, ProvenKey, PublishedIdentity, Secret, SecretName,
    SecretStorage, Snapshot, Verdict,
    cross_signing::{CrossSigningKeys, KnownKeys, PublicKeys},
    identity::CrossSigningKeyError,
    plan,
};
use fourfold_client::{Device, PublishedKeys};

use super::StorageKey;
use crate::{
    change::Outline,
    error::{Error, Exit, Result},
    new_key::rng,
    own_device,
};

/// What is to be done, with everything that it takes.
pub(super) struct Work {
    /// The private keys of the identity, as far as they are known. They belong to what is published,
    /// or are to be published.
    pub(super) keys: KnownKeys,
    /// What is to be published of them.
    pub(super) new_identity: Option<PublicKeys>,
    pub(super) publishes: bool,
    pub(super) replaces_identity: bool,
    signs_device: bool,
    pub(super) backup: Backup,
    user_id: String,
    warnings: Vec<String>,
}

/// The key backup.
pub(super) enum Backup {
    /// There is one, and its private key is known here and perhaps not stored yet.
    Known(Secret),
    /// There is none, and one is to be made.
    Make(NewKeyBackup),
    /// There is one whose private key is not known here, or the user wants none.
    Unknown,
}

impl Work {
    pub(super) fn find(
        snapshot: &Snapshot,
        published: &PublishedKeys,
        device: Option<&Device>,
        key: &ProvenKey,
        reset: bool,
    ) -> Result<Self> {
        let user_id = snapshot.user_id.clone();
        let storage = SecretStorage::new(&snapshot.account_data);
        let kept = match device {
            Some(device) => device.unstored()?,
            None => Vec::new(),
        };
        let known = Known {
            kept,
            stored: stored(&storage, key),
        };
        let mut warnings = Vec::new();
        let identity = published.identity();
        let is_published = !matches!(
            identity.master_key(),
            Err(CrossSigningKeyError::NotPublished)
        );
        let (keys, new_identity) = if reset || !is_published {
            let keys = known
                .unpublished(identity, reset)
                .unwrap_or_else(|| CrossSigningKeys::generate(&mut rng()));
            let public = keys.public_keys(&user_id).map_err(Error::usage)?;
            (KnownKeys::from(keys), Some(public))
        } else {
            (known.published(identity, &mut warnings)?, None)
        };
        let signs_device = match device {
            _ if keys.self_signing_key().is_none() => false,
            None => true,
            Some(device) => new_identity.is_some() || !own_device::is_signed(device, published)?,
        };
        let backup = known.backup(snapshot, &mut warnings);
        Ok(Self {
            keys,
            publishes: new_identity.is_some(),
            replaces_identity: new_identity.is_some() && is_published,
            new_identity,
            signs_device,
            backup,
            user_id,
            warnings,
        })
    }

    /// Everything that is to be in secret storage in the end.
    pub(super) fn secrets(&self) -> Vec<(SecretName, Secret)> {
        let mut secrets = self.keys.secrets();
        match &self.backup {
            Backup::Make(new) => secrets.push((SecretName::backup_key(), new.secret())),
            Backup::Known(secret) => secrets.push((
                SecretName::backup_key(),
                Secret::new(secret.expose_secret()),
            )),
            Backup::Unknown => {}
        }
        secrets
    }

    /// All steps, for a person to read.
    pub(super) fn outline(
        &self,
        snapshot: &Snapshot,
        key: &StorageKey,
        makes_device: bool,
    ) -> Result<Outline> {
        let mut outline = Outline::new("set up secret storage, the identity and this device");
        let mut account_data = snapshot.account_data.clone();
        if let StorageKey::New(new) = key {
            let plan = plan::create_key(&SecretStorage::new(&account_data), new);
            plan.apply_to(&mut account_data);
            outline.add(&plan);
        }
        if makes_device {
            outline.step("publish the keys of this device", "post /keys/upload");
        }
        if self.replaces_identity {
            outline.warn(
                "the identity of the account is replaced: everybody who verified it has \
                to do so again",
            );
        }
        if self.publishes {
            outline.step(
                "publish the new identity: three cross-signing keys",
                "post /keys/device_signing/upload",
            );
        }
        if self.signs_device {
            outline.step("sign this device", "post /keys/signatures/upload");
        }
        if matches!(self.backup, Backup::Make(_)) {
            outline.step("make a key backup", "post /room_keys/version");
        }
        let storage = SecretStorage::new(&account_data);
        let evidence = self.evidence_to_be(snapshot);
        let plan = plan::complete(
            &storage,
            key.proven(),
            &self.secrets(),
            &evidence,
            &mut rng(),
        )?;
        outline.add(&plan);
        for warning in &self.warnings {
            outline.warn(warning);
        }
        Ok(outline)
    }

    /// What the server is going to publish when everything is done.
    fn evidence_to_be(&self, snapshot: &Snapshot) -> Evidence {
        let mut evidence = snapshot.evidence();
        if let Some(public) = &self.new_identity {
            let body = public.as_keys_query(&self.user_id);
            evidence.identity = PublishedIdentity::from_keys_query(&self.user_id, &body).ok();
        }
        if let Backup::Make(new) = &self.backup {
            let mut answer = new.to_content();
            answer.insert("version", "new");
            evidence.backup = BackupVersion::from_json(&answer.to_json()).ok();
        }
        evidence
    }
}

/// The secrets that are at hand: those that an interrupted attempt has left on this machine, and
/// those in secret storage.
struct Known {
    kept: Vec<(SecretName, Secret)>,
    stored: Vec<(SecretName, Secret)>,
}

impl Known {
    /// Keys that were made and not published. Those on this machine count first.
    fn unpublished(&self, identity: &PublishedIdentity, reset: bool) -> Option<CrossSigningKeys> {
        let complete = |secrets: &[(SecretName, Secret)]| {
            let mut keys = KnownKeys::default();
            for (name, secret) in secrets {
                let _ = keys.learn(name, secret, &Evidence::default());
            }
            keys.complete()
        };
        let published = identity.master_key().ok();
        let is_new = |keys: &CrossSigningKeys| Some(keys.master_key().public_key()) != published;
        let kept = complete(&self.kept).filter(is_new);
        // What lies in secret storage during a reset is what is to be replaced.
        kept.or_else(|| complete(&self.stored).filter(|_| !reset))
    }

    /// The keys of the published identity.
    fn published(
        &self,
        identity: &PublishedIdentity,
        warnings: &mut Vec<String>,
    ) -> Result<KnownKeys> {
        for key in [identity.master_key(), identity.self_signing_key()] {
            key.map_err(|error| {
                Error::new(
                    Exit::Corrupt,
                    format!("the published identity cannot be relied on: {error}"),
                )
                .hint("start anew: fourfold setup --reset-identity")
            })?;
        }
        let evidence = Evidence {
            identity: Some(identity.clone()),
            backup: None,
        };
        let mut keys = KnownKeys::default();
        for (name, secret) in self.kept.iter().chain(&self.stored) {
            if matches!(evidence.judge(name, secret), Ok(Verdict::Matches { .. })) {
                let _ = keys.learn(name, secret, &evidence);
            }
        }
        for (name, secret) in &self.stored {
            if let Err(error) = evidence.judge(name, secret) {
                warnings.push(format!("{name}: {error}"));
            }
        }
        if keys.secrets().is_empty() {
            return Err(Error::new(
                Exit::NotVerified,
                "the account has an identity, and its private keys are neither in secret storage \
                 nor on this machine",
            )
            .hint(
                "store them from the client that made it; or start anew: fourfold setup \
                 --reset-identity",
            ));
        }
        Ok(keys)
    }

    fn backup(&self, snapshot: &Snapshot, warnings: &mut Vec<String>) -> Backup {
        if !snapshot.has_key_backup() {
            if is_backup_unwanted(snapshot) {
                warnings
                    .push("no key backup is made: the user turned it off (m.key_backup)".into());
                return Backup::Unknown;
            }
            return Backup::Make(NewKeyBackup::random(&mut rng()));
        }
        let (evidence, name) = (snapshot.evidence(), SecretName::backup_key());
        let secrets = self.kept.iter().chain(&self.stored);
        let mut of_backup = secrets
            .filter(|(of, _)| *of == name)
            .map(|(_, secret)| secret);
        let fits =
            |secret: &&Secret| matches!(evidence.judge(&name, secret), Ok(Verdict::Matches { .. }));
        match of_backup.find(fits) {
            Some(secret) => Backup::Known(Secret::new(secret.expose_secret())),
            None => Backup::Unknown,
        }
    }
}

/// The user's other clients ask for what the user said once (MSC4287).
fn is_backup_unwanted(snapshot: &Snapshot) -> bool {
    match snapshot.account_data.state("m.key_backup") {
        fourfold::EventState::Content(wish) => wish.get("enabled") == Some(Ok(false)),
        _ => false,
    }
}

/// The standard secrets that the key opens.
fn stored(storage: &SecretStorage<'_>, key: &ProvenKey) -> Vec<(SecretName, Secret)> {
    [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
        SecretName::backup_key(),
    ]
    .into_iter()
    .filter_map(|name| {
        let opened = storage.open(&name, key.key()).ok()?;
        Some((name, opened.secret))
    })
    .collect()
}
