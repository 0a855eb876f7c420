// A verification with another device of the same user, by comparing emoji.
import { CryptoEvent, VerificationPhase, VerificationRequestEvent, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

import { until, within } from "./patience.mjs";

const METHOD = "m.sas.v1";

export class Verification {
    #client;
    #incoming = [];
    #request;
    #verifying;
    #sas;

    constructor(client) {
        this.#client = client;
        client.on(CryptoEvent.VerificationRequestReceived, (request) => this.#incoming.push(request));
    }

    /** Asks a device. */
    async request(device) {
        this.#begin(await this.#client.getCrypto().requestDeviceVerification(this.#client.getUserId(), device));
    }

    /** Waits until a device asks, and agrees. */
    async accept() {
        const asked = [CryptoEvent.VerificationRequestReceived];
        await until("a device asks for a verification", this.#client, asked, () => this.#incoming.length > 0);
        this.#begin(this.#incoming.shift());
        await this.#request.accept();
        return { device: this.#request.otherDeviceId };
    }

    /** Begins the comparison; the other device must not. */
    async start() {
        await this.#phase("the other device is ready", VerificationPhase.Ready);
        await this.#request.startVerification(METHOD);
    }

    /** What the user compares. */
    async compare() {
        await this.#phase("the comparison is begun", VerificationPhase.Started);
        const verifier = this.#request.verifier;
        this.#verifying = verifier.verify();
        // Who calls confirm() or mismatch() learns how it ended.
        this.#verifying.catch(() => {});
        this.#sas = await Promise.race([
            until("there is something to compare", verifier, [VerifierEvent.ShowSas], () => verifier.getShowSasCallbacks()),
            this.#verifying.then(() => {
                throw new Error("the verification ended before anything was compared");
            }),
        ]);
        const { emoji, decimal } = this.#sas.sas;
        return { emoji: emoji.map(([symbol]) => symbol), decimals: decimal };
    }

    async confirm() {
        await this.#sas.confirm();
        await within("both sides have confirmed", this.#verifying);
        await this.#phase("the verification is done", VerificationPhase.Done);
    }

    async mismatch() {
        this.#sas.mismatch();
        await this.#phase("the verification is cancelled", VerificationPhase.Cancelled);
        return { code: this.#request.cancellationCode };
    }

    #begin(request) {
        this.#request = request;
        this.#sas = undefined;
    }

    async #phase(what, phase) {
        const request = this.#request;
        await until(what, request, [VerificationRequestEvent.Change], () => {
            if (request.phase === VerificationPhase.Cancelled && phase !== request.phase) {
                throw new Error(`the verification was cancelled: ${request.cancellationCode}`);
            }
            return request.phase >= phase;
        });
    }
}
