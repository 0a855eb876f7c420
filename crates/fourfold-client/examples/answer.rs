//! A device that answers the requests of the user's other devices for one secret, until it is
//! stopped.
//!
//! `cargo run --example answer -- SERVER USER PASSWORD TEXT`, with a recovery key or a passphrase. An
//! example is short; a program takes secrets from files or from the terminal.

use std::collections::BTreeMap;
use std::error::Error;

use fourfold::SecretName;
use fourfold::sharing::{Policy, Rule};
use fourfold_client::{DeviceEvent, Homeserver, Password};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("four arguments are needed");
    let (server, user, password) = (next()?, next()?, Password::new(next()?));
    answer(&server, &user, &password, &next()?, |_| {}).await
}

/// Answers until something goes wrong that waiting does not mend.
pub(crate) async fn answer(
    server: &str,
    user: &str,
    password: &Password,
    text: &str,
    tell: impl FnMut(DeviceEvent) + Send,
) -> Result<(), Box<dyn Error>> {
    let client = Homeserver::discover(server)
        .await?
        .log_in(user, password)
        .await?;
    let snapshot = client.snapshot().await?;
    let key = snapshot.unlock(text)?;
    let name = SecretName::new("org.example.token")?;
    let token = snapshot.open(&name, &key)?.secret;
    client.device().verify_self(&key).await?;
    let policy = Policy::default().with_rule(name.clone(), Rule::Allow);
    let mut secrets = BTreeMap::from([(name.clone(), token)]);
    let ended = client
        .device()
        .share(vec![name], policy, &mut secrets, tell);
    Err(ended.await.into())
}
