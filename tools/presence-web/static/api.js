// Reads of presence-web. All addresses are relative: it may be served under a prefix.

/** What this tab or, with localStorage, this browser remembers; storage may be denied. */
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
        // It holds for this page.
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

/** The JSON at `path`; Refused when the server says no, another error when it says nothing. */
export async function read(path, parameters = {}) {
    const query = new URLSearchParams(parameters).toString();
    const answer = await fetch(query ? `${path}?${query}` : path, {
        headers: key ? { Authorization: `Bearer ${key}` } : {},
        cache: 'no-store',
        signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
    return answer.json();
}

export const sitePath = (site, what, base = 'api') =>
    `${base}/sites/${encodeURIComponent(site)}/${what}`;

/**
 * Calls `work` now and every wait() milliseconds while the page is visible, never twice at once;
 * `failed` hears of errors. Returns a function that runs it now.
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
