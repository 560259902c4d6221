// The dashboard: its state, its requests, and what it shows.

import { read, Refused, remember, remembered, repeat, sitePath, useKey } from './api.js';
import { Chart } from './chart.js';
import { learnTime, now } from './clock.js';
import { learnSenders } from './edges.js';
import { addEvents, addMissed, clearEvents, types } from './feed.js';
import {
    country,
    duration,
    exactTime,
    isCount,
    moment,
    number,
    percent,
    unknown,
    write,
} from './format.js';
import { showSource } from './groups.js';
import { isQuiet, showHealth } from './health.js';
import { showList } from './lists.js';
import { showNumber } from './number.js';
import { SitePicker } from './sites.js';
import { buckets, fittingRange, minute, readMinutes, renew, rowLength, within } from './trend.js';

const $ = (id) => document.getElementById(id);
const chart = new Chart($('chart'));
const patience = 12000; // ms without an answer after which the server counts as unreachable
const silence = 40000; // ms after which a stream is dead: it sends something every 15 s
const most = 8; // pages, sources and countries in a list

const wanted = new URLSearchParams(location.search);
const state = {
    site: wanted.get('site'),
    minutes: Number(wanted.get('minutes')) || 5,
    range: null, // of the chart, in ms, once one was picked; otherwise the data decide
    heard: performance.now(), // when the server last answered
    confirmed: performance.now(), // when it last confirmed the number
    refusal: '', // why the server refuses to answer
    collector: true, // false: the server has no segment to read, or no engine
    source: '', // of the numbers: 'collector' or 'groups'; '': not known yet
    now: null, // the last of: count, stale, warming, partial, as_of, last_heartbeat_s
    status: null,
    senders: null,
    history: [],
    peak: null,
};

// --- showing

function mark() {
    const { now } = state;
    if (performance.now() - state.heard > patience) return ['offline', 'No answer from the server'];
    if (state.refusal && !now) return ['unknown', 'Refused']; // a stream may not need a key
    const isGroups = state.source === 'groups';
    if (!state.collector) return ['stale', isGroups ? 'No totals' : 'No collector'];
    if (!state.site) return ['unknown', 'No site yet'];
    if (!now) return ['unknown', 'Connecting'];
    const since = now.as_of ? ` since ${exactTime(new Date(now.as_of))}` : '';
    if (now.stale) return ['stale', `Stale${since}`];
    if (performance.now() - state.confirmed > silence) return ['stale', `Not confirmed${since}`];
    if (now.warming) return ['warming', 'Warming up'];
    if (now.partial) return ['partial', isGroups ? 'Incomplete' : 'No room for everybody'];
    if (isQuiet(now.last_heartbeat_s))
        return ['quiet', `Quiet since ${moment(new Date(lastAt()))}`];
    return ['live', 'Live'];
}

/** Return the time of the site's last heartbeat; NaN if there was none. */
const lastAt = () => Date.parse(state.now?.as_of) - (state.now?.last_heartbeat_s ?? NaN) * 1000;

function windowName(seconds) {
    if (seconds % 3600 === 0) return seconds === 3600 ? 'hour' : `${seconds / 3600} hours`;
    return seconds === 60 ? 'minute' : `${Math.round(seconds / 60)} minutes`;
}

function meaning(kind) {
    const { now } = state;
    if (!now || !isCount(now.count)) {
        if (state.refusal) return state.refusal;
        if (!state.collector)
            return state.source === 'groups' ? 'Not known' : 'Not known until presenced runs';
        return state.site ? 'Not known' : 'The first heartbeat of a site makes it appear here';
    }
    const when = now.as_of ? exactTime(new Date(now.as_of)) : unknown;
    if (kind === 'offline' || kind === 'stale') return `Last known, as of ${when}`;
    const people = now.count === 1 ? 'visitor' : 'visitors';
    const window = `${people} in the last ${windowName(now.window_s)}`;
    return kind === 'warming' || kind === 'partial' ? `At least this many ${window}` : window;
}

/** Compare the count with an hour ago; '' if that is unknown. */
function change() {
    const then = now() - 60 * minute;
    const old = state.history.find(({ at }) => Math.abs(at - then) < 90000);
    const { count, stale, warming, partial } = state.now ?? {};
    if (!old?.mean || !isCount(count) || stale || warming || partial || state.minutes !== 5)
        return '';
    const share = count / old.mean - 1;
    if (Math.abs(share) < 0.005) return 'as many as an hour ago';
    return `${percent(Math.abs(share))} ${share > 0 ? 'more' : 'fewer'} than an hour ago`;
}

