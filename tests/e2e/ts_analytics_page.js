// A page as ts-analytics documents it: createRealtimePoller(), RealtimeCounter, LiveActivityFeed and
// the list of active pages. The package itself was never published, so these are written from its
// documentation. `base` and `site` come from the test.
function createRealtimePoller({ baseUrl, siteId, interval }) {
    const state = { data: null, isLoading: false, error: null };
    let timer = null;
    const poll = async () => {
        state.isLoading = true;
        try {
            const answer = await fetch(`${baseUrl}/sites/${siteId}/realtime?minutes=5`, {
                headers: { 'Content-Type': 'application/json' },
            });
            if (!answer.ok) throw new Error(`${answer.status}`);
            state.data = await answer.json();
            state.error = null;
        } catch (error) {
            state.error = error;
        }
        state.isLoading = false;
        show(state);
    };
    return {
        start() {
            poll();
            timer ??= setInterval(poll, interval);
        },
        stop() {
            clearInterval(timer);
            timer = null;
        },
    };
}

// The kinds of entries that the feed can draw; another one is an error of the page.
const texts = {
    pageview: ({ path }) => path,
    event: ({ name }) => name,
};

function show({ data, error }) {
    window.shown = {
        refused: error?.message ?? null,
        counter: (data?.currentVisitors ?? 0).toString(),
        pages: data?.activePages.map(({ path, visitors }) => `${path} ${visitors}`),
        feed: data?.recentEvents.map((event) => `${event.type} ${texts[event.type](event)}`),
        ages: data?.recentEvents.map(({ timestamp }) => Date.now() - new Date(timestamp)),
        lastHour: data?.pageViewsLastHour,
        top: data?.topActivePages.map(
            ({ name, value, percentage }) => `${name} ${value} ${percentage}%`,
        ),
    };
}

window.poller = createRealtimePoller({ baseUrl: base, siteId: site, interval: 100 });
window.poller.start();
