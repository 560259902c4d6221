import os, time
from datetime import datetime
import requests

API = "https://app.rybbit.io"
SITE = "123"
API_KEY = os.environ["RYBBIT_API_KEY"]
POLL_SECONDS = 10

session = requests.Session()
session.headers["Authorization"] = f"Bearer {API_KEY}"

def get(path, **params):
    res = session.get(f"{API}/api/sites/{SITE}{path}", params=params)
    res.raise_for_status()
    return res.json()

def live_count():
    return get("/live-user-count", minutes=5)["count"]

def describe(e):
    where = f'{e["city"]}, {e["country"]}' if e.get("city") else e.get("country") or "Unknown"
    if e["type"] == "pageview":
        return f'👀 viewed {e["pathname"]} — {where}'
    if e["type"] == "custom_event":
        return f'⚡ {e["event_name"]} ({e["pathname"]}) — {where}'
    if e["type"] == "outbound":
        return f'↗️ left via {e["pathname"]} — {where}'
    return f'• {e["type"]} — {where}'

watermark = None # ISO timestamp of the newest event we've shown
print("Starting live feed… (Ctrl+C to stop)")
while True:
    try:
        params = {"since_timestamp": watermark} if watermark else {"page_size": 20}
        events = get("/events", **params)["data"]

        # Events come back newest-first; show oldest-first so the feed reads top-to-bottom
        for e in reversed(events):
            ts = datetime.fromisoformat(e["timestamp"].replace("Z", "+00:00")).strftime("%H:%M:%S")
            print(f"[{ts}] {describe(e)}")

        if events:
            watermark = events[0]["timestamp"] # newest event becomes the new watermark
        print(f"\n🟢 {live_count()} visitors online\n")
    except Exception as err:
        print(f"poll error: {err}")
    time.sleep(POLL_SECONDS)