function showNow() {
    const [kind, words] = mark();
    const count = isCount(state.now?.count) ? state.now.count : null;
    const isSilent = kind === 'stale' || kind === 'offline';
    const isChange = document.body.dataset.mark !== kind;
    document.body.dataset.mark = kind;
    write($('mark').lastElementChild, words);
    showNumber($('number'), count);
    write($('meaning'), [meaning(kind), kind === 'live' && change()].filter(Boolean).join(' · '));
    const last = state.now?.last_heartbeat_s;
    const recent = state.source === 'groups' && !isSilent && state.now && !isCount(last);
    const age = isSilent ? (now() - lastAt()) / 1000 : last;
    showFact('heartbeat', recent ? '< 1 min' : duration(age), 'ago');
    const title = count === null || kind !== 'live' ? words : number(count);
    state.heartbeat = { last, lastAt: lastAt(), edges: state.now?.edges, isSilent };
    if (kind === 'offline') state.status = null;
    if (state.status || kind === 'offline')
        showHealth($('health'), state.status, state.senders, state.heartbeat);
    document.title = [title, state.site, 'presence'].filter(Boolean).join(' · ');
    if (isChange) askStatus?.();
}

function showFact(place, value, note) {
    const [first, second] = $(place).children;
    write(first, value);
    write(second, value === unknown ? '' : note);
}

function showPeak(place, peak) {
    if (peak && isCount(peak.count)) {
        showFact(place, number(peak.count), `at ${moment(new Date(peak.timestamp))}`);
    } else {
        showFact(place, unknown);
    }
}

function showTable(range) {
    const length = rowLength(range);
    const rows = buckets(within(state.history, now() ?? 0, range), length)
        .reverse()
        .map((each) => {
            const row = document.createElement('tr');
            const head = row.appendChild(document.createElement('th'));
            head.scope = 'row';
            head.textContent = moment(new Date(each.at));
            for (const value of [
                each.min,
                Math.round(each.mean),
                each.max,
                each.pageviews,
                each.entered,
                each.left,
            ]) {
                row.insertCell().textContent = number(value);
            }
            return row;
        });
    const unit = length === minute ? 'minute' : windowName(length / 1000);
    write(
        $('table-name'),
        `Visitors by ${unit}: lowest, mean and highest count, and what happened`,
    );
    $('rows').replaceChildren(...rows);
}

function showTrend() {
    const ranges = rangeInputs.map(({ value }) => value * minute);
    const range = state.range ?? fittingRange(state.history, now() ?? 0, ranges);
    for (const input of rangeInputs) input.checked = input.value * minute === range;
    write($('trend-title'), `Last ${windowName(range / 1000)}`);
    chart.show(state.history, now(), range);
    if ($('rows').closest('details').open) showTable(range);
}

function showLists(answer) {
    // Call a list empty only if the site is known and nothing was left out.
    const unsure = (list) =>
        answer?.currentVisitors === null || answer?.partialLists?.includes(list);
    const named = (list, name, label) =>
        answer?.[list]?.length === 0 && unsure(list)
            ? undefined
            : answer?.[list]?.map((each) => ({
                  name: each[name],
                  visitors: each.visitors,
                  label: label?.(each[name]),
              }));
    for (const [place, list] of [
        ['pages', 'activePages'],
        ['sources', 'sources'],
        ['countries', 'countries'],
    ]) {
        $(place).querySelector('.aside').hidden = !(answer?.[list]?.length > most);
        answer?.[list]?.splice(most);
    }
    showList($('pages'), named('activePages', 'path'), 'Nobody is on a page now');
    showList($('sources'), named('sources', 'source'), 'Nobody came from elsewhere');
    showList($('countries'), named('countries', 'country', country), 'No country is known');
    const views = isCount(answer?.pageViews) ? answer.pageViews : NaN;
    showFact('pageviews', number(views), `in the last ${windowName(answer?.window_s)}`);
}

// --- requests

function heard(answer) {
    const isFirst = now() === undefined;
    state.heard = performance.now();
    if (answer) learnTime(answer);
    if (isFirst && state.history.length) showTrend();
}

function confirm() {
    heard();
    state.confirmed = performance.now();
}

/** Read an answer; null if another site or window was picked meanwhile. */
async function ask(path, parameters) {
    const { site, minutes } = state;
    const answer = await read(path, parameters);
    heard(answer);
    Object.assign(state, { collector: true, refusal: '' });
    return site === state.site && minutes === state.minutes ? answer : null;
}

