// The trend as SVG: the mean as a line, lowest to highest as a band, the peak named. Unmeasured time
// is a gap. Pointer and arrow keys select a point.

import { compact, date, make, moment, number, time } from './format.js';
import {
    bucketLength,
    buckets,
    isMidnight,
    marks,
    minute,
    runs,
    timeMarks,
    within,
} from './trend.js';

const margin = { top: 1.9, right: 0.9, bottom: 1.6, left: 0.1 }; // in rem

function svg(tag, attributes, text) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
}

export class Chart {
    constructor(box) {
        this.box = box;
        this.points = [];
        this.tip = make('div', 'tip');
        this.tip.hidden = true;
        this.tip.ariaHidden = 'true';
        new ResizeObserver(() => this.draw()).observe(box);
        box.addEventListener('pointermove', (event) => this.pointAt(event));
        box.addEventListener('pointerleave', () => this.select(null));
        box.addEventListener('blur', () => this.select(null));
        box.addEventListener('keydown', (event) => this.key(event));
    }

    /** Draw the last `range` ms of `minutes` of readMinutes(); `now` in ms is the right edge. */
    show(minutes, now, range) {
        Object.assign(this, { minutes, now, range });
        this.draw();
    }

    draw() {
        const { clientWidth: width, clientHeight: height } = this.box;
        if (!width || !height || !this.now) return;
        this.rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
        this.plot = {
            left: margin.left * this.rem,
            top: margin.top * this.rem,
            width: width - (margin.left + margin.right) * this.rem,
            height: height - (margin.top + margin.bottom) * this.rem,
        };
        this.length = bucketLength(this.range, this.plot.width);
        const kept = this.points[this.selected]?.at;
        this.points = buckets(within(this.minutes, this.now, this.range), this.length);
        const most = Math.max(0, ...this.points.map(({ max }) => max));
        this.ticks = marks(most, 4);
        this.image = svg('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
        this.drawScale(width, height);
        if (this.points.length) {
            this.drawRuns();
            this.drawPeak();
        } else {
            this.image.append(
                svg(
                    'text',
                    { x: width / 2, y: height / 2, class: 'nothing' },
                    this.nothing(),
                ),
            );
        }
        this.cross = svg('g', { class: 'cross', visibility: 'hidden' });
        this.cross.append(
            svg('line', { y1: this.plot.top, y2: this.plot.top + this.plot.height }),
            svg('circle', { r: 4.5 }),
        );
        this.image.append(this.cross);
        this.box.replaceChildren(this.image, this.tip);
        const again = this.points.findIndex(({ at }) => at === kept);
        this.select(again < 0 ? null : again);
    }

    /** Say why there is no point. */
    nothing() {
        return this.minutes?.length ? 'Nothing recorded in this time' : 'Nothing recorded yet';
    }

    x(at) {
        const x = this.plot.left + this.plot.width * (1 - (this.now - at) / this.range);
        return Math.round(Math.max(this.plot.left, x) * 10) / 10;
    }

    /** Return when the time ends that a point stands for, as far as it has passed. */
    endOf(point) {
        return Math.min(this.now, point.at + this.length);
    }

    /** A point is drawn in the middle of its time. */
    pointX(point) {
        return this.x((point.at + this.endOf(point)) / 2);
    }

    /** Return where the points of a run are drawn: [x, point]. Its ends at a gap are drawn, too. */
    places(run, before, after) {
        const [first, last] = [run[0], run.at(-1)];
        return [
            ...(before?.at(-1) === first ? [] : [[this.x(first.at), first]]),
            ...run.map((point) => [this.pointX(point), point]),
            ...(after?.[0] === last ? [] : [[this.x(this.endOf(last)), last]]),
        ];
    }

    y(value) {
        return (
            Math.round((this.plot.top + this.plot.height * (1 - value / this.ticks.at(-1))) * 10) /
            10
        );
    }

    drawScale(width, height) {
        for (const tick of this.ticks) {
            const y = this.y(tick);
            this.image.append(
                svg('line', { class: tick ? 'grid' : 'base', x1: 0, x2: width, y1: y, y2: y }),
            );
            if (tick)
                this.image.append(
                    svg('text', { class: 'tick', x: 0, y: y - 0.35 * this.rem }, compact(tick)),
                );
        }
        this.drawTimes(width, height);
        this.image.append(
            svg('text', { class: 'hour end', x: width - 2, y: height - 0.35 * this.rem }, 'now'),
        );
    }

    /** Draw marks of time where there is room for their text. */
    drawTimes(width, height) {
        let end = 0;
        for (const mark of timeMarks(this.now - this.range, this.now, width / (4.4 * this.rem))) {
            const text = isMidnight(mark) ? date(mark) : time(mark);
            const half = 0.2 * text.length * this.rem;
            const x = this.x(mark);
            if (x - half < end || x + half > width - 2.2 * this.rem) continue;
            end = x + half + 0.3 * this.rem;
            this.image.append(
                svg(
                    'text',
                    {
                        class: isMidnight(mark) ? 'hour day' : 'hour',
                        x,
                        y: height - 0.35 * this.rem,
                    },
                    text,
                ),
            );
        }
    }

    drawRuns() {
        const gradient = svg('linearGradient', {
            id: 'glow',
            gradientUnits: 'userSpaceOnUse',
            x1: 0,
            y1: this.y(this.ticks.at(-1)),
            x2: 0,
            y2: this.y(0),
        });
        gradient.append(
            svg('stop', { offset: 0, class: 'glow-top' }),
            svg('stop', { offset: 1, class: 'glow-end' }),
        );
        this.image.append(svg('defs', {}));
        this.image.lastChild.append(gradient);
        const ground = this.y(0);
        const all = runs(this.points, this.length);
        all.forEach((run, at) => {
            const places = this.places(run, all[at - 1], all[at + 1]);
            const path = (name, places) =>
                places.map(([x, point]) => `${x} ${this.y(point[name])}`).join('L');
            const line = path('mean', places);
            const [first, last] = [places[0][0], places.at(-1)[0]];
            const backward = [...places].reverse();
            this.image.append(
                svg('path', { class: 'area', d: `M${first} ${ground}L${line}L${last} ${ground}Z` }),
                svg('path', {
                    class: 'band',
                    d: `M${path('max', places)}L${path('min', backward)}Z`,
                }),
                svg('path', { class: run.at(-1).warming ? 'mean warming' : 'mean', d: `M${line}` }),
            );
        });
        const last = this.points.at(-1);
        if (this.now - last.at > 3 * this.length) return;
        const place = { cx: this.x(this.endOf(last)), cy: this.y(last.mean) };
        this.image.append(
            svg('circle', { class: 'pulse', r: 4, ...place }),
            svg('circle', { class: 'head', r: 4, ...place }),
        );
    }

    drawPeak() {
        const peak = this.points.reduce((one, other) => (other.max > one.max ? other : one));
        const [x, y] = [this.pointX(peak), this.y(peak.max)];
        const side =
            x < 7 * this.rem ? 'start' : x > this.plot.width - 7 * this.rem ? 'end' : 'middle';
        this.image.append(
            svg('circle', { class: 'peak', r: 3, cx: x, cy: y }),
            svg(
                'text',
                { class: 'peak-name', x, y: y - 0.65 * this.rem, 'text-anchor': side },
                `${number(peak.max)} at ${moment(new Date(peak.maxAt))}`,
            ),
        );
    }

    /** Select a point by its index; null for none. */
    select(index) {
        this.selected = index;
        const point = index === null ? null : this.points[index];
        this.tip.hidden = !point;
        this.cross?.setAttribute('visibility', point ? 'visible' : 'hidden');
        if (point) this.showPoint(point);
        this.describe(point ?? this.points.at(-1));
    }

    showPoint(point) {
        const [x, y] = [this.pointX(point), this.y(point.mean)];
        const [line, dot] = this.cross.children;
        line.setAttribute('x1', x);
        line.setAttribute('x2', x);
        dot.setAttribute('cx', x);
        dot.setAttribute('cy', y);
        this.tip.replaceChildren(
            make('b', '', moment(new Date(point.at))),
            make('span', '', `${number(Math.round(point.mean))} on average`),
            make('span', '', `${number(point.min)} to ${number(point.max)}`),
            ...(point.warming ? [make('span', '', 'a lower bound')] : []),
        );
        const left = Math.min(
            Math.max(0, x - this.tip.offsetWidth / 2),
            this.box.clientWidth - this.tip.offsetWidth,
        );
        const above = y - this.tip.offsetHeight - 14;
        this.tip.style.transform = `translate(${left}px, ${above > 0 ? above : y + 14}px)`;
    }

    describe(point) {
        const at = point ? this.points.indexOf(point) : 0;
        this.box.ariaValueMax = Math.max(0, this.points.length - 1);
        this.box.ariaValueNow = at;
        this.box.ariaValueText = point
            ? `${moment(new Date(point.at))}: ${number(Math.round(point.mean))} on average, ` +
              `between ${number(point.min)} and ${number(point.max)}${point.warming ? ', a lower bound' : ''}`
            : this.nothing();
    }

    pointAt(event) {
        if (!this.points.length) return;
        const x = event.clientX - this.box.getBoundingClientRect().left;
        const far = (point) => Math.abs(this.pointX(point) - x);
        const nearest = this.points.reduce((one, other) => (far(other) < far(one) ? other : one));
        const pitch = (this.plot.width * this.length) / this.range;
        const reach = Math.max(pitch, this.rem);
        this.select(far(nearest) < reach ? this.points.indexOf(nearest) : null);
    }

    key(event) {
        const end = this.points.length - 1;
        const now = this.selected ?? end;
        const leap = Math.ceil(Math.min(60 * minute, this.range / 6) / this.length);
        const target = {
            ArrowLeft: now - 1,
            ArrowDown: now - 1,
            ArrowRight: now + 1,
            ArrowUp: now + 1,
            PageDown: now - leap,
            PageUp: now + leap,
            Home: 0,
            End: end,
        }[event.key];
        if (event.key === 'Escape') this.select(null);
        if (target === undefined || end < 0) return;
        event.preventDefault();
        this.select(Math.min(end, Math.max(0, target)));
    }
}
