//! A user whose laptop talks to a homeserver that lies, and whose other devices do not.

use std::collections::HashMap;
use std::process::Child;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fourfold::base64;
use fourfold_hostile::{Forger, Signer, Signers, Victim, lies};
use serde_json::{Value, json};

use crate::agents::RunningAgent;
use crate::homeserver::{Homeserver, Person};
use crate::key_endpoints::sealed;
use crate::peer::{Peer, Target};
use crate::proxy::{Message, Proxy, Turn};

pub(crate) const BACKUP: &str = "m.megolm_backup.v1";
pub(crate) const SELF_SIGNING: &str = "m.cross_signing.self_signing";
pub(crate) const USER_SIGNING: &str = "m.cross_signing.user_signing";

type Lie = Box<dyn FnMut(Message) -> Message + Send>;

/// The laptop, and the liar between it and its homeserver.
pub(crate) struct Liar {
    pub(crate) server: Homeserver,
    pub(crate) proxy: Proxy,
    pub(crate) laptop: Person,
    pub(crate) laptop_id: String,
    /// The private half of the self-signing key.
    pub(crate) self_signing: Forger,
    /// By a part of the path.
    lies: Arc<Mutex<HashMap<&'static str, Lie>>>,
    injected: Arc<Mutex<Vec<Value>>>,
    changed: Arc<Mutex<bool>>,
    fences: AtomicU64,
    victim: Mutex<Victim>,
}

impl Liar {
    /// A laptop that is set up, with a homeserver that is honest so far.
    pub(crate) fn new() -> Self {
        let server = Homeserver::start();
        let proxy = Proxy::to(&server.address);
        let laptop = server.person_through(&proxy, "alice");
        let key = laptop.folder.name_of("key");
        sealed(&laptop, &["setup", "--yes", "--recovery-key-out", &key])
            .run()
            .succeeds();
        let laptop_id = device_id(&laptop);
        let self_signing = self_signing_key(&laptop);
        let victim = Victim {
            user_id: laptop.user_id.clone(),
            device_id: laptop_id.clone(),
            signers: Signers {
                self_signing: Some(Signer::from(&self_signing)),
                ..Signers::default()
            },
            ..Victim::default()
        };
        let liar = Self {
            server,
            proxy,
            self_signing,
            laptop,
            laptop_id,
            lies: Arc::default(),
            injected: Arc::default(),
            changed: Arc::default(),
            fences: AtomicU64::new(0),
            victim: Mutex::new(victim),
        };
        liar.be_between();
        liar
    }

    fn be_between(&self) {
        let lies = Arc::clone(&self.lies);
        let injected = Arc::clone(&self.injected);
        let changed = Arc::clone(&self.changed);
        let user = self.laptop.user_id.clone();
        self.proxy.lie(move |request| {
            let line = request.first_line().to_owned();
            // Not those that fetch the account data.
            let is_sync = request.is_sync() && !line.contains("timeout=0");
            let lies = Arc::clone(&lies);
            let injected = Arc::clone(&injected);
            let changed = Arc::clone(&changed);
            let user = user.clone();
            // Decided when the answer comes: the laptop may have waited for it for long.
            Turn::Altered(Box::new(move |mut answer| {
                if is_sync && answer.head.contains(" 200 ") {
                    let events = std::mem::take(&mut *injected.lock().unwrap());
                    let is_changed = std::mem::take(&mut *changed.lock().unwrap());
                    answer = answer.with_json(|body| {
                        if !body["to_device"]["events"].is_array() {
                            body["to_device"]["events"] = json!([]);
                        }
                        let list = body["to_device"]["events"].as_array_mut().unwrap();
                        list.splice(0..0, events);
                        if is_changed {
                            body["device_lists"]["changed"] = json!([user]);
                        }
                    });
                }
                let mut lies = lies.lock().unwrap();
                let lie = lies.iter_mut().find(|(path, _)| line.contains(**path));
                match lie {
                    Some((_, lie)) => lie(answer),
                    None => answer,
                }
            }))
        });
    }

    /// Changes the answers to such requests from now on.
    pub(crate) fn lie(
        &self,
        path: &'static str,
        lie: impl FnMut(Message) -> Message + Send + 'static,
    ) {
        self.lies.lock().unwrap().insert(path, Box::new(lie));
    }

