// The live feed: what happened, newest first. The newest forty are kept.

import { country, exactTime, make } from './format.js';

const most = 40;
const words = {
    enter: 'Entered',
    leave: 'Left',
    pageview: 'Viewed',
    custom_event: 'Event',
    outbound: 'Outbound',
};

/** The types of events that are shown. */
export const types = Object.keys(words).join();

function entry(event) {
    const item = make('li');
    const kind = Object.hasOwn(words, event.type) ? event.type : 'custom_event';
    item.dataset.kind = kind;
    const at = make('time', '', exactTime(new Date(event.timestamp)));
    at.dateTime = event.timestamp;
    const place = make('span', 'name', event.pathname || 'the site');
    place.dir = 'auto';
    place.title = event.pathname;
    const what = make('span', 'kind', words[kind]);
    if (kind === 'custom_event' && event.event_name) {
        what.textContent = event.event_name;
        what.dir = 'auto';
    }
    const from = [event.country && country(event.country), event.referrer]
        .filter(Boolean)
        .join(' · ');
    const origin = make('span', 'origin', from);
    origin.dir = 'auto';
    origin.title = from;
    item.append(at, what, place, origin);
    return item;
}

/** Add events (newest first) at the top of `section`. */
export function addEvents(section, events) {
    const list = section.querySelector('ol');
    const fresh = list.childElementCount > 0;
    const items = events.slice(0, most).map(entry);
    for (const item of items) item.classList.toggle('new', fresh);
    list.prepend(...items);
    while (list.childElementCount > most) list.lastElementChild.remove();
    section.querySelector('.empty').hidden = list.childElementCount > 0;
}

/** Note in the feed that events were missed. */
export function addMissed(section, count) {
    const item = make(
        'li',
        'missed',
        count === 1 ? '1 event went by unseen' : `${count.toLocaleString()} events went by unseen`,
    );
    section.querySelector('ol').prepend(item);
}

export function clearEvents(section) {
    section.querySelector('ol').replaceChildren();
    section.querySelector('.empty').hidden = false;
}
