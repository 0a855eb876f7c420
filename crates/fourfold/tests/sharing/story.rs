//! One machine, on device `A` of a user with other devices, driven by hand.

use fourfold::identity::Trust;
use fourfold::sharing::{
    Audit, Channel, Context, Input, Output, Policy, Received, Recipients, RequestId, SecretSharing,
    Share, ShareId, ToDeviceEvent,
};
use fourfold::{PublishedKeys, Secret, SecretName, Timestamp};

use crate::own_devices::{Account, USER, at, observe};

pub(crate) struct Story {
    pub(crate) account: Account,
    pub(crate) trust: Trust,
    pub(crate) published_keys: PublishedKeys,
    pub(crate) sharing: SecretSharing,
    pub(crate) now: Timestamp,
}

impl Story {
    /// Devices `A` (this one), `B` and `C`, all verified; every name can be shared.
    pub(crate) fn new(policy: Policy) -> Self {
        let account = Account::new(3);
        let mut story = Self {
            trust: account.trust("A"),
            published_keys: account.published_keys(),
            account,
            sharing: SecretSharing::new(policy),
            now: at(1_000_000),
        };
        let names = [
            "org.example.token",
            "org.example.other",
            "org.example.third",
        ];
        let mut names: Vec<SecretName> = names.map(name).into();
        names.extend([
            SecretName::master_key(),
            SecretName::self_signing_key(),
            SecretName::user_signing_key(),
            SecretName::backup_key(),
        ]);
        story.handle(Input::Shareable { names });
        story
    }

    pub(crate) fn handle(&mut self, input: Input) {
        let context = Context {
            trust: &self.trust,
            published_keys: &self.published_keys,
            now: self.now,
        };
        self.sharing.handle(input, &context);
    }

    /// All outputs but the log.
    pub(crate) fn poll(&mut self) -> Vec<Output> {
        self.poll_all()
            .into_iter()
            .filter(|output| !matches!(output, Output::Audit(_)))
            .collect()
    }

    pub(crate) fn audits(&mut self) -> Vec<Audit> {
        let audit = |output| match output {
            Output::Audit(audit) => Some(audit),
            _ => None,
        };
        self.poll_all().into_iter().filter_map(audit).collect()
    }

    fn poll_all(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.sharing.poll()).collect()
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + seconds * 1000);
        self.handle(Input::Tick);
    }

    /// Stores the machine and takes it up again.
    pub(crate) fn restart(&mut self) {
        let json = serde_json::to_string(&self.sharing).unwrap();
        self.sharing = serde_json::from_str(&json).unwrap();
        self.handle(Input::Tick);
    }

    pub(crate) fn ask(&mut self, secret: &str, request_id: &str) {
        self.handle(Input::Ask {
            name: name(secret),
            request_id: RequestId::new(request_id).unwrap(),
            recipients: Recipients::Verified,
        });
    }

    pub(crate) fn event(&mut self, event_type: &str, content: &str, channel: Channel) {
        self.handle(Input::Event(ToDeviceEvent {
            event_type: event_type.to_owned(),
            content: Secret::new(content),
            channel,
        }));
    }

    /// An answer, as a device would encrypt it.
    pub(crate) fn answer(&mut self, request_id: &str, value: &Secret, channel: Channel) {
        let value = value.expose_secret();
        let content = format!(r#"{{"request_id":"{request_id}","secret":"{value}"}}"#);
        self.event("m.secret.send", &content, channel);
    }

    /// A plain request of a device.
    pub(crate) fn request(&mut self, device_id: &str, secret: &str, request_id: &str) {
        let content = format!(
            r#"{{"action":"request","name":"{secret}","requesting_device_id":"{device_id}","request_id":"{request_id}"}}"#
        );
        self.event("m.secret.request", &content, plain());
    }

    pub(crate) fn cancel(&mut self, device_id: &str, request_id: &str) {
        let content = format!(
            r#"{{"action":"request_cancellation","requesting_device_id":"{device_id}","request_id":"{request_id}"}}"#
        );
        self.event("m.secret.request", &content, plain());
    }

    pub(crate) fn received(&mut self) -> Vec<Received> {
        let received = |output| match output {
            Output::Received(received) => Some(received),
            _ => None,
        };
        self.poll().into_iter().filter_map(received).collect()
    }

    pub(crate) fn shares(&mut self) -> Vec<Share> {
        let share = |output| match output {
            Output::Share(share) => Some(share),
            _ => None,
        };
        self.poll().into_iter().filter_map(share).collect()
    }

    pub(crate) fn authorise(
        &mut self,
        share: ShareId,
    ) -> Result<fourfold::sharing::Authorised, fourfold::sharing::ShareRefusal> {
        let context = Context {
            trust: &self.trust,
            published_keys: &self.published_keys,
            now: self.now,
        };
        self.sharing.authorise(share, &context)
    }

    /// The server is asked again, and says what the account is now.
    pub(crate) fn query(&mut self) {
        observe(&mut self.trust, &self.account.keys(), self.now);
        self.published_keys = self.account.published_keys();
        self.handle(Input::TrustChanged);
    }
}

pub(crate) fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

pub(crate) fn plain() -> Channel {
    Channel::Plain {
        sender: USER.to_owned(),
    }
}
