// The last number of each place, and when it was confirmed.
import { isOver } from './base.js';

const deadline = 85000; // checked every 5 s: no number is shown for over 90 s without an answer
const numbers = new Map(); // by key: { count, at, answered: when a touch's answer had it }

export const numberOf = ({ key }) => {
    const number = numbers.get(key);
    return isOver(number?.at, deadline) ? undefined : number.count;
};

// Return undefined if the count is unknown, or only a lower bound.
export const countOf = ({ count, stale, warming, partial }) =>
    stale || warming || partial ? undefined : (count ?? undefined);

// Record the counts of the room and of the site from a touch's answer.
export const learnAnswer = ({ site, room }, news) => {
    const at = Date.now();
    const learn = (shown, count) =>
        numbers.set(`${site} ${shown}`, { count: countOf({ ...news, count }), at, answered: at });
    learn(room, news.count);
    learn('', news.site_count);
};

// Record a stream's counts. Ignore those that are older than an answer, unless the clock was set
// back since. A lower one may have been read before a touch was counted: wait until it is sent again.
export const learnNews = (counts, at) => {
    for (const [key, count] of counts) {
        const known = numbers.get(key);
        const isLate = count < known?.count && !isOver(known.answered, 1000);
        const isOlder = at < known?.at && known.at <= Date.now();
        if (!isLate && !isOlder) numbers.set(key, { count, at });
    }
};