function failed(error) {
    if (error instanceof Refused) {
        heard();
        if (error.status === 401 || error.status === 403) refused(error);
        else if (['no_collector', 'no_engine'].includes(error.code)) state.collector = false;
    } else if (error.name !== 'TimeoutError' && !(error instanceof TypeError)) {
        console.error(error);
    }
    showNow();
}

function refused({ code, message }) {
    state.refusal = message;
    if (!code.startsWith('key_') || $('key').open) return;
    if (code === 'key_invalid') write($('key-note'), 'This key is wrong.');
    $('key').showModal();
}

const unlessLocked = (work) => async () => {
    if (!$('key').open) await work();
};

/** Without a site, look at the busiest one as soon as there is one. */
async function readSites() {
    if (state.site) return;
    const [busiest] = (await searchSites('', 1)).data;
    if (busiest && !state.site) pickSite(busiest.site);
}

async function searchSites(search, limit) {
    const answer = await read('api/sites', { search, limit });
    heard(answer);
    state.collector = true;
    return answer;
}

let asked = 0; // when the numbers were last requested
let streamed = 0; // when the stream last sent one
let wasStale = false; // the number in the last answer
async function readNow() {
    if (!state.site) return;
    const answer = await ask(sitePath(state.site, 'realtime', 'api/analytics'), {
        minutes: state.minutes,
        limit: most + 1,
    });
    if (!answer) return;
    showLists(answer);
    const { window_s, last_heartbeat_s, as_of, stale, warming, partial, edges } = answer;
    // Prefer the stream's number: it is newer, and it does not report a short restart as stale. But
    // a proxy may delay it, or its connection be dead: use this answer if it has sent nothing for a
    // while. Believe a second answer that the number is stale.
    const open = stream?.readyState === 1 && state.now;
    const heldUp = open && streamed < asked && (!stale || wasStale);
    asked = performance.now();
    wasStale = stale;
    const news = { window_s, last_heartbeat_s, as_of, edges };
    if (!open || heldUp)
        Object.assign(news, { stale, warming, partial, count: answer.currentVisitors });
    confirm();
    state.now = { ...state.now, ...news };
    showNow();
}

let allRead = -Infinity; // when all 24 hours were last read
async function readHistory() {
    if (!state.site || !hasHistory()) return;
    const isAll = performance.now() - allRead > minute || !state.history.length;
    const answer = await ask(sitePath(state.site, 'history'), { hours: isAll ? 24 : 1 });
    if (!answer) return;
    const fresh = readMinutes(answer.data);
    state.history = isAll ? fresh : renew(state.history, fresh);
    if (isAll) allRead = performance.now();
    state.peak = answer.peak;
    showPeak('peak-today', state.peak?.today);
    showPeak('peak-ever', state.peak?.ever);
    showTrend();
}

let watermark = null;
let noEvents = -Infinity; // when the collector last reported that it keeps none
async function readEvents() {
    if (!state.site || paused() || performance.now() - noEvents < 60000) return;
    if (state.source !== 'collector') return;
    const from = watermark;
    let answer;
    try {
        answer = await ask(
            sitePath(state.site, 'events'),
            { types, ...(from ? { since_timestamp: from, page_size: 100 } : { page_size: 40 }) },
        );
    } catch (error) {
        if (error.code !== 'no_events') throw error;
        noEvents = performance.now();
        write($('feed').querySelector('.empty'), 'The collector keeps no events');
    }
    if (!answer || from !== watermark) return;
    if (answer.missed > 0) addMissed($('feed'), answer.missed);
    if (answer.data.length) addEvents($('feed'), answer.data);
    watermark = answer.next_timestamp ?? watermark;
}

const hasHistory = () => state.source && document.body.dataset.history !== 'none';

function learnSource(status) {
    const isNew = !state.source;
    state.source = showSource(status);
    if (!isNew) return;
    if (state.source === 'groups') sitePicker.missing = 'no group has all, or they are less busy';
    askHistory();
    askEvents();
}

/** Read who sends; null if the collector doesn't keep it. */
async function readSenders() {
    if (state.source === 'groups') return null;
    try {
        return await read('api/senders', { limit: 1000 });
    } catch (error) {
        if (error.code !== 'no_streams') throw error;
        return null;
    }
}

