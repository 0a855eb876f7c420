// The commands: one client, logged in once. Names and answers are those of ../README.md.
import { isDeepStrictEqual } from "node:util";

import { ClientEvent, createClient } from "matrix-js-sdk";
import { CryptoEvent, decodeRecoveryKey, deriveRecoveryKeyFromPassphrase } from "matrix-js-sdk/lib/crypto-api/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

import { until } from "./patience.mjs";
import { Verification } from "./verification.mjs";

logger.setLevel(logger.levels.WARN);

let client;
let verification;
/** The private keys of secret storage that the user has entered, by their IDs. */
const unlocked = new Map();

/** The secrets that every client knows. */
const STANDARD = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];

/** What may have changed what this device holds or trusts. */
const CHANGES = [
    ClientEvent.Sync,
    CryptoEvent.DevicesUpdated,
    CryptoEvent.KeyBackupDecryptionKeyCached,
    CryptoEvent.KeyBackupStatus,
    CryptoEvent.KeysChanged,
    CryptoEvent.UserTrustStatusChanged,
];

export const commands = {
    async log_in({ homeserver, user, password, name }) {
        const stranger = createClient({ baseUrl: homeserver });
        const session = await stranger.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            initial_device_display_name: name,
        });
        client = createClient({
            baseUrl: homeserver,
            userId: session.user_id,
            deviceId: session.device_id,
            accessToken: session.access_token,
            verificationMethods: ["m.sas.v1"],
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) =>
                    Object.keys(keys)
                        .filter((id) => unlocked.has(id))
                        .map((id) => [id, unlocked.get(id)])[0] ?? null,
                cacheSecretStorageKey: (id, _description, key) => unlocked.set(id, key),
            },
        });
        await client.initRustCrypto({ useIndexedDB: false });
        verification = new Verification(client);
        await client.startClient({ initialSyncLimit: 0, pollTimeout: 10_000 });
        await until("the first sync is done", client, [ClientEvent.Sync], () => client.isInitialSyncComplete());
        // The devices and the published identity must be known before an identity is taken from
        // secret storage.
        await client.getCrypto().userHasCrossSigningKeys(client.getUserId(), true);
        const { ed25519, curve25519 } = await client.getCrypto().getOwnDeviceKeys();
        return { user_id: session.user_id, device_id: session.device_id, ed25519, curve25519 };
    },

    async set_up({ password, passphrase }) {
        await client.getCrypto().bootstrapCrossSigning({
            setupNewCrossSigning: true,
            authUploadDeviceSigningKeys: (upload) => withPassword(upload, password),
        });
        return await newStorage({ passphrase, setupNewKeyBackup: true });
    },

    async change_key({ passphrase }) {
        return await newStorage({ passphrase, setupNewKeyBackup: false });
    },

    async unlock({ recovery_key, passphrase }) {
        await unlockDefault(recovery_key, passphrase);
    },

    async recover({ recovery_key, passphrase }) {
        await unlockDefault(recovery_key, passphrase);
        await caughtUp(STANDARD);
        await client.getCrypto().bootstrapCrossSigning({});
        await client.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
        await client.getCrypto().checkKeyBackupAndEnable();
    },

    async get({ name }) {
        await caughtUp([name]);
        return (await client.secretStorage.get(name)) ?? null;
    },

    async put({ name, secret }) {
        await caughtUp(["m.secret_storage.default_key"]);
        await client.secretStorage.store(name, secret);
    },

    async held() {
        return await held();
    },

    async await_held({ names }) {
        return await until(`this device holds ${names.join(", ")}`, client, CHANGES, async () => {
            const has = await held();
            return names.every((name) => has.includes(name)) && has;
        });
    },

    async request_secrets() {
        // The library asks by itself after a verification only; the machine below it, on demand.
        const crypto = client.getCrypto();
        const asked = await crypto.olmMachine.requestMissingSecretsIfNeeded();
        await crypto.outgoingRequestsManager.doProcessOutgoingRequests();
        return asked;
    },

    async backup() {
        const crypto = client.getCrypto();
        const check = await crypto.checkKeyBackupAndEnable();
        return (
            check && {
                version: check.backupInfo.version,
                public_key: check.backupInfo.auth_data.public_key,
                trusted: check.trustInfo.trusted || check.trustInfo.matchesDecryptionKey,
                active: (await crypto.getActiveSessionBackupVersion()) === check.backupInfo.version,
            }
        );
    },

    async await_device({ device, verified }) {
        await until(`device ${device} is ${verified ? "" : "not "}verified`, client, CHANGES, async () => {
            const status = await client.getCrypto().getDeviceVerificationStatus(client.getUserId(), device);
            return status && status.signedByOwner === verified && status.isVerified() === verified;
        });
    },

    async request_verification({ device }) {
        await knownDevice(device);
        await verification.request(device);
    },

    async accept_verification() {
        return await verification.accept();
    },

    async start_sas() {
        await verification.start();
    },

    async compare() {
        return await verification.compare();
    },

    async confirm() {
        await verification.confirm();
    },

    async mismatch() {
        return await verification.mismatch();
    },

    async log_out() {
        client.stopClient();
        await client.logout();
    },
};

