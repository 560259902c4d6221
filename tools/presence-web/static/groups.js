// Totals of many collectors: their groups and shards, and how far they can be relied on.

import { compact, duration, make, moment, number, unknown, write } from './format.js';

const words = {
    fresh: 'fresh',
    absent: 'was never published',
    silent: 'has been silent',
    stale: 'is stale',
    disagrees: 'has another number of shards',
    unreadable: 'is unreadable: another version, or damaged',
    evicted: 'has lost counts to the engine',
};

/** True if an answer of /api/status is about groups of collectors. */
export const isTotal = (status) => Array.isArray(status?.groups);

const plural = (count, one) => (count === 1 ? one : `${one}s`);

const sum = (list, name) => list.reduce((all, each) => all + (each[name] ?? 0), 0);

const lacking = (shards) =>
    sum(shards, 'streams_losing') + sum(shards, 'streams_silent') + sum(shards, 'streams_missing');

/** Say which shard of a group isn't fresh, and why. */
function trouble({ shard, state, age_ms: age, host }) {
    const since = state === 'silent' ? ` for ${duration(age / 1000)}` : '';
    return `shard ${shard}${host ? ` (${host})` : ''} ${words[state] ?? 'is unknown'}${since}`;
}

/** Say how a group is: [words, level]. */
function describe({ whole, warming, partial, shards }) {
    const bad = shards.filter(({ state }) => state !== 'fresh');
    if (bad.length > 1) return [`left out: ${bad.length} of ${shards.length} shards are not fresh`, 'bad'];
    if (!whole) return [bad.length ? `left out: ${trouble(bad[0])}` : 'left out', 'bad'];
    if (partial) {
        const count = lacking(shards);
        return [`partial: ${number(count)} ${plural(count, 'stream')} lost or missing`, 'warn'];
    }
    if (warming) return ['warming up', 'warn'];
    return [shards.length === 1 ? 'whole' : `whole: ${number(shards.length)} shards`, 'good'];
}

function row() {
    const item = make('li');
    const name = make('span', 'name');
    name.dir = 'auto';
    item.append(name, make('span', 'visitors'), make('span', 'note'));
    return item;
}

/** Show the groups, each with its visitors on all sites and its state. */
function showGroups(section, { groups }) {
    const list = section.querySelector('ol');
    while (list.childElementCount > groups.length) list.lastElementChild.remove();
    groups.forEach((group, at) => {
        const item = list.children[at] ?? list.appendChild(row());
        const [note, level] = describe(group);
        item.dataset.level = level;
        write(item.children[0], group.name);
        write(item.children[1], number(sum(group.shards, 'visitors')));
        write(item.children[2], note);
    });
    section.querySelector('.empty').hidden = groups.length > 0;
}

/**
 * Show only what there can be of the numbers' source, by an answer of /api/status. Return the source:
 * 'groups' or 'collector'.
 */
export function showSource(status) {
    const isGroups = isTotal(status);
    const { dataset } = document.body;
    dataset.source = isGroups ? 'groups' : 'collector';
    dataset.history = isGroups && !status.history ? 'none' : 'kept';
    document.getElementById('feed').hidden = isGroups;
    document.getElementById('groups').hidden = !isGroups;
    if (isGroups) showGroups(document.getElementById('groups'), status);
    return dataset.source;
}

function engine({ state, engine: { problem }, as_of: since }) {
    if (problem) return ['No answer', problem, 'bad'];
    if (state === 'stale')
        return ['Last known', since ? `as of ${moment(new Date(since))}` : 'no group is whole', 'bad'];
    return ['Read', 'once a second', 'good'];
}

function groupsLine(groups) {
    const whole = groups.filter((group) => group.whole);
    const level = whole.length === groups.length ? 'good' : whole.length ? 'warn' : 'bad';
    const out = groups.filter((group) => !group.whole).map(({ name }) => name);
    if (!groups.length) return [unknown, 'none has published', 'bad'];
    return [
        `${number(whole.length)} of ${number(groups.length)} whole`,
        out.length ? `${out.join(', ')} left out` : 'the largest is shown',
        level,
    ];
}

function shardsLine(shards) {
    const bad = shards.filter(({ state }) => state !== 'fresh');
    if (!shards.length) return [unknown, '', 'none'];
    return [
        `${number(shards.length - bad.length)} of ${number(shards.length)} fresh`,
        bad.length ? trouble(bad[0]) : 'all publish',
        bad.length ? 'warn' : 'good',
    ];
}

function streamsLine(shards) {
    const all = [
        ['streams_missing', 'missing'],
        ['streams_silent', 'silent'],
        ['streams_losing', 'losing'],
    ].map(([name, word]) => [sum(shards, name), word]);
    const count = lacking(shards);
    if (!count) return ['Complete', 'in each group', 'good'];
    const note = all.filter(([each]) => each).map(([each, word]) => `${compact(each)} ${word}`);
    return [`${compact(count)} lost`, note.join(', '), 'warn'];
}

function measure({ stale, warming, partial }) {
    if (stale) return ['Last known', 'nothing new comes in', 'bad'];
    if (warming) return ['Lower bound', 'all groups warm up', 'warn'];
    if (partial) return ['Lower bound', 'all groups are incomplete', 'warn'];
    return ['Complete', 'one group lacks nobody', 'good'];
}

function edge({ last, lastAt, isSilent }) {
    if (isSilent) return ['Not known', Number.isFinite(lastAt) ? 'nothing new' : '', 'none'];
    if (Number.isFinite(last)) return ['Quiet', `for ${duration(last)}`, 'warn'];
    return ['Heard', 'within a minute', 'good'];
}

/** Return the lines of the health section for totals. */
export function totalLines(status, site) {
    const shards = status.groups.flatMap((group) => group.shards);
    const known = (line) => (status.engine.problem ? [line[0], 'as last read', 'none'] : line);
    return [
        ['Engine', ...engine(status)],
        ['The number', ...measure(status)],
        ['This site', ...edge({ ...site, isSilent: site?.isSilent || status.stale })],
        ['Groups', ...known(groupsLine(status.groups))],
        ['Shards', ...known(shardsLine(shards))],
        ['Streams', ...known(streamsLine(shards))],
    ];
}
