// The 24-hour trend as SVG: the mean as a line, lowest to highest as a band, the peak named.
// Unmeasured time is a gap. Pointer and arrow keys select a point.

import { compact, date, make, number, time } from './format.js';
import { bucketLength, buckets, hourMarks, marks, runs, span } from './trend.js';

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
        this.minutes = [];
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

    /** Draw `minutes` of readMinutes(); `now` in ms is the right edge. */
    show(minutes, now) {
        this.minutes = minutes.filter(({ at }) => at > now - span && at <= now);
        this.now = now;
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
        this.length = bucketLength(this.plot.width);
        const kept = this.points[this.selected]?.at;
        this.points = buckets(this.minutes, this.length);
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
                    'Nothing recorded yet',
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

    x(at) {
        const x = this.plot.left + this.plot.width * (1 - (this.now - at) / span);
        return Math.round(Math.max(this.plot.left, x) * 10) / 10;
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
        const hours = width < 26 * this.rem ? 6 : width < 38 * this.rem ? 4 : 3;
        for (const mark of hourMarks(this.now - span, this.now, hours)) {
            const x = this.x(mark);
            if (x < 1.2 * this.rem || x > width - 3.5 * this.rem) continue;
            const midnight = mark.getHours() === 0;
            this.image.append(
                svg(
                    'text',
                    { class: midnight ? 'hour day' : 'hour', x, y: height - 0.35 * this.rem },
                    midnight ? date(mark) : time(mark),
                ),
            );
        }
        this.image.append(
            svg('text', { class: 'hour end', x: width - 2, y: height - 0.35 * this.rem }, 'now'),
        );
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
        for (const run of runs(this.points, this.length)) {
            const path = (name, points) =>
                points.map((point) => `${this.x(point.at)} ${this.y(point[name])}`).join('L');
            const line = path('mean', run);
            const [first, last] = [this.x(run[0].at), this.x(run.at(-1).at)];
            const backward = [...run].reverse();
            this.image.append(
                svg('path', { class: 'area', d: `M${first} ${ground}L${line}L${last} ${ground}Z` }),
                svg('path', { class: 'band', d: `M${path('max', run)}L${path('min', backward)}Z` }),
                svg('path', {
                    class: run.at(-1).warming ? 'mean warming' : 'mean',
                    d: `M${line}${run.length > 1 ? '' : 'h0'}`,
                }),
            );
        }
        const last = this.points.at(-1);
        if (this.now - last.at > 3 * this.length) return;
        const place = { cx: this.x(last.at), cy: this.y(last.mean) };
        this.image.append(
            svg('circle', { class: 'pulse', r: 4, ...place }),
            svg('circle', { class: 'head', r: 4, ...place }),
        );
    }

    drawPeak() {
        const peak = this.points.reduce((one, other) => (other.max > one.max ? other : one));
        const [x, y] = [this.x(peak.at), this.y(peak.max)];
        const side =
            x < 5 * this.rem ? 'start' : x > this.plot.width - 5 * this.rem ? 'end' : 'middle';
        this.image.append(
            svg('circle', { class: 'peak', r: 3, cx: x, cy: y }),
            svg(
                'text',
                { class: 'peak-name', x, y: y - 0.65 * this.rem, 'text-anchor': side },
                `${number(peak.max)} at ${time(peak.maxAt)}`,
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
        const [x, y] = [this.x(point.at), this.y(point.mean)];
        const [line, dot] = this.cross.children;
        line.setAttribute('x1', x);
        line.setAttribute('x2', x);
        dot.setAttribute('cx', x);
        dot.setAttribute('cy', y);
        this.tip.replaceChildren(
            make('b', '', time(point.at)),
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
            ? `${time(point.at)}: ${number(Math.round(point.mean))} on average, ` +
              `between ${number(point.min)} and ${number(point.max)}${point.warming ? ', a lower bound' : ''}`
            : 'Nothing recorded yet';
    }

    pointAt(event) {
        if (!this.points.length) return;
        const x = event.clientX - this.box.getBoundingClientRect().left;
        const at = this.now - span * (1 - (x - this.plot.left) / this.plot.width);
        const far = ({ at: other }) => Math.abs(other - at);
        const nearest = this.points.reduce((one, other) => (far(other) < far(one) ? other : one));
        this.select(far(nearest) < 8 * this.length ? this.points.indexOf(nearest) : null);
    }

    key(event) {
        const end = this.points.length - 1;
        const now = this.selected ?? end;
        const hour = Math.round(3600000 / this.length);
        const target = {
            ArrowLeft: now - 1,
            ArrowDown: now - 1,
            ArrowRight: now + 1,
            ArrowUp: now + 1,
            PageDown: now - hour,
            PageUp: now + hour,
            Home: 0,
            End: end,
        }[event.key];
        if (event.key === 'Escape') this.select(null);
        if (target === undefined || end < 0) return;
        event.preventDefault();
        this.select(Math.min(end, Math.max(0, target)));
    }
}
