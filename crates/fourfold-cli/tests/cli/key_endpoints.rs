//! A user at the embedded server, behind a proxy that can lie about keys.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex};

use fourfold_hostile::{Device, Victim};
use serde_json::Value;

use crate::homeserver::{Homeserver, OtherClient, Person};
use crate::proxy::{Message, Proxy, Turn};

/// A user, and what lies between them and the homeserver.
pub(crate) struct Scene<'s> {
    pub(crate) proxy: Proxy,
    pub(crate) alice: Person,
    server: &'s Homeserver,
    observer: OnceCell<OtherClient>,
}

impl<'s> Scene<'s> {
    /// A user who is registered and logged in.
    pub(crate) fn new(server: &'s Homeserver, name: &str) -> Self {
        let proxy = Proxy::to(&server.address);
        let alice = server.person_through(&proxy, name);
        Self {
            proxy,
            alice,
            server,
            observer: OnceCell::new(),
        }
    }

    /// Another machine of the same user, logged in.
    pub(crate) fn machine(&self) -> Person {
        let machine = Person::at(&self.proxy.address, self.name());
        machine.log_in().run().succeeds();
        machine
    }

    /// The lies of the table are told to this device of the user, and about it.
    pub(crate) fn aim_at(&self, device_id: &str) {
        let trusted = Device {
            id: device_id.to_owned(),
            ..Device::default()
        };
        self.proxy.aim_at(Victim {
            user_id: self.alice.user_id.clone(),
            device_id: device_id.to_owned(),
            trusted,
            ..Victim::default()
        });
    }

    /// Every request is answered as it should be.
    pub(crate) fn be_honest(&self) {
        self.proxy.be_honest();
    }

    /// Some requests are answered otherwise: those for which there is another answer. All are
    /// carried out, and the honest answer is at hand.
    pub(crate) fn lie(
        &self,
        lie: impl FnMut(&Message, &Value) -> Option<Message> + Send + 'static,
    ) {
        let lie = Arc::new(Mutex::new(lie));
        self.proxy.lie(move |request| {
            let (lie, request) = (Arc::clone(&lie), request.clone());
            Turn::Altered(Box::new(move |honest| {
                let body = serde_json::from_slice(&honest.body).unwrap_or_default();
                let told = (lie.lock().unwrap())(&request, &body);
                told.unwrap_or(honest)
            }))
        });
    }

    /// Queries for keys are answered otherwise.
    pub(crate) fn lie_about_keys(&self, mut lie: impl FnMut(&mut Value) + Send + 'static) {
        self.lie(move |request, honest| {
            if !request.head.contains("/keys/query ") {
                return None;
            }
            let mut answer = honest.clone();
            lie(&mut answer);
            Some(Message::json(&answer))
        });
    }

    /// Refuses one write after so many were carried out. It is carried out all the same, or not.
    pub(crate) fn fail_write_after(&self, mut writes: usize, is_carried_out: bool) {
        self.proxy.lie(move |request| {
            let is_write = request.head.starts_with("PUT ")
                || request.head.starts_with("POST ") && !request.head.contains("/keys/query ");
            let is_failing = is_write && writes == 0;
            if is_write {
                writes = writes.wrapping_sub(1);
            }
            let failure = Message::error(403, "M_FORBIDDEN", "not now");
            match (is_failing, is_carried_out) {
                (false, _) => Turn::Honest,
                (true, false) => Turn::Answered(failure),
                (true, true) => Turn::Altered(Box::new(move |_| failure)),
            }
        });
    }

    /// Requests to this path are refused, and not carried out.
    pub(crate) fn refuse(&self, path: &'static str) {
        self.proxy.lie(move |request| {
            if request.first_line().contains(path) {
                Turn::Answered(Message::error(403, "M_FORBIDDEN", "not now"))
            } else {
                Turn::Honest
            }
        });
    }

    /// `/keys/query` as the server answers it now.
    pub(crate) fn query(&self) -> Value {
        let observer = || self.server.other_client(self.name());
        self.observer.get_or_init(observer).keys_query()
    }

    /// The master key that is published; null when there is none.
    pub(crate) fn master_key(&self) -> Value {
        self.query()["master_keys"][&self.alice.user_id]["keys"].clone()
    }

    fn name(&self) -> &str {
        let name = self.alice.user_id.trim_start_matches('@');
        name.split(':').next().unwrap()
    }

    /// How many requests there were to this path.
    pub(crate) fn requests_to(&self, path: &str) -> usize {
        let seen = self.proxy.seen();
        let is_to = |request: &Message| request.first_line().contains(path);
        seen.iter().filter(|(request, _)| is_to(request)).count()
    }

    /// `setup` with everything that it needs, the recovery key in a file of this name.
    pub(crate) fn set_up(&self) -> crate::invocation::Invocation {
        let key = self.alice.folder.name_of("key");
        let setup = sealed(&self.alice, &["setup", "--yes"]);
        let out = if self.alice.folder.join("key").exists() {
            "--recovery-key-file"
        } else {
            "--recovery-key-out"
        };
        setup.arguments([out, &key])
    }
}

/// A call with the key that seals the state of the machine.
pub(crate) fn sealed(person: &Person, arguments: &[&str]) -> crate::invocation::Invocation {
    let state_key = person.folder.name_of("state.key");
    person
        .call(arguments)
        .arguments(["--store-key-file", &state_key])
}
