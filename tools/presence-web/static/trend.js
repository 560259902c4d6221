// The last 24 hours: minutes grouped for the width of a chart, and by hour for a table.

const minute = 60000;
export const span = 24 * 60 * minute;

/** Parse the server's history; invalid minutes are left out. */
export function readMinutes(data) {
    return (data ?? [])
        .map((each) => ({
            ...each,
            at: Date.parse(each.timestamp),
            left: each.left + (each.departed ?? 0),
        }))
        .filter(({ at, min, mean, max }) => [at, min, mean, max].every(Number.isFinite))
        .sort((one, other) => one.at - other.at);
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

/** Group minutes in buckets of `length` milliseconds; a time without minutes has none. */
export function buckets(minutes, length) {
    const groups = new Map();
    for (const each of minutes) {
        const at = Math.floor(each.at / length) * length;
        groups.set(at, [...(groups.get(at) ?? []), each]);
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

/** Return how much time a point stands for in a chart of this width. */
export function bucketLength(width) {
    const fits = [1, 2, 3, 4, 5, 6, 10, 15, 20, 30].find((size) => 1440 / size <= width / 2);
    return (fits ?? 60) * minute;
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

/** Return the times between two moments at which the local clock shows a multiple of `hours`. */
export function hourMarks(from, to, hours) {
    const mark = new Date(from);
    mark.setMinutes(0, 0, 0);
    const all = [];
    while (mark.getTime() <= to) {
        if (mark.getTime() >= from && mark.getHours() % hours === 0) all.push(new Date(mark));
        mark.setTime(mark.getTime() + 60 * minute);
    }
    return all;
}
