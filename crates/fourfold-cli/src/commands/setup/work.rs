//! What is there of an identity, and what is to be done about the rest.

use fourfold::cross_signing::{
    ConfirmedDevice, CrossSigningKeys, IdentityChoice, KnownIdentity, KnownKeys,
};
use fourfold::identity::{CrossSigningKeyError, PublicKeys, UserKeys};
use fourfold::plan::{self, BackupChoice, KnownBackup};
use fourfold::signed_json::SigningKey;
use fourfold::{
    BackupVersion, NewKeyBackup, Plan, ProvenKey, PublishedIdentity, PublishedKeys, Secret,
    SecretName, SecretState, SecretStorage, Snapshot, Verdict,
};

use super::backup;
use super::storage_key::StorageKey;
use crate::account::own_device::ThisDevice;
use crate::error::{Error, Exit, Result};
use crate::keys::random::rng;

/// What is to be done, with everything that it takes.
pub(super) struct Work {
    /// The private keys of the identity, as far as they are known. They belong to what is published,
    /// or are to be published.
    pub(super) keys: KnownKeys,
    /// What is to be published of them.
    new_identity: Option<PublicKeys>,
    pub(super) replaces_identity: bool,
    /// Whether the user agreed, now or before an interruption, that another identity than the pinned
    /// one is to be held on to.
    pub(super) replaces_pin: bool,
    backup: Backup,
    user_id: String,
    warnings: Vec<String>,
}

/// The key backup.
enum Backup {
    /// There is one, and its private key is known here and perhaps not stored yet.
    Known(Secret),
    /// There is none, and one is to be made.
    Make(NewKeyBackup),
    /// The user wants none.
    Unwanted,
    /// There is one that nothing shows to be the user's.
    Unknown,
}

impl Work {
    pub(super) fn find(
        snapshot: &Snapshot,
        published: &UserKeys,
        device: &ThisDevice,
        key: &ProvenKey,
        reset: Reset,
    ) -> Result<Self> {
        let user_id = snapshot.user_id.clone();
        let storage = SecretStorage::new(&snapshot.account_data);
        let known = Known {
            kept: &device.remembered.unstored,
            stored: stored(&storage, key),
        };
        let mut warnings = Vec::new();
        let trust = device.remembered.trust.as_ref();
        let has_pin = trust.is_some_and(|trust| trust.pinned().is_some());
        let identity = published.identity();
        let is_published = !matches!(
            identity.master_key(),
            Err(CrossSigningKeyError::NotPublished)
        );
        let made_or_known = known.identity(&storage, device, identity, reset.identity)?;
        let (keys, new_identity) = match made_or_known {
            Some(keys) => {
                let public = keys.public_keys_signed_by(&user_id, |object| device.sign(object))?;
                (KnownKeys::from(keys), Some(public))
            }
            None => (known.published(identity, &mut warnings)?, None),
        };
        let mut backup = known.backup(snapshot, device, reset.backup, &mut warnings)?;
        if let Backup::Make(new) = &mut backup {
            if let Some(master) = keys.master_key() {
                new.sign(|object| master.sign(object, &user_id))
                    .map_err(Error::usage)?;
            }
            new.sign(|object| device.sign(object))?;
        }
        let made_here = complete(known.kept).map(|kept| kept.master_key().public_key());
        let master = keys.master_key().map(SigningKey::public_key);
        Ok(Self {
            replaces_pin: reset.identity || (master.is_some() && made_here == master),
            keys,
            replaces_identity: reset.identity && (is_published || has_pin),
            new_identity,
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
            Backup::Unwanted | Backup::Unknown => {}
        }
        secrets
    }

    /// The same, and what is in secret storage by now.
    pub(super) fn at_hand(
        &self,
        snapshot: &Snapshot,
        key: &ProvenKey,
    ) -> Vec<(SecretName, Secret)> {
        let mut secrets = self.secrets();
        secrets.extend(stored(&SecretStorage::new(&snapshot.account_data), key));
        secrets
    }

    /// Whether all of the identity and the key backup is known here, as far as the user wants it.
    pub(super) fn is_complete(&self) -> bool {
        let seeds = self.keys.secrets().len();
        seeds == 3 && !matches!(self.backup, Backup::Unknown)
    }

    /// All of it. The order keeps the account usable: first the key, then what is published, then
    /// the secrets, and the default key last.
    pub(super) fn plan(
        &self,
        snapshot: &Snapshot,
        published: &UserKeys,
        device: &ThisDevice,
        key: &StorageKey,
    ) -> Result<Plan> {
        let mut account_data = snapshot.account_data.clone();
        let mut plans = Vec::new();
        if let StorageKey::New(new) = key {
            let plan = plan::create_key(&SecretStorage::new(&account_data), new);
            plan.apply_to(&mut account_data);
            plans.push(plan);
        }
        let this = ConfirmedDevice::own(device.device_keys())?;
        plans.push(plan::publish_device(published, &this)?);
        let mut published_keys = snapshot.published_keys();
        let mut published = published.clone();
        if let Some(public) = &self.new_identity {
            plans.push(plan::publish_identity(
                &self.user_id,
                published.identity(),
                public,
            ));
            let identity = PublishedIdentity::of(&self.user_id, public);
            published_keys.identity = Some(identity.clone());
            published = published.with_identity(identity);
        }
        if let Some(key) = self.keys.self_signing_key() {
            plans.push(plan::sign_device(&published, &this, key)?);
        }
        plans.push(self.plan_for_backup(snapshot, &mut published_keys)?);
        plans.push(plan::complete(
            &SecretStorage::new(&account_data),
            key.proven(),
            &self.secrets(),
            &published_keys,
            &mut rng(),
        )?);
        let mut plan = Plan::of("set up secret storage, the identity and this device", plans);
        plan.warnings.extend(self.warnings.iter().cloned());
        Ok(plan)
    }

    /// The key backup; `published_keys` becomes what is published when it is done.
    fn plan_for_backup(
        &self,
        snapshot: &Snapshot,
        published_keys: &mut PublishedKeys,
    ) -> Result<Plan> {
        match (&self.backup, self.keys.master_key(), &published_keys.backup) {
            (Backup::Make(new), ..) => {
                let plan = match &published_keys.backup {
                    None if snapshot.has_key_backup() => plan::replace_unreadable_key_backup(new),
                    current => plan::create_key_backup(current.as_ref(), new),
                };
                let mut answer = new.to_content();
                answer.insert("version", "new");
                published_keys.backup = BackupVersion::from_json(&answer.to_json()).ok();
                Ok(plan)
            }
            (Backup::Known(secret), Some(master), Some(current)) => {
                let user_id = &self.user_id;
                Ok(plan::sign_key_backup(current, secret, user_id, master)?)
            }
            _ => Ok(Plan::of("leave the key backup as it is", [])),
        }
    }
}

/// What the user said to replace.
#[derive(Clone, Copy)]
pub(super) struct Reset {
    pub(super) identity: bool,
    pub(super) backup: bool,
}

/// The secrets that are at hand: those that an interrupted attempt has left on this machine, and
/// those in secret storage.
struct Known<'a> {
    kept: &'a [(SecretName, Secret)],
    stored: Vec<(SecretName, Secret)>,
}

