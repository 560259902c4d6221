// The collector's time. The browser's clock may be hours off, so nobody asks it for the time.

let ahead; // the collector's time minus performance.now(), in ms; undefined: not known yet

/** Learn the time from an answer: fresh numbers are as of now, and the age of old ones is known. */
export function learnTime({ as_of, as_of_age_s: age, stale }) {
    const at = Date.parse(as_of) + 1000 * (age ?? 0);
    if (Number.isFinite(at) && (!stale || age !== undefined)) ahead = at - performance.now();
}

/** Return the time in ms; undefined before the first answer. */
export const now = () => (ahead === undefined ? undefined : ahead + performance.now());
