// One stream for all places of a page, and of all visible tabs where the browser has Web Locks and
// BroadcastChannel: HTTP/1.1 allows only six connections to a host. The tab that holds the lock
// leads: it has the stream, and broadcasts its counts.
import { isOver, url } from './base.js';
import { countOf, learnNews } from './numbers.js';

const silence = 40000; // a stream is dead after so long: it sends a keep-alive every 15 s
const most = 64; // places on one stream

let member; // this page among the tabs: { name, channel, leads, lock, release }
let served; // when the leading tab last broadcast
let own = []; // the places of this page
const requests = new Map(); // places of all tabs by key, and when each was last requested
let stream; // with the keys of its places, the counts it sent, and when it last sent something
let opening;
let lost; // when the stream was lost
let pause; // how long to wait before it is opened again
let listener;

const learn = ({ counts, heard }) => {
    learnNews(counts, heard);
    listener();
};
const broadcast = ({ counts, heard }) => member.channel?.postMessage({ counts, heard });
// Anything that the stream sends confirms all its counts.
const confirm = (source) => {
    source.heard = Date.now();
    learn(source);
    broadcast(source);
};

const close = () => {
    stream?.close();
    stream = undefined;
};

// Name a site or a token once if all places share it. A token also serves places without one.
const streamOf = (places) => {
    const link = url('stream');
    const any = places.find(({ token }) => token)?.token;
    const add = (name, values, isOne = new Set(values).size < 2) =>
        values.slice(0, isOne ? 1 : most).forEach((value) => link.searchParams.append(name, value));
    add('site', places.map(({ site }) => site));
    add('room', places.map(({ shown }) => shown), false);
    if (any) add('token', places.map(({ token }) => token || any));
    return link;
};

const lose = () => {
    close();
    lost = Date.now();
    pause = 2000 + Math.random() * 13000;
};
const open = (places) => {
    close();
    try {
        const source = new EventSource(streamOf(places));
        const keys = places.map(({ key }) => key);
        stream = Object.assign(source, { keys, counts: new Map(), heard: Date.now() });
        source.addEventListener('alive', () => confirm(source));
        source.addEventListener('count', ({ data }) => {
            const news = JSON.parse(data);
            source.counts.set(keys[news.place ?? 0], countOf(news));
            confirm(source);
        });
        source.onerror = lose;
    } catch {
        lose(); // the browser has no EventSource, or an extension blocks it
    }
};

// Open the stream, or reopen it if it lacks places or is silent.
const renew = () => {
    opening = undefined;
    if (!member?.leads) return;
    for (const [key, { at }] of requests) if (isOver(at, 15000)) requests.delete(key);
    const places = [...requests.values()].slice(0, most);
    if (!places.length) return; // after a sleep; the tabs request them again
    const isGood =
        stream &&
        places.every(({ key }) => stream.keys.includes(key)) &&
        !isOver(stream.heard, silence);
    if (isGood) learn(stream);
    else if (stream || isOver(lost, pause)) open(places);
};
// Wait a moment, so that badges and tabs that appear together share one stream.
const renewSoon = () => {
    opening ||= setTimeout(renew, stream ? 500 : 50);
};
const request = (places) => {
    for (const place of places) requests.set(place.key, { ...place, at: Date.now() });
    renewSoon();
};

const receive = ({ data }) => {
    if (data.request) {
        request(data.request);
        if (stream) broadcast(stream);
    } else if (!member?.leads) {
        served = data.heard;
        learn(data);
    }
};

const resign = () => {
    member?.channel?.close();
    member?.release?.();
    member = undefined;
    requests.clear();
    close();
};

// Wait for the lock, or `steal` it. A page without locks, such as a sandboxed frame, leads only
// itself.
const join = (name, options = {}) => {
    resign();
    const next = { name };
    member = next;
    served = Date.now();
    const lead = (lock) =>
        next === member &&
        new Promise((resolve) => {
            next.leads = true;
            next.lock = lock;
            next.release = resolve;
            renewSoon();
        });
    const fail = () => {
        if (next !== member) return;
        next.channel = next.channel?.close();
        if (next.lock) join(name); // it was stolen
        else if (!next.leads) lead();
    };
    try {
        navigator.locks.request(name, options, lead).catch(fail);
        next.channel = new BroadcastChannel(name);
        next.channel.onmessage = receive;
    } catch {
        fail();
    }
};

// Request the numbers of these places; a hidden page requests none. Called at least every 5 s. Tabs
// with other tokens have a stream of their own, because it may be refused.
export const watch = (places, onNews) => {
    const name = `presence 2 ${url('.')} ${places.map(({ token }) => token).join('')}`;
    for (const { key } of own) requests.delete(key);
    own = places;
    listener = onNews;
    if (!places.length) {
        resign();
        return;
    }
    if (member?.name !== name) join(name);
    else if (!member.leads && isOver(served, silence + 5000)) join(name, { steal: true });
    member.channel?.postMessage({ request: places });
    request(places);
};