async function readStatus() {
    try {
        state.status = await read('api/status');
        heard(state.status);
        learnSource(state.status);
        state.senders = await readSenders();
        learnSenders(state.senders);
    } catch (error) {
        state.status = null;
        throw error;
    } finally {
        showHealth($('health'), state.status, state.senders, state.heartbeat);
    }
}

let stream;
let streamHeard; // when it was opened, or last sent something
function listen() {
    stream?.close();
    stream = null;
    if (!state.site || document.hidden) return;
    const { site, minutes } = state;
    const mine = new EventSource(`stream?${new URLSearchParams({ site, minutes })}`);
    stream = mine;
    streamHeard = performance.now();
    const hear = () => {
        streamHeard = performance.now();
        confirm();
    };
    mine.addEventListener('alive', () => mine === stream && hear());
    mine.addEventListener('count', (event) => {
        if (mine !== stream) return;
        hear();
        streamed = performance.now();
        state.now = { ...state.now, ...JSON.parse(event.data) };
        showNow();
    });
    mine.addEventListener('error', () => {
        if (mine === stream && mine.readyState === 2)
            setTimeout(() => mine === stream && listen(), 10000);
    });
}

/** Open a stream anew that sends nothing: its connection may be half open. */
function checkStream() {
    if (stream && performance.now() - streamHeard > silence) listen();
}

const paused = () => $('pause').getAttribute('aria-pressed') === 'true';

// --- choices

function keepAddress() {
    const place = new URL(location);
    if (state.site) place.searchParams.set('site', state.site);
    place.searchParams.set('minutes', state.minutes);
    if (state.range) place.searchParams.set('range', state.range / minute);
    history.replaceState(null, '', place);
}

function pick(changes) {
    Object.assign(state, changes, { now: null });
    sitePicker.show(state.site);
    keepAddress();
    showNow();
    showLists(null);
    listen();
    askNow();
}

function pickSite(site) {
    watermark = null;
    clearEvents($('feed'));
    Object.assign(state, { history: [], peak: null });
    showPeak('peak-today');
    showPeak('peak-ever');
    pick({ site });
    showTrend();
    askHistory();
    askEvents();
}

function pickTheme(theme) {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    $('theme').value = theme;
}

const sitePicker = new SitePicker($('picker'), searchSites, pickSite);
sitePicker.show(state.site);
$('minutes').addEventListener('change', ({ target }) => pick({ minutes: Number(target.value) }));
$('theme').addEventListener('change', ({ target }) => {
    pickTheme(target.value);
    remember('localStorage', 'presence.theme', target.value);
});
$('pause').addEventListener('click', ({ currentTarget: button }) => {
    button.setAttribute('aria-pressed', String(!paused()));
    askEvents();
});
$('range').addEventListener('change', ({ target }) => {
    state.range = target.value * minute;
    keepAddress();
    askHistory();
    showTrend();
});
$('rows').closest('details').addEventListener('toggle', showTrend);
$('key').addEventListener('close', () => {
    useKey($('key-value').value);
    askEverything.forEach((ask) => ask());
    listen();
});
document.addEventListener('visibilitychange', listen);

pickTheme(wanted.get('theme') ?? remembered('localStorage', 'presence.theme') ?? 'auto');
$('minutes').value = state.minutes;
if ($('minutes').selectedIndex < 0) {
    $('minutes').append(new Option(`${state.minutes} minutes`, state.minutes, true, true));
}
const rangeInputs = [...$('range').querySelectorAll('input')];
if (rangeInputs.some(({ value }) => value === wanted.get('range')))
    state.range = wanted.get('range') * minute;

let askStatus;
const askNow = repeat(() => 5000, unlessLocked(readNow), failed);
const askHistory = repeat(
    () => (state.history.length ? 10000 : 2000),
    unlessLocked(readHistory),
    failed,
);
const askEvents = repeat(() => 2000, unlessLocked(readEvents), failed);
askStatus = repeat(() => 5000, unlessLocked(readStatus), failed);
const askSites = repeat(() => 2000, unlessLocked(readSites), failed);
const askEverything = [askNow, askHistory, askEvents, askStatus, askSites];
if (state.site) listen();
let ticked = Date.now();
setInterval(() => {
    // After the machine has slept, the number is old. performance.now() may not know of that.
    if (Math.abs(Date.now() - ticked) > patience) {
        state.confirmed = -Infinity;
        listen();
        askNow();
    }
    ticked = Date.now();
    checkStream();
    showNow();
}, 1000);
showTrend();