    /// Tells a lie of the table from now on. What it says of devices is said to have changed.
    pub(crate) fn play(&self, name: &str) {
        let lie = lies::named(name);
        let victim = self.victim.lock().unwrap();
        let (forgeries, events) = (lie.forgeries(&victim), lie.events(&victim));
        assert!(!(forgeries.is_empty() && events.is_empty()), "{name}");
        let is_changed = forgeries.iter().any(lies::Forgery::is_about_devices);
        let mut lies = self.lies.lock().unwrap();
        lies.extend(forgeries.into_iter().map(|one| (one.path, one.change)));
        drop(lies);
        if is_changed {
            self.say_changed();
        }
        self.inject(events);
    }

    /// From now on the laptop is another machine of the user, which is verified with the recovery key
    /// while the homeserver is honest. It tells this lie of the table from when the machine is signed
    /// and holds on to the master key: so the machine never saw the true self-signing key with it.
    pub(crate) fn move_to_another_laptop(&mut self, lie: &str) {
        let laptop = Person::at(&self.proxy.address, "alice");
        laptop.log_in().run().succeeds();
        let key = laptop.folder.write("key", self.laptop.folder.read("key"));
        self.laptop_id = device_id(&laptop);
        self.laptop = laptop;
        let id = self.laptop_id.clone();
        self.aim(|victim| victim.device_id = id);
        let told = self.lie_once_signed(lie);
        let verify = ["device", "verify", "--recovery-key-file", &key];
        sealed(&self.laptop, &verify).run().succeeds();
        assert!(told.load(Ordering::Relaxed) > 0, "{lie} was not told");
    }

    /// Tells a lie of the table once a device was signed, and the signature read back: how often a
    /// query was lied to.
    fn lie_once_signed(&self, name: &str) -> Arc<AtomicUsize> {
        let told: Arc<AtomicUsize> = Arc::default();
        // None before the signature.
        let queries: Arc<Mutex<Option<usize>>> = Arc::default();
        let begins = Arc::clone(&queries);
        self.lie("/signatures/upload ", move |answer| {
            *begins.lock().unwrap() = Some(0);
            answer
        });
        for mut forgery in lies::named(name).forgeries(&self.victim.lock().unwrap()) {
            let (told, queries) = (Arc::clone(&told), Arc::clone(&queries));
            let is_of_keys = forgery.path == "/keys/query ";
            self.lie(forgery.path, move |answer| {
                let Some(queries) = &mut *queries.lock().unwrap() else {
                    return answer;
                };
                *queries += usize::from(is_of_keys);
                if *queries < 2 {
                    return answer;
                }
                told.fetch_add(usize::from(is_of_keys), Ordering::Relaxed);
                (forgery.change)(answer)
            });
        }
        told
    }

    /// Says more of whom the lies of the table are told to.
    pub(crate) fn aim(&self, change: impl FnOnce(&mut Victim)) {
        change(&mut self.victim.lock().unwrap());
    }

    /// The user's master key signed what the homeserver likes.
    pub(crate) fn aim_with_master_key(&self) {
        let master = forger(&self.stored("m.cross_signing.master"));
        self.aim(|victim| victim.signers.master = Some(Signer::from(&master)));
    }

    /// The lies of the table imitate this device, which is trusted, and ask for the key of the backup.
    pub(crate) fn imitate(&self, trusted: &Peer) {
        self.aim(|victim| {
            victim.trusted = trusted.device();
            victim.signers.trusted = Some(trusted.signer());
            BACKUP.clone_into(&mut victim.secret_name);
        });
    }

    /// Changes what `/keys/query` says about the user's keys from now on, and says that it changed.
    pub(crate) fn lie_about_keys(&self, mut lie: impl FnMut(&mut Value) + Send + 'static) {
        self.lie("/keys/query ", move |answer| answer.with_json(&mut lie));
        *self.changed.lock().unwrap() = true;
    }

    pub(crate) fn be_honest(&self) {
        self.lies.lock().unwrap().clear();
    }

    /// Says with the next answer that the user's devices changed.
    pub(crate) fn say_changed(&self) {
        *self.changed.lock().unwrap() = true;
    }

    /// Puts these events before what comes next.
    pub(crate) fn inject(&self, events: Vec<Value>) {
        self.injected.lock().unwrap().extend(events);
    }

