// Requests to presence-web. All addresses are relative: it may be served under a prefix.

/** Get what this tab or, with localStorage, this browser stores; null if storage is denied. */
export function remembered(storage, name) {
    try {
        return window[storage].getItem(name);
    } catch {
        return null;
    }
}

export function remember(storage, name, value) {
    try {
        window[storage].setItem(name, value);
    } catch {
        // It lasts as long as this page.
    }
}

let key = remembered('sessionStorage', 'presence.key');

export class Refused extends Error {
    constructor(status, { error, message } = {}) {
        super(message ?? `HTTP ${status}`);
        this.status = status;
        this.code = error;
    }
}

export function useKey(value) {
    key = value;
    remember('sessionStorage', 'presence.key', value);
}

/**
 * Fetch the JSON at `path`. Throw Refused if the server refuses, otherwise another error. A number
 * that is stale or unknown comes with status 503 and all its marks: an answer, no refusal.
 */
export async function read(path, parameters = {}) {
    const query = new URLSearchParams(parameters).toString();
    const answer = await fetch(query ? `${path}?${query}` : path, {
        headers: key ? { Authorization: `Bearer ${key}` } : {},
        cache: 'no-store',
        signal: AbortSignal.timeout(10000),
    });
    if (answer.ok) return answer.json();
    const body = await answer.json().catch(() => ({}));
    if (answer.status === 503 && 'stale' in body) return body;
    throw new Refused(answer.status, body);
}

export const sitePath = (site, what, base = 'api') =>
    `${base}/sites/${encodeURIComponent(site)}/${what}`;

/**
 * Call `work` now and every wait() milliseconds while the page is visible, never twice at once, and
 * `failed` with errors. Return a function that calls it at once.
 */
export function repeat(wait, work, failed) {
    let timer;
    let busy = false;
    let again = false;
    const run = async () => {
        clearTimeout(timer);
        if (busy) {
            again = true;
            return;
        }
        if (document.hidden) return;
        busy = true;
        again = false;
        try {
            await work();
        } catch (error) {
            failed(error);
        }
        busy = false;
        if (again) run();
        else timer = setTimeout(run, wait());
    };
    document.addEventListener('visibilitychange', run);
    run();
    return run;
}
