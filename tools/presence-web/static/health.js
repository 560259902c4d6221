// Health: how far the numbers can be relied on.

import { edgesLine, whyQuiet } from './edges.js';
import { compact, duration, make, moment, number, percent, unknown, write } from './format.js';
import { isTotal, totalLines } from './groups.js';

const quietAfter = 60; // seconds: a visitor sends one heartbeat a minute

// Why the collector rejects datagrams; the counters are named after these reasons.
export const reasons = {
    sender: 'from senders that are not allowed',
    version: 'of an unknown version',
    malformed: 'not valid heartbeats',
    visitor: 'without a visitor id',
    unauthenticated: 'not signed with a known key',
    stale: 'signed by a clock that differs, or late',
    duplicate: 'received before',
    site: 'for sites that are not counted',
};

let seen; // the last answer's counters, its time, and the growth of each

const total = (counters, prefix) => {
    const values = Object.entries(counters).filter(([name]) => name.startsWith(prefix));
    return values.reduce((sum, [, value]) => sum + value, 0);
};

/**
 * Return each counter's growth a second between the last two answers that are seconds apart;
 * undefined: unknown.
 */
function rates(counters) {
    const at = performance.now();
    if (seen?.counters === counters || at - seen?.at < 2000) return seen.rate;
    const old = seen;
    const rate = (name) => {
        const more = old && counters[name] - old.counters[name];
        return more >= 0 ? more / ((at - old.at) / 1000) : undefined;
    };
    seen = { counters, at, rate };
    return rate;
}

function collector({ state, stale, as_of_age_s: age, listening_for_s: listening }) {
    if (state === 'stopped') return ['Stopped', `for ${duration(age)}`, 'bad'];
    if (state === 'starting') return ['Starting', 'it does not listen yet', 'bad'];
    if (stale) return ['Silent', `for ${duration(age)}`, 'bad'];
    return ['Listening', `for ${duration(listening)}`, 'good'];
}

function measure({ stale, warming, partial, warm_up_s: needed, listening_for_s: listening }) {
    if (stale) return ['Last known', 'nothing new comes in', 'bad'];
    if (warming)
        return ['Lower bound', `for ${duration(Math.max(1, needed - listening))} more`, 'warn'];
    if (partial) return ['Lower bound', 'a limit was reached', 'warn'];
    return ['Complete', 'nobody is left out', 'good'];
}

function edge({ last, lastAt, isSilent, edges }) {
    if (!Number.isFinite(last)) return [unknown, isSilent ? '' : 'no heartbeat yet', 'none'];
    if (isSilent) return ['Not known', `last heard at ${moment(new Date(lastAt))}`, 'none'];
    if (last > quietAfter) {
        const [why, level] = whyQuiet(edges);
        return ['Quiet', `for ${duration(last)}, ${why}`, level];
    }
    return ['Heard', last < 1 ? 'just now' : `${duration(last)} ago`, 'good'];
}

function heartbeats(rate) {
    const all = rate('heartbeats_new') + rate('heartbeats_refreshed');
    if (!Number.isFinite(all)) return [unknown, 'a second', 'none'];
    return [all < 10 ? number(Math.round(all * 10) / 10) : compact(all), 'a second', 'none'];
}

function rejected(counters) {
    const prefix = 'datagrams_rejected_';
    const received = counters.datagrams_received;
    const all = total(counters, prefix);
    if (!received) return [unknown, 'nothing received yet', 'none'];
    const share = all / received;
    return [
        share && share < 0.005 ? `< ${percent(0.01)}` : percent(share),
        all ? mostly(counters, prefix, all) : 'of all datagrams',
        share > 0.05 ? 'warn' : 'good',
    ];
}

/** Say which reason most of `all` rejected datagrams were rejected for. */
function mostly(counters, prefix, all) {
    const [name, most] = Object.entries(counters)
        .filter(([each]) => each.startsWith(prefix))
        .reduce((one, other) => (other[1] > one[1] ? other : one));
    const reason = name.slice(prefix.length);
    const isRate = reason === 'sender' && counters.sender_rate_exceeded > most / 2;
    const words = isRate ? 'from senders over their rate' : reasons[reason];
    return `${most < all ? 'mostly ' : ''}${words ?? reason.replaceAll('_', ' ')}`;
}

function drops(counters) {
    const socket = counters.socket_drops ?? 0;
    const filter = total(counters, 'xdp_dropped_');
    const note =
        socket + filter
            ? `${compact(socket)} socket, ${compact(filter)} filter`
            : 'nothing dropped';
    return [compact(socket + filter), note, socket ? 'warn' : 'good'];
}

function use(live, capacity) {
    if (!capacity) return [unknown, '', 'none'];
    const share = live / capacity;
    const level = share > 0.95 ? 'bad' : share > 0.8 ? 'warn' : 'good';
    return [percent(share), `${compact(live)} of ${compact(capacity)}`, level, share];
}

/** Return the lines of the health section. Nothing is good while the collector is silent. */
function lines(status, senders, site) {
    if (isTotal(status)) return totalLines(status, site);
    const counters = status.counters ?? {};
    const rate = rates(counters);
    const isSilent = site.isSilent || status.stale;
    return [
        ['Collector', ...collector(status)],
        ['The number', ...measure(status)],
        ['This site', ...edge({ ...site, isSilent })],
        ['Heartbeats', ...(isSilent ? [unknown, 'a second', 'none'] : heartbeats(rate))],
        ['Edges', ...(isSilent ? [unknown, 'not known', 'none'] : edgesLine(senders))],
        ['Rejected', ...rejected(counters)],
        ['Dropped', ...drops(counters)],
        ['Visitor table', ...use(status.entries_taken, status.entries_capacity)],
        ['Scopes', ...use(status.scopes_live, status.scopes_capacity)],
    ].map(([name, value, note, level, share]) => {
        const isLeft = isSilent && level === 'good';
        return [name, value, note, isLeft ? 'none' : level, share];
    });
}

function cell(list, name) {
    const item = make('div');
    item.append(make('dt', '', name), make('dd', 'value'), make('dd', 'note'));
    list.append(item);
    return item;
}

export const isQuiet = (last) => last > quietAfter;

/**
 * Show the health section from the answers of /api/status and /api/senders (null: there was none)
 * and from the site's last heartbeat: `last`, its age when the collector said it, `lastAt`, its time,
 * `edges`, whether some are alive, and `isSilent`: nobody says anything new.
 */
export function showHealth(section, status, senders, site) {
    const list = section.querySelector('dl');
    const all = status ? lines(status, senders, site) : [['Collector', unknown, 'no answer', 'bad']];
    if (list.childElementCount !== all.length) list.replaceChildren();
    all.forEach(([name, value, note, level, share], at) => {
        const item = list.children[at] ?? cell(list, name);
        item.dataset.level = level;
        write(item.children[1], value);
        write(item.children[2], note);
        item.style.setProperty('--share', share ?? 0);
        item.classList.toggle('meter', share !== undefined);
    });
}
