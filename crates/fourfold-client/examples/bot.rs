//! A bot that reads a secret, verifies its own device, and replaces the secret.
//!
//! `cargo run --example bot -- SERVER USER PASSWORD TEXT`, with a recovery key or a passphrase. An
//! example is short; a program takes secrets from files or from the terminal.

use std::error::Error;

use fourfold::rand_core::UnwrapErr;
use fourfold::{Secret, SecretName};
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
    text: &str,
) -> Result<Secret, Box<dyn Error>> {
    let client = Homeserver::discover(server)
        .await?
        .log_in(user, password)
        .await?;
    let snapshot = client.snapshot().await?;
    let key = snapshot.unlock(text)?;
    let name = SecretName::new("org.example.token")?;
    let token = snapshot.open(&name, &key)?;
    client.device().verify_self(&key).await?;
    let mut rng = UnwrapErr(getrandom::SysRng);
    let plan = snapshot.store(&name, &Secret::new("new"), &key, &mut rng)?;
    client.apply(snapshot.clear(&plan)).await?;
    Ok(token.secret)
}