    /// Waits until the laptop has worked off everything that was sent to it until now.
    #[track_caller]
    pub(crate) fn settle(&self, peer: &mut Peer) {
        let to = peer.target(&self.laptop_id);
        let number = self.fences.fetch_add(1, Ordering::Relaxed);
        let fence = format!("fence {number}.");
        peer.send(&to, "org.example.fence", &json!({"fence": fence}));
        // It says how far it has worked off what came when it asks for more.
        self.proxy.wait_until(|seen| {
            let tokens = tokens_with(seen, &fence);
            let asked = self.proxy.asked();
            let mut syncs = asked.iter().filter(|line| line.contains("/sync?"));
            syncs.any(|line| {
                let since = line
                    .split(['?', '&', ' '])
                    .find_map(|one| one.strip_prefix("since="));
                since.is_some_and(|since| tokens.iter().any(|token| token == since))
            })
        });
    }

    /// Another device of the user, which is not verified.
    pub(crate) fn stranger(&self) -> Peer {
        Peer::log_in(&self.server.address, "alice")
    }

    /// Another device of the user, which is verified.
    pub(crate) fn phone(&self) -> Peer {
        self.stranger().verify(&self.self_signing)
    }

    pub(crate) fn to_laptop(&self, peer: &Peer) -> Target {
        peer.target(&self.laptop_id)
    }

    pub(crate) fn agent(&self, rules: &[(&str, &str)]) -> RunningAgent {
        self.laptop.sharing_agent(rules, &[])
    }

    /// The phone asks the laptop for a secret, and gets it.
    pub(crate) fn is_answered(&self, phone: &mut Peer, request_id: &str) {
        let laptop = self.to_laptop(phone);
        phone.ask(&laptop, request_id, BACKUP);
        assert_eq!(phone.wait_for_answer(request_id), self.stored(BACKUP));
        self.settle(phone);
    }

    /// Waits until the laptop was told this so often, since so much was seen.
    pub(crate) fn has_told(&self, since: usize, text: &str, times: usize) {
        self.proxy.wait_until(|all| {
            let answers = all.iter().skip(since).map(|(_, answer)| &answer.body);
            let with = answers.filter(|body| String::from_utf8_lossy(body).contains(text));
            with.count() >= times
        });
    }

    /// The laptop asks for a secret.
    pub(crate) fn request(&self, name: &str) -> Child {
        sealed(&self.laptop, &["request", name]).spawn()
    }

    /// The secret as secret storage has it.
    pub(crate) fn stored(&self, name: &str) -> String {
        self.laptop.get(name, "key").run().succeeds()
    }

    /// What the agent wrote down.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.laptop.call(&["agent", "log", "--json"]).run().json();
        log.as_array().unwrap().clone()
    }

    /// How often the agent wrote this down.
    pub(crate) fn logged(&self, event: &str) -> usize {
        let log = self.log();
        log.iter().filter(|line| line["event"] == event).count()
    }

    /// The encrypted events that the laptop sent: the request line and the body of each.
    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        let seen = self.proxy.seen().into_iter();
        let sent = seen.filter(|(one, _)| one.head.contains("/sendToDevice/m.room.encrypted/"));
        sent.map(|(request, _)| {
            let line = request.first_line().to_owned();
            (line, serde_json::from_slice(&request.body).unwrap())
        })
        .collect()
    }

    /// How often the laptop asked for something of this path.
    pub(crate) fn count(&self, path: &str) -> usize {
        let seen = self.proxy.seen();
        let first_line = |one: &Message| one.first_line().to_owned();
        seen.iter()
            .filter(|(request, _)| first_line(request).contains(path))
            .count()
    }
}

fn device_id(person: &Person) -> String {
    let whoami = person.call(&["whoami", "--json"]).run().json();
    whoami["device_id"].as_str().unwrap().to_owned()
}

/// The private half of the self-signing key of somebody whose recovery key is in the file `key`.
pub(crate) fn self_signing_key(person: &Person) -> Forger {
    forger(&person.get(SELF_SIGNING, "key").run().succeeds())
}

/// The key of a seed in base64, in hands that sign anything.
pub(crate) fn forger(seed: &str) -> Forger {
    Forger::from_seed(*base64::decode_array(seed).unwrap())
}

/// How far the answers read in which there is this.
fn tokens_with(seen: &[(Message, Message)], text: &str) -> Vec<String> {
    let syncs = seen.iter().filter(|(request, _)| request.is_sync());
    let bodies = syncs.map(|(_, answer)| String::from_utf8_lossy(&answer.body));
    let with = bodies.filter(|body| body.contains(text));
    with.map(|body| {
        let body: Value = serde_json::from_str(&body).unwrap();
        body["next_batch"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// Waits for the end of a request that went well: the secret.
#[track_caller]
pub(crate) fn received(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}
