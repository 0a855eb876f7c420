// Waiting for what other devices and the server do, with a deadline.

/** How long anything may take, in milliseconds. */
const DEADLINE = 60_000;

/** Rejects when `promise` is not settled in time. */
export async function within(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited in vain until ${what}`)), DEADLINE);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/** Looks at `state` now and after each of the `events` of the `emitter` until it is truthy. */
export async function until(what, emitter, events, state) {
    let look;
    const found = new Promise((resolve, reject) => {
        look = async () => {
            try {
                const value = await state();
                if (value) {
                    resolve(value);
                }
            } catch (error) {
                reject(error);
            }
        };
    });
    for (const event of events) {
        emitter.on(event, look);
    }
    try {
        look();
        return await within(what, found);
    } finally {
        for (const event of events) {
            emitter.off(event, look);
        }
    }
}
