// Numbers, times and names in the reader's language. Names come from strangers: insert them only as
// text.

import { now } from './clock.js';

const numbers = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const regions = new Intl.DisplayNames(undefined, { type: 'region', fallback: 'none' });

export const unknown = '–';

export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** Format a number; anything else is unknown, not zero. */
export const number = (value) => (Number.isFinite(value) ? numbers.format(value) : unknown);
export const compact = (value) => (Number.isFinite(value) ? short.format(value) : unknown);
export const percent = (share) => (Number.isFinite(share) ? percents.format(share) : unknown);

/** True if clocks show this time twice: in the night in which they are put back. */
function isRepeated(when) {
    const own = when.getTimezoneOffset();
    const offsetAt = (at) => new Date(at).getTimezoneOffset();
    return [-86400000, 86400000].some((away) => {
        const other = offsetAt(when.getTime() + away);
        const twin = when.getTime() + (other - own) * 60000;
        return other !== own && offsetAt(twin) === other;
    });
}

/** Return a function that formats a time; one that is shown twice also with its zone. */
function clock(fields) {
    const all = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...fields };
    const plain = new Intl.DateTimeFormat(undefined, all);
    const zoned = new Intl.DateTimeFormat(undefined, { ...all, timeZoneName: 'short' });
    return (when) => (isRepeated(when) ? zoned : plain).format(when);
}

export const time = clock({});
export const exactTime = clock({ second: '2-digit' });
export const date = (when) => day.format(when);

/** "14:02" today, "3 Feb, 14:02" before. */
export function moment(when) {
    const today = new Date(now() ?? when).toDateString() === when.toDateString();
    return today ? time(when) : `${date(when)}, ${time(when)}`;
}

/** Format a duration in its two largest units: "42 s", "3 min 5 s", "2 h 10 min", "4 d 1 h". */
export function duration(length) {
    if (!Number.isFinite(length)) return unknown;
    let rest = Math.max(0, Math.round(length));
    const parts = [];
    for (const [unit, size] of [
        ['d', 86400],
        ['h', 3600],
        ['min', 60],
        ['s', 1],
    ]) {
        const whole = Math.floor(rest / size);
        rest -= whole * size;
        if (whole || (unit === 's' && !parts.length))
            parts.push(`${numbers.format(whole)} ${unit}`);
        else if (parts.length) break;
    }
    return parts.slice(0, 2).join(' ');
}

/** Return a country's name by its two letters, or the text itself if it is no country. */
export function country(code) {
    if (!/^[A-Z]{2}$/.test(code)) return code;
    return regions.of(code) ?? code;
}

/** Create an element with a class and text. */
export function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
}

/** Set text only if it has changed, so as not to disturb a selection or a screen reader. */
export function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
}
