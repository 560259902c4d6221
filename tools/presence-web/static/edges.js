// The edges that number their datagrams: who is alive, and what each has lost of late.

import { compact, duration, number, percent, unknown } from './format.js';

const span = 60000; // ms over which losses are summed up
const tooMuch = 0.001; // the share lost that is worth a warning

let samples = []; // of the last minute: when, and each stream's expected and received

/** Remember an answer of /api/senders, to compare later ones with; null: there was none. */
export function learnSenders(answer) {
    const at = performance.now();
    const streams = new Map(
        answer?.data.map(({ stream, target, key, expected, received }) => [
            `${stream} ${target} ${key}`,
            { expected, received },
        ]),
    );
    // Keep one that is older than the span, so that all of it is covered.
    const old = samples.filter((sample) => at - sample.at >= span).slice(-1);
    samples = [...old, ...samples.filter((sample) => at - sample.at < span), { at, streams }];
}

/** Return what each address has sent and lost since the oldest sample. */
function growth(data) {
    const byAddress = new Map();
    for (const { stream, target, key, expected, received, address } of data) {
        const id = `${stream} ${target} ${key}`;
        const before = samples.find(({ streams }) => streams.has(id))?.streams.get(id);
        if (!before) continue;
        const sum = byAddress.get(address) ?? { sent: 0, lost: 0 };
        sum.sent += expected - before.expected;
        sum.lost += expected - before.expected - (received - before.received);
        byAddress.set(address, sum);
    }
    return byAddress;
}

const edges = (count) => (count === 1 ? 'an edge' : `${number(count)} edges`);

/**
 * Say why a site is quiet, by the `edges` of /api/analytics: [words, level]. Others may be alive while
 * the site's own edge, which sends text, is gone.
 */
export function whyQuiet(known) {
    if (known?.gone > 0) return [`${edges(known.gone)} fell silent`, 'bad'];
    if (known?.alive > 0)
        return [`${edges(known.alive)} ${known.alive === 1 ? 'is' : 'are'} alive`, 'warn'];
    return ['its edge may be gone', 'warn'];
}

/** Say what was lost on the way in the last minute: [words, level]. */
function losses(data) {
    const all = [...growth(data)];
    const lost = all.reduce((sum, [, one]) => sum + one.lost, 0);
    if (lost <= 0) return ['nothing lost', 'good'];
    const [address, worst] = all.reduce((one, other) => (other[1].lost > one[1].lost ? other : one));
    const share = worst.lost / worst.sent;
    if (share <= tooMuch) return [`${compact(lost)} lost in a minute`, 'good'];
    const shown = share < 0.01 ? `< ${percent(0.01)}` : percent(share);
    return [`${shown} of ${address} lost`, 'warn'];
}

/** Return the health section's line about edges: its value, note and level. */
export function edgesLine(answer) {
    if (!answer?.total) return [unknown, 'none says it is alive', 'none'];
    const { data, total, silent, restarted } = answer;
    const value = `${number(total - silent - restarted)} alive`;
    if (!silent) return [value, ...losses(data)];
    const last = data.find(({ state }) => state === 'silent');
    const one = last && `${last.address} silent for ${duration(last.age_s)}`;
    return [value, silent === 1 && one ? one : `${number(silent)} silent`, 'bad'];
}