/** Makes a new key of secret storage and fills it with what this device holds. */
async function newStorage({ passphrase, setupNewKeyBackup }) {
    const crypto = client.getCrypto();
    const key = await crypto.createRecoveryKeyFromPassphrase(passphrase);
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => key,
        setupNewSecretStorage: true,
        setupNewKeyBackup,
    });
    return { recovery_key: key.encodedPrivateKey };
}

async function unlockDefault(recoveryKey, passphrase) {
    await caughtUp(["m.secret_storage.default_key"]);
    const { key: newest } = client.getAccountData("m.secret_storage.default_key")?.getContent() ?? {};
    await caughtUp([`m.secret_storage.key.${newest}`]);
    const [id, description] = (await client.secretStorage.getKey()) ?? [];
    if (!id) {
        throw new Error("there is no secret storage");
    }
    let key;
    if (recoveryKey) {
        key = decodeRecoveryKey(recoveryKey);
    } else {
        const { salt, iterations, bits } = description.passphrase;
        key = await deriveRecoveryKeyFromPassphrase(passphrase, salt, iterations, bits);
    }
    if (!(await client.secretStorage.checkKey(key, description))) {
        throw new Error(`this does not belong to key ${id}`);
    }
    unlocked.set(id, key);
}

/** The library reads what its sync has brought: waits until that is what the server has. */
async function caughtUp(types) {
    const user = encodeURIComponent(client.getUserId());
    for (const type of types) {
        const path = `/user/${user}/account_data/${encodeURIComponent(type)}`;
        const there = await client.http.authedRequest("GET", path).catch((error) => {
            if (error.httpStatus === 404) {
                return undefined;
            }
            throw error;
        });
        await until(`the sync brings ${type}`, client, [ClientEvent.AccountData, ClientEvent.Sync], () =>
            isDeepStrictEqual(client.getAccountData(type)?.getContent(), there),
        );
    }
}

/** The names of the private keys that this device has. */
async function held() {
    const crypto = client.getCrypto();
    const { privateKeysCachedLocally: has } = await crypto.getCrossSigningStatus();
    const backup = await crypto.getSessionBackupPrivateKey();
    const held = [has.masterKey, has.selfSigningKey, has.userSigningKey, backup];
    return STANDARD.filter((_, at) => held[at]);
}

async function knownDevice(device) {
    await until(`device ${device} is known`, client, CHANGES, async () => {
        const devices = await client.getCrypto().getUserDeviceInfo([client.getUserId()], true);
        return devices.get(client.getUserId())?.has(device);
    });
}

/** Answers the question for the password, with the session if the server gave one. */
async function withPassword(upload, password) {
    try {
        return await upload(null);
    } catch (error) {
        if (error.httpStatus !== 401) {
            throw error;
        }
        return await upload({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: client.getUserId() },
            password,
            session: error.data.session,
        });
    }
}