impl Known<'_> {
    /// The identity that is to be published: made now, or known and not published. `None` when the
    /// published one stays.
    fn identity(
        &self,
        storage: &SecretStorage<'_>,
        device: &ThisDevice,
        published: &PublishedIdentity,
        reset: bool,
    ) -> Result<Option<CrossSigningKeys>> {
        let known = KnownIdentity {
            published,
            trust: device.remembered.trust.as_ref(),
            made_here: complete(self.kept),
            stored: complete(&self.stored),
            has_stored: has_seeds(storage),
        };
        let make = || CrossSigningKeys::generate(&mut rng());
        if reset {
            return Ok(Some(known.replacement().unwrap_or_else(make)));
        }
        Ok(match known.decide()? {
            IdentityChoice::Create => Some(make()),
            IdentityChoice::Keep => None,
            IdentityChoice::Publish(keys) => Some(keys),
        })
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
        let published_keys = PublishedKeys {
            identity: Some(identity.clone()),
            backup: None,
        };
        let mut keys = KnownKeys::default();
        for (name, secret) in self.kept.iter().chain(&self.stored) {
            if matches!(
                published_keys.judge(name, secret),
                Ok(Verdict::Matches { .. })
            ) {
                let _ = keys.learn(name, secret, &published_keys);
            }
        }
        for (name, secret) in &self.stored {
            if let Err(error) = published_keys.judge(name, secret) {
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

    fn backup(
        &self,
        snapshot: &Snapshot,
        device: &ThisDevice,
        reset: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Backup> {
        let published = snapshot.published_keys().backup;
        let known = KnownBackup {
            remembered: device.remembered.backup.as_ref(),
            is_replaced: reset,
            ..backup::known(
                snapshot,
                published.as_ref(),
                self.kept.iter().chain(&self.stored),
            )
        };
        Ok(match known.decide()? {
            BackupChoice::Create => Backup::Make(NewKeyBackup::random(&mut rng())),
            BackupChoice::DoWithout => {
                warnings
                    .push("no key backup is made: the user turned it off (m.key_backup)".into());
                Backup::Unwanted
            }
            BackupChoice::Keep(secret) => Backup::Known(Secret::new(secret.expose_secret())),
            BackupChoice::Leave(unknown) => {
                warnings.push(format!("the key backup is left as it is: {unknown}"));
                Backup::Unknown
            }
        })
    }
}

/// An identity, if all of it is there.
fn complete(secrets: &[(SecretName, Secret)]) -> Option<CrossSigningKeys> {
    let mut keys = KnownKeys::default();
    for (name, secret) in secrets {
        let _ = keys.learn(name, secret, &PublishedKeys::default());
    }
    keys.complete()
}

/// Whether secret storage holds seeds of an identity, of use or not.
fn has_seeds(storage: &SecretStorage<'_>) -> bool {
    let is_there = |name| {
        matches!(
            storage.secret(&name),
            SecretState::Encrypted(_) | SecretState::Malformed(_)
        )
    };
    SecretName::cross_signing().into_iter().any(is_there)
}

/// The standard secrets that the key opens.
fn stored(storage: &SecretStorage<'_>, key: &ProvenKey) -> Vec<(SecretName, Secret)> {
    let open = |name| {
        let opened = storage.open(&name, key.key()).ok()?;
        Some((name, opened.secret))
    };
    SecretName::standard()
        .into_iter()
        .filter_map(open)
        .collect()
}
