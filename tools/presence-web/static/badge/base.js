// The script's address, its storage, and what it prints to the console.

export const attempt = (work, otherwise) => {
    try {
        return work();
    } catch {
        return otherwise;
    }
};

// A module has no currentScript, and an image of that name hides it: fall back to a stack trace.
const { currentScript } = document;
export const address =
    (currentScript?.localName === 'script' && currentScript.src) ||
    /\bhttps?:.*?(?=:\d+:\d+)/.exec(new Error().stack)?.[0];
export const url = (name) => new URL(name, address);

export const minute = 60000;
// True if `time` has passed since then, if there was no then, or if the clock was set back.
export const isOver = (since, time) => !(Math.abs(Date.now() - since) < time);

export const random = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

// Get an item, or set it, or remove it with null. Storage may be denied or full: undefined then.
export const stored = (storage, key, value) =>
    attempt(() => {
        const store = window[storage];
        if (value === null) delete store[key];
        else if (value) store[key] = value;
        return store[key];
    });
export const local = (key, value) => stored('localStorage', key, value);

const explained = new Set();
export const explain = (code, message) => {
    if (!explained.has(code)) console.info(`presence: not counted: ${message}`);
    explained.add(code);
};
