//! Stores a secret and opens it again with nothing but the recovery key. No network.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{
    AccountData, NewKey, PublishedKeys, Secret, SecretName, SecretStorage, SecretStorageKey,
};
use getrandom::SysRng;

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = UnwrapErr(SysRng);
    // What the server holds. A client fetches it, and puts the steps of each plan back.
    let mut server = AccountData::default();

    let new_key = NewKey::random(None, &mut rng);
    let recovery_key = new_key.key().key().expose_recovery_key();
    println!("recovery key: {}", *recovery_key);
    plan::set_up(&SecretStorage::new(&server), &new_key)?.apply_to(&mut server);

    let name = SecretName::new("org.example.token")?;
    let secret = Secret::new("correct horse");
    let keys = [WritingKey::Proven(new_key.key())];
    let storage = SecretStorage::new(&server);
    let plan = plan::store(
        &storage,
        &name,
        &secret,
        &keys,
        &PublishedKeys::default(),
        &mut rng,
    )?;
    for step in &plan.steps {
        println!("{}: {}", step.action, step.reason);
    }
    plan.apply_to(&mut server);
    println!(
        "the server sees: {}",
        server.raw(name.as_str()).unwrap_or_default()
    );

    let storage = SecretStorage::new(&server);
    let default = storage.default_key();
    let description = storage.key(default.key_id().ok_or("there is no default key")?)?;
    let key = SecretStorageKey::from_recovery_key(&description, &recovery_key)?;
    println!(
        "opened: {}",
        storage.open(&name, &key)?.secret.expose_secret()
    );
    Ok(())
}
