// The trend: which of its minutes are shown, grouped for the width of a chart or for a table.

export const minute = 60000;

/** Parse the server's history; invalid minutes are left out. */
export function readMinutes(data) {
    return (data ?? [])
        .map((each) => ({
            ...each,
            at: Date.parse(each.timestamp),
            left: Number.isFinite(each.left) ? each.left + (each.departed ?? 0) : undefined,
        }))
        .filter(({ at, min, mean, max }) => [at, min, mean, max].every(Number.isFinite))
        .sort((one, other) => one.at - other.at);
}

/** Replace the newest minutes of `old` by those of `fresh`. */
export const renew = (old, fresh) => [
    ...old.filter(({ at }) => !fresh.length || at < fresh[0].at),
    ...fresh,
];

/** Return the minutes of the last `range` ms. */
export const within = (minutes, now, range) =>
    minutes.filter(({ at }) => at > now - range - minute && at <= now);

/**
 * Choose the longest range of which two thirds or more were recorded, otherwise the one of which
 * most was: a longer one would be an almost empty picture.
 */
export function fittingRange(minutes, now, ranges) {
    const share = (range) => (within(minutes, now, range).length * minute) / range;
    const full = ranges.filter((range) => share(range) >= 2 / 3);
    if (full.length) return Math.max(...full);
    return ranges.reduce((one, other) => (share(other) > share(one) ? other : one));
}

const sum = (minutes, name) => {
    const known = minutes.map((each) => each[name]).filter(Number.isFinite);
    return known.length ? known.reduce((one, other) => one + other, 0) : undefined;
};

function together(at, minutes) {
    const highest = minutes.reduce((one, other) => (other.max > one.max ? other : one));
    return {
        at,
        min: Math.min(...minutes.map(({ min }) => min)),
        mean: sum(minutes, 'mean') / minutes.length,
        max: highest.max,
        maxAt: highest.at,
        warming: minutes.some(({ warming }) => warming),
        pageviews: sum(minutes, 'pageviews'),
        entered: sum(minutes, 'entered'),
        left: sum(minutes, 'left'),
    };
}

/**
 * Group minutes in buckets of `length` ms, whole ones of the local clock; a time without minutes has
 * none. The server's minutes begin at any second: `at` is that of the first minute that a bucket
 * could have.
 */
export function buckets(minutes, length) {
    const phase = (minutes.at(-1)?.at ?? 0) % minute;
    const groups = new Map();
    for (const each of minutes) {
        const whole = Math.round((each.at - phase) / minute) * minute;
        const local = new Date(whole).getTimezoneOffset() * minute;
        const at = Math.floor((whole - local) / length) * length + local + phase;
        if (!groups.has(at)) groups.set(at, []);
        groups.get(at).push(each);
    }
    return [...groups].map(([at, group]) => together(at, group));
}

/** Split buckets into runs without a gap, all of them lower bounds (warming) or none. */
export function runs(points, length) {
    const all = [];
    for (const point of points) {
        const last = all.at(-1)?.at(-1);
        const follows = last && point.at - last.at <= length;
        if (follows && point.warming === last.warming) all.at(-1).push(point);
        else all.push(follows ? [last, point] : [point]);
    }
    return all;
}

/** Return how much time a point stands for in a chart of this range and width. */
export function bucketLength(range, width) {
    const fits = [1, 2, 3, 4, 5, 6, 10, 15, 20, 30].find(
        (size) => range / (size * minute) <= width / 2,
    );
    return (fits ?? 60) * minute;
}

/** Return how much time a row stands for in a table of this range. */
export function rowLength(range) {
    const size = [1, 15].find((each) => range / (each * minute) <= 60) ?? 60;
    return size * minute;
}

/** Return round marks from 0 to at least `most`, about `wanted` of them. */
export function marks(most, wanted) {
    const rough = Math.max(1, most) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(
        1,
        [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough),
    );
    const count = Math.max(1, Math.ceil(most / step));
    return Array.from({ length: count + 1 }, (_, at) => at * step);
}

/**
 * Return the times between two moments at which the local clock shows a multiple of some minutes, at
 * most `most` of them in a day without a change of clocks.
 */
export function timeMarks(from, to, most) {
    const steps = [1, 5, 10, 15, 30, 60, 120, 180, 240, 360];
    const step = steps.find((each) => (to - from) / (each * minute) <= most) ?? 720;
    const unit = (step === 1 ? 1 : 5) * minute; // clocks differ from UTC by quarters of an hour
    const all = [];
    for (let at = Math.ceil(from / unit) * unit; at <= to; at += unit) {
        const mark = new Date(at);
        if ((60 * mark.getHours() + mark.getMinutes()) % step === 0) all.push(mark);
    }
    return all;
}

/** True if a day begins at this time; where clocks are put back over midnight only the first time. */
export const isMidnight = (mark) =>
    mark.getHours() + mark.getMinutes() === 0 &&
    new Date(mark.getTime() - minute).toDateString() !== mark.toDateString();
