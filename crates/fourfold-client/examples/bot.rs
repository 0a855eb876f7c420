//! A bot that reads a secret, verifies its own device, and replaces the secret.
//!
//! `cargo run --example bot -- SERVER USER PASSWORD RECOVERY-KEY`: an example is short; a program
//! takes secrets from files or from the terminal.

use std::error::Error;

use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{Secret, SecretName, SecretStorage, SecretStorageKey};
use fourfold_client::{Homeserver, Password};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("four arguments are needed");
    let (server, user, password) = (next()?, next()?, Password::new(next()?));
    bot(&server, &user, &password, &next()?).await.map(drop)
}

/// What the bot does: the old value of its secret.
pub(crate) async fn bot(
    server: &str,
    user: &str,
    password: &Password,
    recovery_key: &str,
) -> Result<Secret, Box<dyn Error>> {
    let client = Homeserver::discover(server)
        .await?
        .log_in(user, password)
        .await?;
    let snapshot = client.snapshot().await?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let description = storage.keys().next().ok_or("there is no key")?;
    let key = storage.prove(SecretStorageKey::from_recovery_key(
        &description,
        recovery_key,
    )?)?;
    let name = SecretName::new("org.example.token")?;
    let token = storage.open(&name, key.key())?.secret;
    client.device().verify_self(key.key()).await?;
    let (keys, new) = ([WritingKey::Proven(&key)], Secret::new("new"));
    let mut rng = UnwrapErr(getrandom::SysRng);
    let plan = plan::store(&storage, &name, &new, &keys, &snapshot.evidence(), &mut rng)?;
    client.apply(&plan).await?;
    Ok(token)
}
