// The badges of this page: each is a script element, and an element that shows the number.
import { address, attempt } from './base.js';
import { placeOf } from './names.js';
import { createView } from './view.js';

const seen = new WeakSet();
export let badges = [];

// Skip scripts of other types: they wait for consent, or are meant for old browsers.
const bare = (link) => link?.split(/[?#]/)[0];
const ours = bare(address);
const isOurs = (script) =>
    script.localName === 'script' &&
    bare(script.src) === ours &&
    /^(|module|text\/javascript)$/.test(script.type) &&
    !script.noModule;

// Insert the element where it belongs unless it is in the page; true if it was inserted.
const insert = ({ script, host }) => {
    const { target } = script.dataset;
    if (host.isConnected) return false;
    if (target) attempt(() => document.querySelector(target))?.append(host);
    else if (script.isConnected && !script.closest('head')) script.after(host);
    // Remove copies without a shadow tree: frameworks that cache pages make them.
    for (const each of host.parentNode?.querySelectorAll('span.presence-badge:empty') ?? [])
        if (!each.shadowRoot) each.remove();
    return host.isConnected;
};

const create = (script) => {
    seen.add(script);
    const place = placeOf(script.dataset);
    const badge = { script, place, ...createView(script.dataset, () => badge.place) };
    badges.push(badge);
    insert(badge);
    // A loader removes its script from the head once it has run; the badge stays then.
    const isInHead = script.closest('head');
    script.addEventListener('load', () => {
        badge.stays = isInHead;
        setTimeout(() => {
            badge.stays &&= !script.isConnected;
        });
    });
};

// Create the badges of new scripts in this node; true if there are any. Called for each node that
// is added to the page.
const createIn = (node) => {
    const before = badges.length;
    const createOurs = (script) => {
        if (isOurs(script) && !seen.has(script)) create(script);
    };
    createOurs(node);
    if (node.firstElementChild) node.querySelectorAll('script').forEach(createOurs);
    return badges.length > before;
};

// Insert elements that were removed, and forget badges that have ended; true if there were any.
const settle = () => {
    const before = badges.length;
    const areInserted = badges.filter(insert).length > 0;
    badges = badges.filter(
        ({ script, host, stays }) => script.isConnected || host.isConnected || stays,
    );
    return areInserted || badges.length < before;
};

export const readBadges = () => {
    settle();
    for (const badge of badges) badge.place = placeOf(badge.script.dataset);
};

// Call `changed` in the frame in which badges come or go. Return a function that finds new ones.
export const observeBadges = (changed) => {
    let frame;
    let isNews;
    const check = () => {
        frame = 0;
        if (settle() || isNews) changed();
        isNews = false;
    };
    new MutationObserver((records) => {
        for (const { addedNodes } of records)
            for (const node of addedNodes) if (createIn(node)) isNews = true;
        if (isNews || badges.some(({ host }) => !host.isConnected))
            frame ||= requestAnimationFrame(check);
    }).observe(document, { childList: true, subtree: true });
    return () => {
        if (createIn(document)) changed();
    };
};
