#include "bots.h"

#include <stddef.h>
#include <string.h>

/* Words that stand in the User-Agent of those that name themselves, and in no browser's ("bot "
 * does: Cubot makes telephones). Programs that may report a visitor for somebody else, curl or a
 * server's HTTP library, are none of them. */
static const char *const words[] = {
    "bot/",
    "bot;",
    "bot)",
    "bots",
    "crawl",
    "spider",
    "slurp",
    "archiver",
    "facebookexternalhit",
    "meta-externalagent",
    "mediapartners",
    "adsbot",
    "apis-google",
    "google-read-aloud",
    "google-inspectiontool",
    "googleother",
    "google favicon",
    "bingpreview",
    "linkpreview",
    "preview/",
    "embedly",
    "whatsapp/",
    "skypeuripreview",
    "vkshare",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "monitor",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "headless",
    "phantomjs",
    "prerender",
    "validator",
    "feedfetcher",
    "feedly",
    "wget/",
    "httrack",
    "scrapy",
    "nutch",
    "heritrix",
    "dataprovider",
    "semrush",
    "ahrefs",
    "chatgpt",
    "gptbot",
    "oai-search",
    "claude-",
    "anthropic-ai",
    "perplexity",
    "bytespider",
    "petalbot",
};

bool bots_is_one(const char *user_agent)
{
    if (!user_agent)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(user_agent, words[i]))
            return true;
    }
    size_t length = strlen(user_agent);
    return length >= 3 && strcasecmp(user_agent + length - 3, "bot") == 0;
}
