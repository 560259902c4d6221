const API = 'https://app.rybbit.io';
const SITE = '123';
const API_KEY = process.env.RYBBIT_API_KEY;
const POLL_MS = 10000; // every 10 seconds

async function get(path, params = {}) {
  const url = new URL(`${API}/api/sites/${SITE}${path}`);
  Object.entries(params).forEach(([k, v]) => url.searchParams.set(k, v));
  const res = await fetch(url, { headers: { Authorization: `Bearer ${API_KEY}` } });
  if (!res.ok) throw new Error(`${path} failed: ${res.status}`);
  return res.json();
}

async function liveCount() {
  const { count } = await get('/live-user-count', { minutes: 5 });
  return count;
}

function describe(e) {
  const where = e.city ? `${e.city}, ${e.country}` : e.country || 'Unknown';
  if (e.type === 'pageview') return `👀 viewed ${e.pathname} — ${where}`;
  if (e.type === 'custom_event') return `⚡ ${e.event_name} (${e.pathname}) — ${where}`;
  if (e.type === 'outbound') return `↗️ left via ${e.pathname} — ${where}`;
  return `• ${e.type} — ${where}`;
}

let watermark = null; // ISO timestamp of the newest event we've shown

async function poll() {
  try {
    const params = watermark ? { since_timestamp: watermark } : { page_size: 20 };
    const [{ data: events }, count] = await Promise.all([get('/events', params), liveCount()]);

    // Events come back newest-first; show oldest-first so the feed reads top-to-bottom
    for (const e of [...events].reverse()) {
      console.log(`[${new Date(e.timestamp).toLocaleTimeString()}] ${describe(e)}`);
    }

    if (events.length) watermark = events[0].timestamp; // newest event becomes the new watermark
    process.stdout.write(`\n🟢 ${count} visitors online\n`);
  } catch (err) {
    console.error('poll error:', err.message);
  }
}

console.log('Starting live feed… (Ctrl+C to stop)');
poll();
setInterval(poll, POLL_MS);
